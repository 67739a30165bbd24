// node service.mjs [PORT]: databases on demand, by Pulumi's Automation API. Each is a stack of its own.
//   PUT /dbs/NAME {"rvfPath":"...","memoryMb":256}   makes or changes one, and tells its progress line by line
//   GET /dbs/NAME                                    its outputs
//   DELETE /dbs/NAME                                 removes it
import { mkdirSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { LocalWorkspace } from "@pulumi/pulumi/automation/index.js";
import { MicroVm } from "pulumi-microvm";

// Below this package, so that the engine finds `pulumi-microvm` from there.
const workDir = fileURLToPath(new URL(".work", import.meta.url));
mkdirSync(workDir, { recursive: true });

const stackOf = (name, args = {}) =>
  LocalWorkspace.createOrSelectStack(
    {
      stackName: name,
      projectName: "microvm-automation",
      program: async () => {
        const { url, vmId, bootMillis } = new MicroVm(name, { apiPort: 0, ...args });
        return { url, vmId, bootMillis };
      },
    },
    { workDir },
  );

const methods = {
  async PUT(name, tell, args) {
    const stack = await stackOf(name, args);
    const { outputs } = await stack.up({ onEvent: (event) => tell(wordsOf(event)) });
    return plain(outputs);
  },
  GET: async (name) => plain(await (await stackOf(name)).outputs()),
  async DELETE(name, tell) {
    const stack = await stackOf(name);
    await stack.destroy({ onEvent: (event) => tell(wordsOf(event)) });
    await stack.workspace.removeStack(name);
    return {};
  },
};

/** What the engine begins and ends, and what the provider says: warnings, what is waited for, how long a boot took. */
function wordsOf({ resourcePreEvent, resOutputsEvent, diagnosticEvent }) {
  const step = (resourcePreEvent ?? resOutputsEvent)?.metadata;
  if (step && step.op !== "same")
    return `${step.op} ${step.urn.split("::").at(-1)}${resOutputsEvent ? ": done" : ""}`;
  return diagnosticEvent?.message.trim();
}

const plain = (outputs) =>
  Object.fromEntries(Object.entries(outputs).map(([key, { value }]) => [key, value]));

const server = createServer(async (request, response) => {
  const [, dbs, name = ""] = request.url.split("/");
  const answer = methods[request.method];
  if (dbs !== "dbs" || !/^[a-z][a-z0-9-]*$/.test(name) || !answer) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": "application/x-ndjson" });
  const send = (line) => response.write(`${JSON.stringify(line)}\n`);
  try {
    let body = "";
    for await (const chunk of request) body += chunk;
    const tell = (progress) => progress && send({ progress });
    send({ result: await answer(name, tell, body ? JSON.parse(body) : undefined) });
  } catch (error) {
    send({ error: error.message });
  }
  response.end();
});
server.listen(Number(process.argv[2] ?? 8000), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});

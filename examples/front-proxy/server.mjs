// node server.mjs FILE PORT: an HTTP proxy on 127.0.0.1 whose backends are the JSON array in FILE. It asks them in turn, goes on to
// the next where one does not answer, and ends when FILE is gone. GET /backends tells which it has.
import { readFileSync, watchFile, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, join } from "node:path";

const [file, port] = process.argv.slice(2);
const beside = (name) => join(dirname(file), name);

let backends = [];
function readBackends() {
  try {
    backends = JSON.parse(readFileSync(file, "utf8"));
  } catch {
    process.exit(0);
  }
}
readBackends();
watchFile(file, { interval: 100 }, readBackends);

let turn = 0;

/** The first answer of the backends, beginning with the one whose turn it is. */
async function ask(path, init) {
  const first = turn++;
  let failure;
  // A single one is asked twice: it may just have been exchanged.
  for (let i = 0; i < Math.max(2, backends.length); i++) {
    try {
      const reply = await fetch(backends[(first + i) % backends.length] + path, init);
      return { status: reply.status, body: Buffer.from(await reply.arrayBuffer()) };
    } catch (error) {
      failure = error.cause ?? error;
    }
  }
  return { status: 502, body: JSON.stringify({ error: `no backend answers: ${failure}` }) };
}

const server = createServer(async (request, response) => {
  if (request.url === "/backends") return response.end(JSON.stringify(backends));
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = chunks.length > 0 ? Buffer.concat(chunks) : undefined;
  const headers = { "content-type": request.headers["content-type"] ?? "application/json" };
  const reply = await ask(request.url, { method: request.method, headers, body });
  response.writeHead(reply.status, { "content-type": "application/json" }).end(reply.body);
});
server.on("error", (error) => {
  writeFileSync(beside("error"), error.message);
  process.exit(1);
});
server.listen(Number(port), "127.0.0.1", () => {
  writeFileSync(beside("url"), `http://127.0.0.1:${server.address().port}`);
});

/** examples/automation: a service that makes databases by Pulumi's Automation API. */
import { once } from "node:events";
import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { query } from "../../src/client/index.js";
import { pulumiEnvironment } from "../../tools/pulumi-project.js";
import { sampleQuery } from "../../tools/sample-rvf.js";
import { sampleRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";

const state = privateState();
const script = fileURLToPath(new URL("../../examples/automation/service.mjs", import.meta.url));
let service: ChildProcess;
let base: string;

beforeAll(async () => {
  const env = { ...(await pulumiEnvironment({ workFolder: state.dir, env: process.env })), NODE_OPTIONS: "" };
  service = spawn(process.execPath, [script, "0"], { env, stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(service.stdout!, "data")) as [Buffer];
  base = line.toString().trim();
});
afterAll(() => service.kill());

interface Line {
  progress?: string;
  result?: Record<string, unknown>;
  error?: string;
}

async function request(method: string, name: string, args?: object): Promise<Line[]> {
  const reply = await fetch(`${base}/dbs/${name}`, { method, ...(args && { body: JSON.stringify(args) }) });
  const lines = (await reply.text()).trim().split("\n");
  return lines.map((line) => JSON.parse(line) as Line);
}

test("what is wrong is told, and a database is made with its progress, looked up and removed", async () => {
  const refused = await request("PUT", "shop", { rvfPath: "/no/such.rvf" });
  expect(refused.at(-1)!.error).toContain("FileNotFound");

  const made = await request("PUT", "shop", { rvfPath: await sampleRvf() });
  expect(made.flatMap((line) => line.progress ?? [])).toEqual(
    expect.arrayContaining([
      "create shop",
      expect.stringMatching(/^shop: booted in [\d.]+ s under/),
      "create shop: done",
    ]),
  );
  const { url } = made.at(-1)!.result!;
  expect(await query(String(url), sampleQuery(1), 2)).toHaveLength(2);
  expect((await request("GET", "shop")).at(-1)!.result).toMatchObject({ url });

  expect(await request("DELETE", "shop")).toContainEqual({ progress: "delete shop: done" });
  expect(await leftovers()).toEqual([]);
}, 400_000);

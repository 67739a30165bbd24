/** What a running guest does when its host tells it to. */
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { CLONE_LINE, DRAIN_LINE, DRAINED_LINE, READY_LINE } from "../../../src/appliance/contract.js";
import { launch, type MicroVmHandle } from "../../../src/launcher/index.js";
import { tellGuest } from "../../../src/launcher/change/guest-control.js";
import { readRecord } from "../../../src/launcher/record/record.js";
import { generationFiles } from "../../../src/launcher/record/vm-folder.js";
import { sampleQuery } from "../../../tools/sample-rvf.js";
import { sampleRvf } from "../../support/rvf.js";
import { privateState } from "../../support/state.js";
import { eventually } from "../../support/wait.js";

privateState();
let vm: MicroVmHandle;
const generation = async () => (await readRecord(vm.vmId))!.generation!;
const tell = async (line: string) => await tellGuest(await generation(), line);
/** How many times the guest has said this line on its ready port. */
const said = async (line: string): Promise<number> => {
  const text = await readFile(generationFiles(vm.vmId, (await generation()).number).ready, "utf8");
  return text.split("\n").filter((one) => one === line).length;
};

beforeAll(async () => {
  vm = await launch({ rvfPath: await sampleRvf(), apiPort: 0 }, { name: "told" });
});
afterAll(async () => void (await vm?.destroy()));

const body = JSON.stringify({ vector: sampleQuery(1), k: 3 });

/** One query; whether the guest said that it was its connection's last, and how many neighbours it found. */
async function ask(agent: Agent): Promise<{ isLast: boolean; found: number }> {
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  const asking = request(`${vm.url}/query`, { agent, method: "POST", headers }).end(body);
  const [reply] = (await once(asking, "response")) as [
    NodeJS.ReadableStream & { headers: { connection?: string } },
  ];
  const found = (JSON.parse(await text(reply)) as unknown[]).length;
  return { isLast: reply.headers.connection === "close", found };
}

test("what it does not understand is passed over", async () => {
  await tell("dance");
  await tell("x".repeat(100_000));
});

test("asked to drain under load it answers every query, each connection's last one as such, then says drained", async () => {
  const idle = connect(vm.apiPort, "127.0.0.1").resume();
  const idleClosed = once(idle, "close");
  const answers: { isLast: boolean; found: number }[] = [];
  let done = false;
  const client = async () => {
    // It keeps one connection open for as long as the guest lets it.
    using agent = Object.assign(new Agent({ keepAlive: true, maxSockets: 1 }), {
      [Symbol.dispose]: () => agent.destroy(),
    });
    while (!done) answers.push(await ask(agent));
  };
  const load = Promise.all([client(), client(), client()]);
  await eventually(() => answers.length > 10);
  expect(answers.every(({ isLast, found }) => !isLast && found === 3)).toBe(true);
  await tell(DRAIN_LINE);
  const before = answers.length;
  await eventually(() => answers.length > before + 10);
  await idleClosed;
  done = true;
  await load;
  expect(answers.every(({ found }) => found === 3)).toBe(true);
  expect(answers.slice(before + 3).every(({ isLast }) => isLast)).toBe(true);
  expect(await eventually(() => said(DRAINED_LINE))).toBe(1);
});

test("drained it goes on serving, and to be asked again does no harm", async () => {
  expect(await vm.query(sampleQuery(1), 3)).toHaveLength(3);
  await tell(DRAIN_LINE);
  await eventually(async () => (await said(DRAINED_LINE)) === 2);
  expect(await vm.query(sampleQuery(2), 3)).toHaveLength(3);
});

test("told that it is a clone it takes the host's time, then says that it is ready under its new nonce", async () => {
  const order = (nonce: string, seed = "5a") => `${CLONE_LINE} ${seed.repeat(32)} 2000000000.5 ${nonce}`;
  await tell(order("n0", "zz"));
  for (const nonce of ["n1", "n2"]) {
    await tell(order(nonce));
    await eventually(() => said(`${READY_LINE} ${nonce}`));
  }
  expect(await said(`${READY_LINE} n0`)).toBe(0);
  const date = Date.parse((await fetch(`${vm.url}/health`)).headers.get("date") ?? "");
  expect(new Date(date).toISOString()).toMatch(/^2033-05-18T03:3/);
});

test("while somebody else holds the port, it says that the guest does not listen", async () => {
  const { guestSocket } = await generation();
  const holder = connect(guestSocket!);
  await once(holder, "connect");
  const telling = tellGuest({ guestSocket }, DRAIN_LINE, { timeoutMs: 300 });
  await expect(telling).rejects.toMatchObject({ code: "Timeout" });
  const cancelled = tellGuest({ guestSocket }, DRAIN_LINE, { signal: AbortSignal.timeout(100) });
  await expect(cancelled).rejects.toMatchObject({ code: "Cancelled" });
  holder.destroy();
});

test("a VM without the port, and a port where nobody listens, are told apart from it", async () => {
  await expect(tellGuest({}, DRAIN_LINE)).rejects.toMatchObject({ code: "Io" });
  await expect(tellGuest({ guestSocket: "/none" }, DRAIN_LINE)).rejects.toMatchObject({
    code: "Io",
    message: expect.stringContaining("ENOENT") as string,
  });
});

test("a console that nobody takes keeps it neither from answering nor from powering off", async () => {
  const readers = await consoleReaders();
  expect(readers).not.toEqual([]);
  try {
    for (const pid of readers) process.kill(pid, "SIGSTOP");
    // It logs each of these: more than the pipe and its own buffers hold.
    await tell("dance\n".repeat(4000));
    expect(await vm.query(sampleQuery(3), 3)).toHaveLength(3);
    expect(await vm.shutdown()).toMatchObject({ rung: "powerdown" });
  } finally {
    for (const pid of readers) process.kill(pid, "SIGCONT");
  }
});

/** The processes beside QEMU that copy its console. */
async function consoleReaders(): Promise<number[]> {
  const found: number[] = [];
  const sessionOf = async (pid: number | string) => {
    const [, name, fields] =
      /^\d+ \((.*)\) (.*)$/s.exec(await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "")) ?? [];
    return { name, session: fields?.split(" ")[3] };
  };
  const { session } = await sessionOf(vm.pid);
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const other = await sessionOf(pid);
    if (other.name === "dd" && other.session === session) found.push(Number(pid));
  }
  return found;
}

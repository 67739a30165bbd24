/** Looks at a world from outside and compares: whether each status is true, and whether a record names whatever there is. */
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { query } from "../../src/client/index.js";
import { statusOf, type VmStatus } from "../../src/launcher/index.js";
import { readRecord, type Generation, type VmRecord } from "../../src/launcher/record/record.js";
import { vmDir } from "../../src/launcher/record/vm-folder.js";
import { shortSocketDir, vmsDir } from "../../src/paths.js";
import { connectQmp, queryStatus } from "../../src/qmp/index.js";
import { sampleQuery } from "../../tools/sample-rvf.js";
import { isAlive } from "../support/wait.js";
import { listeningPorts, processesIn, qemusOf, type Found } from "./processes.js";
import type { World } from "./world.js";

/** Whose processes and files are looked at. */
type Place = Pick<World, "dir">;

/** A VM's status in a word or two, for a fault's row. */
export function wordsOf(status: VmStatus | undefined): string {
  if (status === undefined) return "none";
  return [status.state, status.ending].filter(Boolean).join(" ");
}

/** What is wrong with the VM's status; empty when it is true. A process that ends just now makes it look again. */
export async function untruths(world: Place, vmId: string): Promise<string[]> {
  for (let tries = 0; ; tries++) {
    const before = qemusOf(await processesIn(world.dir), vmDir(vmId));
    const status = await statusOf(vmId);
    const wrong = status === undefined ? [] : await disagreements(status, before);
    const after = qemusOf(await processesIn(world.dir), vmDir(vmId));
    const isStill = JSON.stringify(before) === JSON.stringify(after);
    if (wrong.length === 0 || (isStill && tries >= 2)) return wrong.map((what) => `${vmId}: ${what}`);
    await sleep(200);
  }
}

async function disagreements(status: VmStatus, qemus: Found[]): Promise<string[]> {
  const says = `status says ${wordsOf(status)} (${status.status}), pid ${status.pid}`;
  const record = await readRecord(status.vmId);
  const isOf = (generation: Generation | undefined) => (one: Found) =>
    generation !== undefined && one.argv.includes(generation.uuid);
  const qemu = qemus.find(isOf(record?.generation));
  // An interrupted update leaves another, which the record names.
  const besides = [record?.next, record?.former];
  const strays = qemus.filter((one) => one !== qemu && !besides.some((other) => isOf(other)(one)));
  if (strays.length > 0) return [`${strays.map(({ pid }) => pid).join(" and ")} run, which no record names`];
  if (qemu === undefined) {
    if (status.state === "creating" && status.pid === 0) return launchDisagreements(status, record, qemu);
    return status.state === "exited" && status.pid === 0 ? [] : [`${says}, and no QEMU runs`];
  }
  if (status.pid !== qemu.pid) return [`${says}, and QEMU runs as ${qemu.pid}`];
  if (status.state === "creating") return launchDisagreements(status, record, qemu);
  const found = await foundAt(status, qemu);
  return found === status.state ? [] : [`${says}, and ${found} is found`];
}

/** Of a launch that nobody goes on with it is told whether QEMU runs, of another who is at work. */
function launchDisagreements({ status }: VmStatus, record: VmRecord | undefined, qemu?: Found): string[] {
  const worker = /^process (\d+) is at work on it$/.exec(status)?.[1];
  const isTrue =
    worker === undefined
      ? status === `its launch was interrupted, ${qemu ? "and QEMU" : "nothing"} runs`
      : isAlive(Number(worker));
  return isTrue && record?.phase === "creating" ? [] : [`creating (${status}), which is not so`];
}

async function foundAt(status: VmStatus, { state }: Found): Promise<string> {
  if (state === "T") return "paused";
  const record = await readRecord(status.vmId);
  const monitors = [record!.generation!.controlSocket, record!.generation!.qmpSocket];
  const runs = await Promise.any(monitors.map(isRunning)).catch(() => undefined);
  if (runs === undefined) return "unresponsive";
  if (!runs) return "paused";
  return await query(status.url, sampleQuery(1), 3, { timeoutMs: 10_000 }).then(
    (neighbours) => (neighbours.length === 3 ? "running" : "a guest that knows no neighbours"),
    // An update that dies in the milliseconds in which the port goes over leaves it to nobody, and says so.
    (error: unknown) =>
      status.interrupted && /refused/.test(String(error))
        ? "running"
        : `a guest that does not answer (${String(error)})`,
  );
}

async function isRunning(socket: string): Promise<boolean> {
  await using monitor = await connectQmp(socket, { timeoutMs: 2000 });
  return (await queryStatus(monitor)).running;
}

/** What there is and no record names, once everything that ends has ended. */
export async function leaks(world: Place): Promise<string[]> {
  for (let tries = 0; ; tries++) {
    const found = [...(await strayProcesses(world)), ...(await strayFiles()), ...(await partialFiles())];
    if (found.length === 0 || tries >= 30) return found;
    await sleep(100);
  }
}

/** VMs whose record can be read. */
async function recorded(): Promise<VmRecord[]> {
  const names = (await readdir(vmsDir()).catch(() => [])).filter((name) => !name.startsWith("."));
  const records = await Promise.all(names.map(async (vmId) => await readRecord(vmId).catch(() => undefined)));
  return records.filter((record) => record !== undefined);
}

/** Each belongs to the session of a QEMU that serves, whose ports are the record's: what an update left beside it was seen to. */
async function strayProcesses(world: Place): Promise<string[]> {
  const processes = await processesIn(world.dir);
  const sessions = new Set<number>();
  const wrongPorts: string[] = [];
  for (const { vmId, generation } of await recorded()) {
    const qemu = qemusOf(processes, vmDir(vmId)).find(({ argv }) => argv.includes(generation?.uuid ?? ""));
    if (!qemu) continue;
    sessions.add(qemu.session);
    const named = [generation?.boundApiPort, generation?.boundSshPort].filter((port) => port !== undefined);
    const open = await listeningPorts(qemu.pid);
    const stray = open.filter((port) => !named.includes(port));
    wrongPorts.push(
      ...stray.map((port) => `${vmId}: port ${port} is open, the record names ${named.join()}`),
    );
  }
  const strays = processes.filter(({ session }) => !sessions.has(session));
  return [...strays.map(({ pid, argv }) => `process ${pid}: ${argv.join(" ").slice(0, 200)}`), ...wrongPorts];
}

async function strayFiles(): Promise<string[]> {
  const records = await recorded();
  const stray: string[] = [];
  const expect = async (folder: string, isNamed: (name: string) => boolean) => {
    const names = await readdir(folder).catch(() => []);
    stray.push(...names.filter((name) => !isNamed(name)).map((name) => join(folder, name)));
    return names;
  };
  await expect(vmsDir(), (name) => records.some(({ vmId }) => vmId === name));
  for (const { vmId, generation } of records) {
    const current = String(generation?.number);
    const names = await expect(
      vmDir(vmId),
      (name) => ["record.json", current].includes(name) || name.startsWith("lock."),
    );
    // The highest counts; whoever was killed between two leaves both until the next operation.
    const locks = names.filter((name) => name.startsWith("lock."));
    if (locks.length > 2) stray.push(...locks.map((name) => join(vmDir(vmId), name)));
    const { qmpSocket = "", controlSocket = "", guestSocket = "" } = generation ?? {};
    const sockets = [qmpSocket, controlSocket, guestSocket].map((path) => basename(path));
    await expect(shortSocketDir(vmId), (name) => sockets.includes(name));
  }
  const shortOnes = records.map(({ vmId }) => basename(shortSocketDir(vmId)));
  await expect(process.env["TMPDIR"]!, (name) => !name.startsWith("microvm-") || shortOnes.includes(name));
  return stray;
}

/** Half-written files in the cache. */
export async function partialFiles(): Promise<string[]> {
  const cache = process.env["MICROVM_CACHE_DIR"]!;
  const entries = await readdir(cache, { recursive: true, withFileTypes: true }).catch(() => []);
  const isWhole = /(^|\/)[0-9a-f]{64}(\.json)?$|\/warm\/[0-9a-f]{64}\/(memory|state|description\.json)$/;
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !isWhole.test(path));
}

/** Every way in which a VM ceases to be what its stack says: refresh shows each in words, and a plain up mends all, refreshed or not. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { query } from "../../src/client/index.js";
import { listRecords, statusOfRecord, type VmStatus } from "../../src/launcher/index.js";
import { connectQmp, removeHostForward, systemPowerdown, type QmpConnection } from "../../src/qmp/index.js";
import { openProject, type PulumiProject } from "../../tools/pulumi-project.js";
import { neighboursOnHost, sampleQuery } from "../../tools/sample-rvf.js";
import { pretendReboot } from "../support/reboot.js";
import { expectNeighbours, sampleRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";
import { tell, toldGuest, writeToldInitramfs } from "../support/told-guest.js";
import { eventually, isAlive } from "../support/wait.js";

const state = privateState();
const told = () => join(state.dir, "told.sock");

const qmp = async ({ qmpSocket }: VmStatus, talk: (monitor: QmpConnection) => Promise<unknown>) => {
  await using monitor = await connectQmp(qmpSocket);
  await talk(monitor);
};

const ended = async ({ pid }: VmStatus) => await eventually(() => !isAlive(pid));

interface Drift {
  happens: (vm: VmStatus) => Promise<unknown>;
  /** What is said of it. */
  words: string;
  /** What follows these words. */
  then: "the console" | "nothing";
  /** Whether the VM that runs is mended. */
  inPlace?: true;
}

/** By the name of the VM that it befalls. */
const drifts: Record<string, Drift> = {
  killed: {
    happens: async (vm) => {
      process.kill(vm.pid, "SIGKILL");
      await ended(vm);
    },
    words: "exited: QEMU was killed by SIGKILL",
    then: "nothing",
  },
  panicked: {
    happens: async (vm) => {
      await tell(told(), "c");
      await ended(vm);
    },
    words: "exited: the guest's kernel panicked",
    then: "the console",
  },
  off: {
    happens: async (vm) => {
      await qmp(vm, systemPowerdown);
      await ended(vm);
    },
    words: "exited: the guest powered off",
    then: "the console",
  },
  rebooted: {
    happens: async (vm) => {
      await pretendReboot(vm);
      await ended(vm);
    },
    words: "exited: the host was booted anew while it ran",
    then: "nothing",
  },
  stopped: {
    happens: async ({ pid }) => Promise.resolve(process.kill(pid, "SIGSTOP")),
    words: "its process is stopped",
    then: "the console",
  },
  unheard: {
    happens: async ({ qmpSocket }) => await rm(qmpSocket),
    words: "QEMU's socket ",
    then: "nothing",
  },
  unreached: {
    happens: async (vm) =>
      await qmp(vm, (monitor) =>
        removeHostForward(monitor, {
          netdev: "net0",
          hostAddress: "127.0.0.1",
          hostPort: vm.boundApiPort,
        }),
      ),
    words: "its forward from 127.0.0.1:",
    then: "nothing",
    inPlace: true,
  },
  // Without a link it gets no packet, and gives no reply.
  hung: {
    happens: async (vm) =>
      await qmp(vm, (monitor) => monitor.execute("set_link", { name: "net0", up: false })),
    words: "hung: QEMU runs, but its guest gave no HTTP answer within ",
    then: "the console",
  },
};
const names = Object.keys(drifts);

let project: PulumiProject;
let rvfPath: string;

beforeAll(async () => {
  rvfPath = await sampleRvf();
  const initramfsPath = join(state.dir, "told");
  await writeToldInitramfs(initramfsPath);
  project = await openProject({
    directory: fileURLToPath(new URL("../fixtures/projects/several", import.meta.url)),
    workFolder: state.dir,
    stack: "drift",
    env: process.env,
  });
  const args = { rvfPath, apiPort: 0, memoryMb: 96, warmStart: true };
  // One that went on from a saved state has nothing on its console until it says something new.
  const cold = { ...args, warmStart: false };
  const all = {
    ...Object.fromEntries(names.map((name) => [name, args])),
    panicked: { ...cold, ...toldGuest(initramfsPath, told()) },
    hung: cold,
  };
  await project.pulumi(["config", "set", "vms", JSON.stringify(all)]);
  await project.pulumi(["up", "--yes", "--skip-preview"]);
}, 400_000);

const pulumi = async (command: string): Promise<string> =>
  String((await project.pulumi([command, "--yes", "--skip-preview"])).all);

async function vms(): Promise<Record<string, VmStatus>> {
  const records = await listRecords();
  return Object.fromEntries(
    await Promise.all(records.map(async (record) => [record.name, await statusOfRecord(record)] as const)),
  );
}

/** Has it happen to each of these VMs, and returns what they were. */
async function befall(befallen: string[]): Promise<Record<string, VmStatus>> {
  const before = await vms();
  // A signal to process 0 would go to every process of the tests.
  for (const name of befallen) expect([name, before[name]?.pid || 0]).not.toEqual([name, 0]);
  await Promise.all(befallen.map(async (name) => await drifts[name]!.happens(before[name]!)));
  return before;
}

function expectTold(words: string, befallen: string[]): void {
  // While it works, the CLI mixes what is said; here it sums up.
  const summary = words.slice(words.indexOf("Diagnostics:"));
  for (const name of befallen) {
    const drift = drifts[name]!;
    const line = `${name}: ${drift.words}`;
    expect(summary).toContain(line);
    const rest = summary.slice(summary.indexOf(line));
    expect(rest).toMatch(
      drift.then === "the console"
        ? /^[^\n]+; `pulumi up` starts it anew\n\s*the console's last lines:\n\s*\| \S/
        : /^[^\n]+; `pulumi up` (starts it anew|mends that while it runs)\n(?!\s*the console's last lines)/,
    );
  }
}

interface Deployment {
  deployment: { resources: { urn: string; type: string; outputs: Record<string, unknown> }[] };
}

/** The stack's state has these statuses. */
async function expectStored(statusOf: (name: string) => string): Promise<void> {
  const { stdout } = await project.pulumi(["stack", "export", "--stack", "drift"]);
  const { deployment } = JSON.parse(String(stdout)) as Deployment;
  const stored = deployment.resources.flatMap(({ urn, type, outputs }) =>
    type.endsWith("microvm:MicroVm") ? [[urn.split("::").at(-1)!, String(outputs["status"])]] : [],
  );
  const wanted = names.map((name) => [name, expect.stringContaining(statusOf(name)) as string]);
  expect(Object.fromEntries(stored)).toEqual(Object.fromEntries(wanted));
}

/** Each is the VM that it was, with a QEMU of its own that runs, and answers rightly. */
async function expectMended(before: Record<string, VmStatus>, befallen: string[]): Promise<void> {
  const reference = neighboursOnHost(rvfPath, sampleQuery(1), 3);
  const now = await vms();
  expect(Object.keys(now).sort()).toEqual([...names].sort());
  for (const [name, { vmId, boundApiPort, pid, status, url }] of Object.entries(now)) {
    const former = before[name]!;
    expect({ vmId, boundApiPort, status }).toEqual({
      vmId: former.vmId,
      boundApiPort: former.boundApiPort,
      status: "running",
    });
    const isAnother = befallen.includes(name) && !drifts[name]!.inPlace;
    expect([name, pid !== former.pid, isAlive(former.pid)]).toEqual([name, isAnother, !isAnother]);
    expectNeighbours(await query(url, sampleQuery(1), 3), reference);
  }
}

test("refresh shows each in words, with the console where that may tell more, and up mends all", async () => {
  const before = await befall(names);
  expectTold(await pulumi("refresh"), names);
  await expectStored((name) => drifts[name]!.words);
  await pulumi("up");
  await expectMended(before, names);
  await expectStored(() => "running");
}, 400_000);

test("up without a refresh says and does the same", async () => {
  // What is said of a hang, and done about it, does not depend on a refresh, and takes twice ten seconds to find out.
  const quick = names.filter((name) => name !== "hung");
  const before = await befall(quick);
  expectTold(await pulumi("up"), quick);
  await expectMended(before, quick);
  await pulumi("destroy");
  expect(await leftovers()).toEqual([]);
}, 400_000);

/** What becomes of a VM between two `up`s: told by refresh, and mended by the next `up` without one. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { query } from "../../src/client/index.js";
import type { State } from "../../src/provider/inputs.js";
import { connectQmp, removeHostForward, systemPowerdown, type QmpConnection } from "../../src/qmp/index.js";
import { sampleQuery } from "../../tools/sample-rvf.js";
import { pretendReboot } from "../support/reboot.js";
import { privateState } from "../support/state.js";
import { tell, toldGuest, writeToldInitramfs } from "../support/told-guest.js";
import { eventually, isAlive } from "../support/wait.js";
import { makeVm, type Made } from "./made.js";
import { startPlugin, type Plugin } from "./plugin.js";

const state = privateState();
let vm: Made;
let outs: State;
let told: string;

beforeAll(async () => {
  const initramfsPath = join(state.dir, "told");
  told = join(state.dir, "told.sock");
  await writeToldInitramfs(initramfsPath);
  await using plugin = await startPlugin();
  vm = await makeVm(plugin, toldGuest(initramfsPath, told));
  outs = vm.outs;
});
afterAll(async () => {
  await using plugin = await startPlugin();
  await plugin.delete(vm.id, outs);
});

const qmp = async (talk: (monitor: QmpConnection) => Promise<unknown>) => {
  await using monitor = await connectQmp(outs.qmpSocket);
  await talk(monitor);
};

const localhost = { netdev: "net0", hostAddress: "127.0.0.1" };

/** Without one a guest gets no packet, and so gives no reply, like one that hangs. */
const setLink = (monitor: QmpConnection, up: boolean) => monitor.execute("set_link", { name: "net0", up });

/** Its end, however that came. */
const end = async (bring: () => Promise<unknown>) => {
  await bring();
  await eventually(() => !isAlive(outs.pid));
};

interface Row {
  what: string;
  happens: () => Promise<unknown>;
  /** What refresh tells. */
  words: RegExp;
  /** Whether the VM that runs is mended. */
  inPlace?: true;
  /** Whether the console's last lines are told, which may say more. */
  console?: true;
}

const rows: Row[] = [
  {
    what: "its guest panicked",
    happens: () => end(() => tell(told, "c")),
    words: /^exited: the guest's kernel panicked/,
    console: true,
  },
  {
    what: "it was powered off by hand",
    happens: () => end(() => qmp(systemPowerdown)),
    words: /^exited: .*powered off/,
    console: true,
  },
  {
    what: "the host was booted anew",
    happens: () => end(() => pretendReboot(outs)),
    words: /^exited: the host was booted anew while it ran$/,
  },
  {
    what: "its process was halted",
    happens: () => qmp((monitor) => monitor.execute("stop")),
    words: /^paused$/,
    console: true,
  },
  {
    what: "its QMP socket was removed",
    happens: () => rm(outs.qmpSocket),
    words: /^QEMU's socket \S+qmp\.sock was removed$/,
  },
  {
    what: "its port forward was removed",
    happens: () =>
      qmp((monitor) => removeHostForward(monitor, { ...localhost, hostPort: outs.boundApiPort })),
    words: /^its forward from 127\.0\.0\.1:\d+ to the guest's 8080 was removed$/,
    inPlace: true,
  },
  {
    what: "its guest hangs: it gives no reply",
    happens: () => qmp((monitor) => setLink(monitor, false)),
    words: /^hung: QEMU runs, but its guest gave no HTTP answer within \d+ s /,
    console: true,
  },
];

test.each(rows)("$what: refresh tells it, up without one mends it", async ({ happens, words, ...row }) => {
  await happens();
  // A phase has a process of its own.
  await using plugin: Plugin = await startPlugin();
  const { props, inputs } = await plugin.read(vm.id, outs);
  expect(props.status).toMatch(words);
  expect(inputs).toEqual({ ...vm.inputs, condition: props.status });
  const output = plugin.output();
  expect(output).toContain(`db: ${props.status}; \`pulumi up\` `);
  expect(/the console's last lines:\n {2}\| \S/.test(output)).toBe(row.console ?? false);

  // The next check asks for what the program always asked for, whether or not somebody refreshed.
  expect((await plugin.check(vm.inputs, inputs)).inputs).toEqual(vm.inputs);
  const updated = await plugin.update(vm.id, outs, vm.inputs);
  expect(updated.status).toBe("running");
  expect([updated.pid === outs.pid, isAlive(outs.pid)]).toEqual(row.inPlace ? [true, true] : [false, false]);
  expect(updated.boundApiPort).toBe(outs.boundApiPort);
  outs = updated;
  expect(await query(outs.url, sampleQuery(1), 2)).toHaveLength(2);
  // What a refresh had written down goes with the next one.
  expect(await plugin.read(vm.id, { ...outs, condition: props.status })).toMatchObject({
    props: { condition: "running", status: "running" },
    inputs: { condition: "running" },
  });
});

test("up sees it too, and says it once, also where something else is to change", async () => {
  process.kill(outs.pid, "SIGKILL");
  await eventually(() => !isAlive(outs.pid));
  await using plugin = await startPlugin();
  for (const change of [{ memoryMb: 256 }, {}]) {
    expect(await plugin.diff(vm.id, outs, { ...vm.inputs, ...change })).toBe(true);
    expect(plugin.output().match(/killed by SIGKILL/g)).toHaveLength(1);
  }
  outs = await plugin.update(vm.id, outs, vm.inputs);
  expect(await plugin.diff(vm.id, outs, vm.inputs)).toBe(false);
});

test("a guest that replies late is none that hangs", async () => {
  await qmp((monitor) => setLink(monitor, false));
  await using plugin = await startPlugin();
  const seen = plugin.diff(vm.id, outs, vm.inputs);
  await qmp((monitor) => setLink(monitor, true));
  expect(await seen).toBe(false);
  expect(plugin.output()).toBe("");
});

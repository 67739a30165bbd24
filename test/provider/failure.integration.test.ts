/** A create that fails says why in one message for a person, and leaves nothing behind but what the state then holds. */
import { createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { query } from "../../src/client/index.js";
import { listRecords } from "../../src/launcher/index.js";
import type { Inputs } from "../../src/provider/inputs.js";
import { connectQmp } from "../../src/qmp/index.js";
import { makeSampleRvf, sampleQuery } from "../../tools/sample-rvf.js";
import { appliancePath, stuckRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";
import { tell, toldGuest, writeWaitingInitramfs } from "../support/told-guest.js";
import { eventually, isAlive } from "../support/wait.js";
import { checkedInputs, makeVm } from "./made.js";
import { initFailureOf, startPlugin, type InitFailure, type Plugin } from "./plugin.js";
import { sampleState } from "./samples.js";

const state = privateState();
let plugin: Plugin;

beforeAll(async () => {
  plugin = await startPlugin();
});
afterAll(async () => await plugin[Symbol.asyncDispose]());

const errorOf = async (operation: Promise<unknown>): Promise<{ details: string }> =>
  await operation.then(
    () => Promise.reject(new Error("it did not fail")),
    (error: { details: string }) => error,
  );

async function messageOf(inputs: Inputs): Promise<string> {
  const error = await errorOf(plugin.create(inputs));
  expect(initFailureOf(error)).toBeUndefined();
  expect(await leftovers()).toEqual([]);
  // Nothing but warnings is printed beside it: the engine shows the message once.
  expect(
    plugin
      .output()
      .replace(/^db: warning: .*$/gm, "")
      .trim(),
  ).toBe("");
  return error.details;
}

/** What is stored of a VM that was started and did not become ready; of the reasons the first, which is the only one. */
async function unreadyOf(operation: Promise<unknown>): Promise<InitFailure & { reason: string }> {
  const failure = initFailureOf(await errorOf(operation))!;
  expect(Object.keys(failure.properties)).toEqual(expect.arrayContaining(Object.keys(sampleState)));
  expect((await listRecords()).map(({ vmId }) => vmId)).toEqual([failure.id]);
  expect(failure.reasons).toHaveLength(1);
  const [reason = ""] = failure.reasons;
  const last = `\nThe state holds ${failure.id} as it is: \`pulumi up\` mends it, \`pulumi destroy\` removes it.`;
  expect(reason.slice(-last.length)).toBe(last);
  return { ...failure, reason: reason.slice(0, -last.length) };
}

/** `CODE: message`, the evidence behind bars, the hint. */
const wholeStory = (code: string, message: RegExp, evidence: RegExp): RegExp =>
  new RegExp(
    `^${code}: [^\\n]*${message.source}[^\\n]*\\n(?:  \\| [^\\n]*\\n)*  \\| [^\\n]*${evidence.source}[^\\n]*\\n` +
      `(?:  \\| [^\\n]*\\n)*[A-Z][^\\n]*$`,
  );

test("QEMU does not like an argument", async () => {
  const args = { extraArgs: ["-no-such-option"], allowUnsafeArgs: true };
  const message = await messageOf(await checkedInputs(plugin, args));
  expect(message).toMatch(
    wholeStory("QemuExited", /exited with status 1/, /-no-such-option: invalid option/),
  );
});

test("a port that is taken between check and create", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port: apiPort } = server.address() as AddressInfo;
  try {
    const message = await messageOf({ ...(await checkedInputs(plugin)), apiPort });
    expect(message).toMatch(
      new RegExp(`^PortInUse: port ${apiPort} .* by pid ${process.pid} .*\n.*another apiPort, where 0 takes`),
    );
  } finally {
    server.close();
  }
});

test("a file that goes away between check and create", async () => {
  const message = await messageOf({ ...(await checkedInputs(plugin)), rvfPath: join(state.dir, "gone.rvf") });
  expect(message).toMatch(/^FileNotFound: /);
});

test("a guest whose kernel panics stays in the state, and the next up boots it with what is right now", async () => {
  const panics = join(state.dir, "panics.rvf");
  await makeSampleRvf(panics, { image: appliancePath(), count: 10, cmdline: "rdinit=/missing" });
  const inputs = await checkedInputs(plugin, { rvfPath: panics });
  const lost = await unreadyOf(plugin.create(inputs));
  // One that no state came to hold is cleared away by the next create, which has no id of it.
  const { id, properties, reason } = await unreadyOf(plugin.create(inputs));
  expect(id).not.toBe(lost.id);
  expect(reason).toMatch(wholeStory("QemuExited", /Kernel panic - not syncing/, /Kernel panic/));
  const status = expect.stringMatching(/^its launch failed: QemuExited: .*panicked/) as string;
  expect(properties).toMatchObject({ ...inputs, vmId: id, pid: 0, status });

  await using next = await startPlugin();
  expect((await next.read(id, properties)).props).toMatchObject({ ...properties, condition: status });
  expect(next.output()).toMatch(/its launch failed: QemuExited: [^]*the console's last lines:\n {2}\| /);
  expect(await next.diff(id, properties, inputs)).toBe(true);
  const news = await checkedInputs(next);
  const outs = await next.update(id, properties, news);
  expect(outs).toMatchObject({ vmId: id, status: "running", boundApiPort: properties.boundApiPort });
  expect(await next.diff(id, outs, news)).toBe(false);
  await next.delete(id, outs);
  expect(await leftovers([id])).toEqual([]);
});

test("a guest that is late runs on: the next up boots it anew, or finds it ready", async () => {
  const [initramfsPath, socket] = [join(state.dir, "waiting"), join(state.dir, "told.sock")];
  await writeWaitingInitramfs(initramfsPath);
  const waits = { ...toldGuest(initramfsPath, socket), readyTimeoutSeconds: 1 };
  const inputs = await checkedInputs(plugin, waits);
  const first = await unreadyOf(plugin.create(inputs));
  const { id } = first;
  expect(first.reason).toMatch(
    wholeStory("Timeout", /did not answer within 1 s/, /the console's last lines/),
  );
  const status = expect.stringMatching(/^its launch failed, and QEMU runs: Timeout: /) as string;
  expect(first.properties).toMatchObject({ ...inputs, vmId: id, status });
  expect(isAlive(first.properties.pid)).toBe(true);

  expect(await plugin.diff(id, first.properties, inputs)).toBe(true);
  const second = await unreadyOf(plugin.update(id, first.properties, inputs));
  expect([second.id, isAlive(first.properties.pid)]).toEqual([id, false]);
  expect(second.properties).toMatchObject({ ...inputs, status, boundApiPort: first.properties.boundApiPort });

  // What comes before that the kernel throws away.
  const { consoleLog } = second.properties;
  await eventually(async () => (await readFile(consoleLog, "utf8")).includes("flood"));
  await tell(socket, "!");
  const cameUp = "it came up after its launch had failed";
  await eventually(async () => (await plugin.read(id, second.properties)).props.status === cameUp);
  expect(await plugin.diff(id, second.properties, inputs)).toBe(true);
  const outs = await plugin.update(id, second.properties, inputs);
  expect(outs).toMatchObject({ pid: second.properties.pid, status: "running" });
  expect(await plugin.diff(id, outs, inputs)).toBe(false);
  await plugin.delete(id, outs);
  expect(await leftovers([id])).toEqual([]);
});

test("customTimeouts: a create or update is called off, and nothing has changed; a delete ends by killing", async () => {
  const create = {
    ...(await checkedInputs(plugin, { rvfPath: await stuckRvf() })),
    customTimeouts: { create: "1.5s" },
  };
  expect((await errorOf(plugin.create(create))).details).toMatch(
    /^Timeout: the create took longer than customTimeouts allows, 1\.5s\n.*Raise customTimeouts\.create/,
  );
  expect(await leftovers()).toEqual([]);

  await using vm = await makeVm(plugin);
  const update = { ...vm.inputs, rvfPath: create.rvfPath, customTimeouts: { update: "1500ms" } };
  const error = await errorOf(plugin.update(vm.id, vm.outs, update));
  expect(error.details).toMatch(/^Timeout: the update took longer than customTimeouts allows, 1500ms\n/);
  expect(initFailureOf(error)).toBeUndefined();
  expect(await plugin.read(vm.id, vm.outs)).toEqual({ id: vm.id, props: vm.outs });

  // No processor runs, so nobody hears of the power button, of which the guest has 10 s to obey.
  await using monitor = await connectQmp(vm.outs.qmpSocket);
  await monitor.execute("stop");
  const limited = { ...vm.inputs, customTimeouts: { delete: "300ms" } };
  expect(await plugin.diff(vm.id, vm.outs, limited)).toBe(true);
  await plugin.delete(vm.id, { ...vm.outs, customTimeouts: limited.customTimeouts });
  const told = /killed by SIGKILL \(sigkill\) after \d+ ms; customTimeouts\.delete allows 300ms$/;
  await eventually(() => told.test(plugin.output()));
  expect(await leftovers([vm.id])).toEqual([]);
});

test("a VM that is stopped first is booted again by its old inputs when the new one fails, and the state tells it", async () => {
  await using vm = await makeVm(plugin, { updateStrategy: "stopFirst" });
  const { id, inputs, outs } = vm;
  const initramfsPath = join(state.dir, "not-an-initramfs");
  await writeFile(initramfsPath, "nothing that a kernel could run\n");
  const news = { ...inputs, initramfsPath, memoryMb: 140 };
  const { properties, reason } = await unreadyOf(plugin.update(id, outs, news));
  expect(reason).toMatch(/^QemuExited: [^]*The VM was booted again as it was before this update\.$/);
  expect(properties.pid).not.toBe(outs.pid);
  expect(properties).toMatchObject({ ...inputs, vmId: id, url: outs.url, status: "running" });
  expect(await query(properties.url, sampleQuery(1), 2)).toHaveLength(2);
  expect(await plugin.read(id, properties)).toEqual({ id, props: properties });
  expect(await plugin.diff(id, properties, news)).toBe(true);
  // Back to what the program said before, of which the engine calls update after such an error.
  expect(await plugin.update(id, properties, inputs)).toEqual(properties);
});

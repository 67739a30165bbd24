/** A create that fails says why in one message for a person, and leaves nothing behind. */
import { createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import type { Inputs } from "../../src/provider/inputs.js";
import { makeSampleRvf } from "../../tools/sample-rvf.js";
import { appliancePath } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";
import { checkedInputs, makeVm } from "./made.js";
import { startPlugin, type Plugin } from "./plugin.js";

const state = privateState();
let plugin: Plugin;

beforeAll(async () => {
  plugin = await startPlugin();
});
afterAll(async () => await plugin[Symbol.asyncDispose]());

async function messageOf(inputs: Inputs): Promise<string> {
  const error = (await plugin.create(inputs).then(
    () => undefined,
    (reason: unknown) => reason,
  )) as { details: string } | undefined;
  expect(await leftovers()).toEqual([]);
  // Nothing but warnings is printed beside it: the engine shows the message once.
  expect(
    plugin
      .output()
      .replace(/^db: warning: .*$/gm, "")
      .trim(),
  ).toBe("");
  return error!.details;
}

/** `CODE: message`, the evidence behind bars, the hint. */
const wholeStory = (code: string, message: RegExp, evidence: RegExp): RegExp =>
  new RegExp(
    `^${code}: [^\\n]*${message.source}[^\\n]*\\n(?:  \\| [^\\n]*\\n)*  \\| [^\\n]*${evidence.source}[^\\n]*\\n` +
      `(?:  \\| [^\\n]*\\n)*[A-Z][^\\n]*$`,
  );

test("the guest's kernel panics", async () => {
  const rvfPath = join(state.dir, "panics.rvf");
  await makeSampleRvf(rvfPath, { image: appliancePath(), count: 10, cmdline: "rdinit=/missing" });
  const message = await messageOf(await checkedInputs(plugin, { rvfPath }));
  expect(message).toMatch(wholeStory("QemuExited", /Kernel panic - not syncing/, /Kernel panic/));
});

test("the guest does not answer in time", async () => {
  const message = await messageOf(await checkedInputs(plugin, { readyTimeoutSeconds: 0.2 }));
  expect(message).toMatch(wholeStory("Timeout", /did not answer within 0\.2 s/, /the console's last lines/));
});

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
  expect(message).toMatch(/^RvfNotFound: /);
});

test("the same plugin makes the next VM all the same", async () => {
  await using vm = await makeVm(plugin);
  expect(vm.outs.status).toBe("running");
});

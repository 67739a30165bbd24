/** The plugin is told to go, is killed, or loses its engine, before and after its VM is made. */
import { destroyVm, listRecords, statusOf, type VmRecord } from "../../src/launcher/index.js";
import { stuckRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";
import { eventually, isAlive } from "../support/wait.js";
import { checkedInputs, makeVm } from "./made.js";
import { startPlugin, type Plugin } from "./plugin.js";

privateState();

/** How a create comes out, in words. */
const outcomeOf = async (create: Promise<{ id: string }>): Promise<string> =>
  await create.then(
    ({ id }) => `created ${id}`,
    (error: Error) => error.message,
  );

/** Starts a create of a guest that never gets ready, and returns once QEMU runs. */
async function halfMade(plugin: Plugin): Promise<VmRecord> {
  const inputs = await checkedInputs(plugin, { rvfPath: await stuckRvf() });
  // It never comes out while its plugin lives.
  void outcomeOf(plugin.create(inputs));
  const record = await eventually(async () =>
    (await listRecords()).find(({ generation }) => generation?.pid !== undefined),
  );
  expect(record.phase).toBe("creating");
  return record;
}

/** Whether it comes true within the time. */
const within = async (millis: number, event: Promise<unknown>): Promise<boolean> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), millis)));
  const inTime = await Promise.race([event.then(() => true), late]);
  clearTimeout(timer);
  return inTime;
};

test.each(["SIGINT", "SIGTERM"] as const)("%s during create: nothing is left within 5 s", async (name) => {
  await using plugin = await startPlugin();
  const record = await halfMade(plugin);
  plugin.signal(name);
  expect(await within(5000, plugin.exit)).toBe(true);
  expect(await leftovers([record.vmId])).toEqual([]);
});

test("SIGINT and SIGKILL after create: the VM stays, and nobody holds the plugin's output", async () => {
  await using plugin = await startPlugin();
  const { id, outs } = await makeVm(plugin);
  plugin.signal("SIGINT");
  expect(await within(2000, plugin.exit)).toBe(true);
  expect(() => plugin.signal("SIGKILL")).toThrow("ESRCH");
  expect(await within(2000, plugin.stdoutEnd)).toBe(true);
  expect(await statusOf(id)).toMatchObject({ state: "running", pid: outs.pid });

  await using next = await startPlugin();
  await next.delete(id, outs);
  expect(await leftovers([id])).toEqual([]);
});

test("SIGKILL after create: the same", async () => {
  await using plugin = await startPlugin();
  const { id, outs } = await makeVm(plugin);
  plugin.signal("SIGKILL");
  expect(await within(2000, plugin.stdoutEnd)).toBe(true);
  expect(await statusOf(id)).toMatchObject({ state: "running", pid: outs.pid });

  await using next = await startPlugin();
  await next.delete(id, outs);
});

test("killed during create: the next create of the resource clears it away first", async () => {
  const interrupted = await (async () => {
    await using plugin = await startPlugin();
    const record = await halfMade(plugin);
    plugin.signal("SIGKILL");
    await plugin.exit;
    return record;
  })();
  expect(isAlive(interrupted.generation!.pid!)).toBe(true);
  expect(await statusOf(interrupted.vmId)).toMatchObject({ state: "creating" });

  await using plugin = await startPlugin();
  await using vm = await makeVm(plugin);
  expect(isAlive(interrupted.generation!.pid!)).toBe(false);
  expect((await listRecords()).map(({ vmId }) => vmId)).toEqual([vm.id]);
});

test("another resource's interrupted create is left alone", async () => {
  const interrupted = await (async () => {
    await using plugin = await startPlugin();
    const record = await halfMade(plugin);
    plugin.signal("SIGKILL");
    await plugin.exit;
    return record;
  })();
  await using plugin = await startPlugin();
  await using _ = await makeVm(plugin, {}, "other");
  expect(isAlive(interrupted.generation!.pid!)).toBe(true);
  await destroyVm(interrupted.vmId, { from: "sigkill" });
});

test("the engine dies during create: the VM that nobody would know of is removed, and the plugin ends", async () => {
  await using plugin = await startPlugin({ underEngine: true });
  const inputs = await checkedInputs(plugin);
  void outcomeOf(plugin.create(inputs));
  process.kill(plugin.pid, "SIGKILL");
  await plugin.stdoutEnd;
  expect(await leftovers()).toEqual([]);
});

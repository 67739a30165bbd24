/** A create whose answer reached nobody's state, and the create of a replacement, look the same to the provider. */
import { destroyVm, listRecords, pruneVms, statusOf } from "../../src/launcher/index.js";
import { leftovers, privateState } from "../support/state.js";
import { checkedInputs, makeVm } from "./made.js";
import { startPlugin } from "./plugin.js";

privateState();

/** Whether the VM counts as one that no state is known to hold. */
const isUnclaimed = async (vmId: string): Promise<boolean> =>
  (await listRecords()).some((record) => record.vmId === vmId && record.unclaimed !== undefined);

test("a VM is taken over by the next create until its stack comes back to it, and then a new one is made", async () => {
  const first = await (async () => {
    await using plugin = await startPlugin();
    const { id, outs, inputs } = await makeVm(plugin);
    plugin.signal("SIGKILL");
    await plugin.exit;
    return { id, outs, inputs };
  })();
  const { id, inputs } = first;
  expect(await pruneVms({ all: true, dryRun: true })).toMatchObject({
    kept: [{ vmId: id, what: expect.stringContaining("project/stack has not come back to it") as string }],
  });

  await using next = await startPlugin();
  expect(await next.create(inputs)).toMatchObject({ id, outs: { pid: first.outs.pid } });
  expect(next.output()).toContain(`takes over ${id}`);
  // The engine deletes what a forced replacement replaced, which is that very VM.
  await next.delete(id, first.outs);
  expect(await statusOf(id)).toMatchObject({ state: "running", pid: first.outs.pid });

  await using third = await startPlugin();
  const changed = await checkedInputs(third, { memoryMb: 144 });
  const { outs } = await third.create(changed);
  expect(outs).toMatchObject({ vmId: id, memoryMb: 144, boundApiPort: first.outs.boundApiPort });
  expect(outs.pid).not.toBe(first.outs.pid);
  expect(await isUnclaimed(id)).toBe(true);

  expect(await third.diff(id, outs, changed)).toBe(false);
  expect(await isUnclaimed(id)).toBe(false);
  const replacement = await third.create(inputs);
  expect(replacement.id).not.toBe(id);
  expect(await statusOf(id)).toMatchObject({ state: "running", pid: outs.pid });

  await using last = await startPlugin();
  await last.read(replacement.id, { __provider: inputs.__provider });
  expect(await isUnclaimed(replacement.id)).toBe(true);
  await last.read(replacement.id, replacement.outs);
  expect(await isUnclaimed(replacement.id)).toBe(false);
  for (const vmId of [id, replacement.id]) await destroyVm(vmId, { from: "sigkill" });
});

test("one that cannot be what is wanted now is not left behind", async () => {
  const plugin = await startPlugin();
  const { id, inputs } = await makeVm(plugin);
  await plugin[Symbol.asyncDispose]();

  await using next = await startPlugin();
  await expect(next.create({ ...inputs, qemuBinary: "/none" })).rejects.toThrow("QemuNotFound");
  expect(await leftovers([id])).toEqual([]);
});

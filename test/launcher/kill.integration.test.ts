/** A kill is final: whoever is at work on the VM leaves it at that. */
import { attach, createVm, destroyVm, listRecords, updateVm } from "../../src/launcher/index.js";
import { fillQueue } from "../support/full-queue.js";
import { sampleRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";
import { eventually } from "../support/wait.js";

privateState();
const spec = async () => ({ rvfPath: await sampleRvf(), apiPort: 0, enableKvm: false });
const cancelled = { code: "Cancelled", message: expect.stringContaining("somebody killed") as string };

/** Kills the one VM there is. */
async function killOnly(): ReturnType<typeof destroyVm> {
  const [record] = await listRecords();
  return await destroyVm(record!.vmId, { from: "sigkill" });
}

test("a launch that waits for its turn is called off", async () => {
  const queue = await fillQueue();
  try {
    let said = "";
    const launch = createVm(await spec(), {
      keepUnready: true,
      onProgress: (text, weight) => void (weight && (said = text)),
    });
    const outcome = expect(launch).rejects.toMatchObject(cancelled);
    await eventually(() => said.startsWith("waiting for"));
    const [record] = await listRecords();
    expect(await destroyVm(record!.vmId, { from: "sigkill" })).toMatchObject({
      rung: "gone",
      calledOff: true,
    });
    await outcome;
    expect(await leftovers([record!.vmId])).toEqual([]);
  } finally {
    await queue.leave();
  }
});

test("a launch whose guest boots is called off", async () => {
  let kill: ReturnType<typeof destroyVm> | undefined;
  const launch = createVm(await spec(), {
    onProgress(text) {
      if (text.startsWith("QEMU runs")) kill = killOnly();
    },
  });
  await expect(launch).rejects.toMatchObject(cancelled);
  expect(await kill).toMatchObject({ rung: "sigkill", calledOff: true });
  expect(await leftovers()).toEqual([]);
});

test("a kill in the midst of a handover leaves neither VM", async () => {
  const vm = await createVm(await spec());
  let kill: ReturnType<typeof destroyVm> | undefined;
  const update = updateVm(
    vm.vmId,
    { ...(await spec()), vcpus: 2 },
    {
      onProgress(text) {
        if (text.startsWith("QEMU runs")) kill = killOnly();
      },
    },
  );
  await expect(update).rejects.toMatchObject({
    ...cancelled,
    hint: expect.not.stringContaining("serving") as string,
  });
  expect(await kill).toMatchObject({ rung: "sigkill", calledOff: true });
  expect(await leftovers([vm.vmId])).toEqual([]);
});

test("the handle's kill calls off an update, and leaves the record", async () => {
  const vm = await createVm(await spec());
  const handle = await attach(vm.vmId);
  let kill: Promise<unknown> | undefined;
  const update = updateVm(
    vm.vmId,
    { ...(await spec()), vcpus: 2 },
    {
      onProgress(text) {
        if (text.startsWith("QEMU runs")) kill = handle.kill();
      },
    },
  );
  await expect(update).rejects.toMatchObject(cancelled);
  await kill;
  expect((await handle.status()).state).toBe("exited");
  await handle.destroy();
  expect(await leftovers([vm.vmId])).toEqual([]);
});

test("an update that has stopped the old VM boots neither the new one nor the old one again", async () => {
  const vm = await createVm(await spec());
  const said: string[] = [];
  let kill: ReturnType<typeof destroyVm> | undefined;
  const onProgress = (text: string) => {
    said.push(text);
    if (/ after \d+ ms$/.test(text)) kill ??= killOnly();
  };
  const update = updateVm(
    vm.vmId,
    { ...(await spec()), vcpus: 2, updateStrategy: "stopFirst" },
    { onProgress },
  );
  await expect(update).rejects.toMatchObject(cancelled);
  expect(await kill).toMatchObject({ calledOff: true });
  expect(said).not.toContainEqual(expect.stringContaining("booting the old one again"));
  expect(await leftovers([vm.vmId])).toEqual([]);
});

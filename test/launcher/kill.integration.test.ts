/** A kill is final: whoever is at work on the VM leaves it at that. */
import { createVm, destroyVm, listRecords, updateVm } from "../../src/launcher/index.js";
import { fillQueue } from "../support/full-queue.js";
import { sampleRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";
import { eventually } from "../support/wait.js";

privateState();
const spec = async () => ({ rvfPath: await sampleRvf(), apiPort: 0, enableKvm: false });
const cancelled = { code: "Cancelled", message: expect.stringContaining("`microvm kill`") as string };

test("a launch that waits for its turn is called off", async () => {
  const queue = fillQueue();
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

test("an update that has stopped the old VM boots neither the new one nor the old one again", async () => {
  const vm = await createVm(await spec());
  const said: string[] = [];
  let kill: ReturnType<typeof destroyVm> | undefined;
  const onProgress = (text: string) => {
    said.push(text);
    if (text.startsWith("powered off")) kill = destroyVm(vm.vmId, { from: "sigkill" });
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

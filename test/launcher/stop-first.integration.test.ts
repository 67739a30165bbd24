/** An update on a host that has no room for two VMs at once. */
import type * as HostMemory from "../../src/launcher/host/host-memory.js";
import { eventually, isAlive } from "../support/wait.js";

/** Which the types of Jest do not tell of. */
const jest = import.meta.jest as unknown as {
  unstable_mockModule: (path: string, make: () => unknown) => void;
};
let old = 0;

// No test can fill a host's memory without harm to the others: it counts as taken as long as the old VM runs.
const actual = await import("../../src/launcher/host/host-memory.js");
jest.unstable_mockModule("../../src/launcher/host/host-memory.js", (): typeof HostMemory => ({
  ...actual,
  freeMemoryMb: () => (old !== 0 && isAlive(old) ? 100 : actual.freeMemoryMb()),
}));
// What imports the launcher has to come after that.
const { attach, createVm, destroyVm, updateVm } = await import("../../src/launcher/index.js");
const { fillQueue } = await import("../support/full-queue.js");
const { sampleRvf } = await import("../support/rvf.js");
const { leftovers, privateState } = await import("../support/state.js");

privateState();
const newsOf = () => {
  const news: string[] = [];
  return { news, onProgress: (text: string, weight?: "news") => void (weight && news.push(text)) };
};

test("the old VM is stopped before the new one boots, by itself, and that is said", async () => {
  const spec = { rvfPath: await sampleRvf(), apiPort: 0, enableKvm: false };
  const vm = await createVm(spec);
  old = vm.pid;
  const { news, onProgress } = newsOf();
  const next = await updateVm(vm.vmId, { ...spec, memoryMb: 140 }, { onProgress });
  expect(next).toMatchObject({ vmId: vm.vmId, state: "running", boundApiPort: vm.boundApiPort });
  expect(isAlive(vm.pid)).toBe(false);
  expect(news[0]).toBe(
    "warning: the VM does not answer while the new one boots: " +
      "this host has 100 MiB free, and two VMs at once would take 204 more",
  );
  await destroyVm(vm.vmId);
  expect(await leftovers([vm.vmId])).toEqual([]);
});

test("the old VM serves until it is the new one's turn, and goes on where that does not come", async () => {
  const spec = { rvfPath: await sampleRvf(), apiPort: 0, enableKvm: false };
  const vm = await createVm(spec);
  const wanted = { ...spec, vcpus: 2, updateStrategy: "stopFirst" as const };
  const queue = await fillQueue();
  const waiting = (news: string[]) => eventually(() => news.some((text) => text.startsWith("waiting for")));

  const stop = new AbortController();
  const first = newsOf();
  const calledOff = updateVm(vm.vmId, wanted, { ...first, signal: stop.signal });
  await waiting(first.news);
  stop.abort();
  await expect(calledOff).rejects.toMatchObject({ code: "Cancelled" });
  const second = newsOf();
  const updating = updateVm(vm.vmId, wanted, second);
  await waiting(second.news);
  expect(isAlive(vm.pid)).toBe(true);
  await (await attach(vm.vmId)).waitReady();
  await queue.leave();
  expect(await updating).toMatchObject({ state: "running", boundApiPort: vm.boundApiPort });
  expect(isAlive(vm.pid)).toBe(false);
  await destroyVm(vm.vmId);
  expect(await leftovers([vm.vmId])).toEqual([]);
});

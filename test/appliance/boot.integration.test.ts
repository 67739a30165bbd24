/** Both kernels, booted: what they find, and how they end. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { buildAppliance } from "../../src/appliance/index.js";
import { launch } from "../../src/launcher/index.js";
import { printable } from "../../src/launcher/evidence/console.js";
import { cacheDir } from "../../src/paths.js";
import { connectQmp } from "../../src/qmp/index.js";
import { makeSampleRvf, neighboursOnHost, sampleQuery } from "../../tools/sample-rvf.js";
import { appliancePath, expectNeighbours, sampleRvf } from "../support/rvf.js";
import { privateState } from "../support/state.js";
import { tell, toldGuest, writeToldInitramfs } from "../support/told-guest.js";

/** Where the set-up has built: each test file has a cache of its own. */
const shared = cacheDir();
const state = privateState();

test("the micro kernel runs as many CPUs as it is given, and is told its clocks' rates", async () => {
  const rvfPath = join(state.dir, "loud.rvf");
  await makeSampleRvf(rvfPath, { image: appliancePath(), cmdline: "loglevel=7 apic=verbose" });
  await using vm = await launch({ rvfPath, apiPort: 0, enableKvm: false, vcpus: 2 });
  const console = await readFile((await vm.status()).consoleLog, "utf8");
  expect(console).toMatch(/Linux version [\d.]+-microvm /);
  expect(console).toContain("smp: Brought up 1 node, 2 CPUs");
  expect(console).toContain("lapic timer already calibrated");
  expect(await vm.shutdown()).toMatchObject({ rung: "powerdown" });
});

test("what its /init says is on the console, from the first line to the last", async () => {
  await using vm = await launch({ rvfPath: await sampleRvf(), apiPort: 0, enableKvm: false });
  await vm.shutdown();
  const console = printable(await readFile((await vm.status()).consoleLog, "utf8"));
  const [first, ...others] = console.split("\n").filter((line) => line.startsWith("microvm: "));
  expect(first).toBe("microvm: started");
  // A guest that answers already may hear its button before it says that it serves.
  expect(others.sort()).toEqual([
    "microvm: power button pressed",
    "microvm: serving 3000 vectors of 32 dimensions on 0.0.0.0:8080",
  ]);
});

test("Debian's packaged kernel serves the same store and hears its power button", async () => {
  const rvfPath = join(state.dir, "packaged.rvf");
  const { path, kernelVersion } = await buildAppliance({ cacheDir: shared, kernel: "debian" });
  await makeSampleRvf(rvfPath, { image: path, cmdline: "loglevel=6" });
  await using vm = await launch({ rvfPath, apiPort: 0, enableKvm: false });
  expect(await readFile((await vm.status()).consoleLog, "utf8")).toContain(kernelVersion);
  const vector = sampleQuery(1);
  expectNeighbours(await vm.query(vector, 5), neighboursOnHost(rvfPath, vector, 5));
  expect(await vm.shutdown()).toMatchObject({ rung: "powerdown" });
});

test("a panic reaches the monitor too, by the machine's panic device", async () => {
  const initramfsPath = join(state.dir, "told-initramfs");
  await writeToldInitramfs(initramfsPath);
  const socket = join(state.dir, "told.sock");
  const guest = toldGuest(initramfsPath, socket);
  await using vm = await launch({ rvfPath: await sampleRvf(), apiPort: 0, enableKvm: false, ...guest });
  await using monitor = await connectQmp(vm.qmpSocket);
  const told = monitor.once("GUEST_PANICKED");
  await tell(socket, "c");
  expect((await told).data).toMatchObject({ action: "poweroff" });
});

/** A guest of another architecture than the host's: Debian's own arm64 kernel on QEMU's virt machine, emulated. */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { dryRun, launch, type VmSpecInput } from "../../src/launcher/index.js";
import { embedKernel } from "../../src/rvf/index.js";
import { makeSampleRvf } from "../../tools/sample-rvf.js";
import { arm64Kernel, writeArm64Initramfs } from "../support/aarch64.js";
import { leftovers, privateState } from "../support/state.js";

const state = privateState();
const place = (name: string): string => join(state.dir, name);
const reason = "the guest is aarch64, the host x64";

beforeAll(async () => {
  await makeSampleRvf(place("plain.rvf"), { count: 10 });
  const [image, out] = [arm64Kernel(), place("arm64.rvf")];
  await embedKernel(place("plain.rvf"), { image, arch: "aarch64", apiPort: 7000, out });
  await writeArm64Initramfs(place("initramfs"));
});

test.each<[string, () => Partial<VmSpecInput> & { rvfPath: string }]>([
  ["out of an RVF", () => ({ rvfPath: place("arm64.rvf") })],
  ["by kernelPath", () => ({ rvfPath: place("plain.rvf"), kernelPath: arm64Kernel() })],
])("a kernel %s says what it is, and panics without a root file system", async (_, spec) => {
  const failure: unknown = await launch({ ...spec(), apiPort: 0 }).catch((error: unknown) => error);
  expect(failure).toMatchObject({
    code: "QemuExited",
    message: expect.stringMatching(/panicked.*Unable to mount root fs/) as string,
    evidence: expect.stringContaining("mount_block_root+") as string,
  });
  expect(await leftovers()).toEqual([]);
});

test("with an init it serves: disk, network, ready port, more CPUs than its older interrupt controller takes", async () => {
  await using vm = await launch({
    rvfPath: place("arm64.rvf"),
    initramfsPath: place("initramfs"),
    apiPort: 0,
    memoryMb: 256,
    vcpus: 9,
    shutdownTimeoutSeconds: 1,
  });
  const get = async (path: string) => await (await fetch(`http://127.0.0.1:${vm.apiPort}${path}`)).text();
  expect([await get("/disk"), await get("/cpus")]).toEqual(["SFVR", "9\n"]);
  const { accelerator, acceleratorReason, consoleLog } = await vm.status();
  expect({ accelerator, acceleratorReason }).toEqual({ accelerator: "tcg", acceleratorReason: reason });
  const console = await readFile(consoleLog, "utf8");
  expect(console).toMatch(/Linux version .*arm64/);
  expect(console).toContain("the guest serves on aarch64");
  expect(await readFile(join(dirname(consoleLog), "ready"), "utf8")).toMatch(/^ready [0-9a-f]{32}\n$/);
  // Nothing in this kernel hears the power button, a GPIO key.
  expect(await vm.destroy()).toMatchObject({ rung: "quit" });
  expect(await leftovers()).toEqual([]);
});

test("a dry run names QEMU, machine and console of its architecture", async () => {
  const { argv, accelerator, cmdline } = await dryRun({ rvfPath: place("arm64.rvf") });
  expect(argv[0]).toMatch(/qemu-system-aarch64$/);
  expect(argv[argv.indexOf("-machine") + 1]).toBe("virt,accel=tcg,gic-version=max");
  expect({ accelerator, cmdline }).toEqual({
    accelerator: "tcg",
    cmdline: "console=ttyAMA0 panic=-1 earlycon loglevel=6 rvf.port=7000 microvm.nonce=0",
  });
});

test("a QEMU for another architecture is refused by the machine it lacks", async () => {
  await expect(
    launch({ rvfPath: place("arm64.rvf"), qemuBinary: "qemu-system-x86_64" }),
  ).rejects.toMatchObject({ code: "QemuNotFound", property: "qemuBinary" });
});

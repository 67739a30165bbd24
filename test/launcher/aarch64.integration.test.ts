/** A guest of another architecture than the host's: Debian's own arm64 kernel on QEMU's virt machine, emulated. */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { dryRun, launch } from "../../src/launcher/index.js";
import { embedKernel } from "../../src/rvf/index.js";
import { makeSampleRvf, neighboursOnHost, sampleQuery } from "../../tools/sample-rvf.js";
import { arm64Kernel, testWithArm64Init, writeArm64Initramfs } from "../support/aarch64.js";
import { expectNeighbours } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";

const state = privateState();
const place = (name: string): string => join(state.dir, name);
const reason = "the guest is aarch64, the host x64";

beforeAll(async () => {
  await makeSampleRvf(place("plain.rvf"), { count: 10 });
  const [image, out] = [arm64Kernel(), place("arm64.rvf")];
  await embedKernel(place("plain.rvf"), { image, arch: "aarch64", apiPort: 7000, out });
});

test("a kernel out of an RVF says what it is, and panics without a root file system", async () => {
  const failure: unknown = await launch({ rvfPath: place("arm64.rvf"), apiPort: 0 }).catch(
    (error: unknown) => error,
  );
  expect(failure).toMatchObject({
    code: "QemuExited",
    message: expect.stringMatching(/panicked.*Unable to mount root fs/) as string,
    evidence: expect.stringContaining("mount_block_root+") as string,
  });
  expect(await leftovers()).toEqual([]);
});

testWithArm64Init(
  "by kernelPath, with our /init, it serves from more CPUs than its older interrupt controller takes, and hears its power button",
  async () => {
    await writeArm64Initramfs(place("initramfs"));
    await using vm = await launch({
      rvfPath: place("plain.rvf"),
      kernelPath: arm64Kernel(),
      initramfsPath: place("initramfs"),
      apiPort: 0,
      memoryMb: 256,
      vcpus: 9,
    });
    const { accelerator, acceleratorReason, consoleLog } = await vm.status();
    expect({ accelerator, acceleratorReason }).toEqual({ accelerator: "tcg", acceleratorReason: reason });
    expect(await readFile(join(dirname(consoleLog), "ready"), "utf8")).toMatch(/^ready [0-9a-f]{32}\n$/);
    const console = await readFile(consoleLog, "utf8");
    expect(console).toMatch(/Linux version .*arm64/);
    expect(console).toContain("serving 10 vectors of 32 dimensions");
    const vector = sampleQuery(1);
    expectNeighbours(await vm.query(vector, 5), neighboursOnHost(place("plain.rvf"), vector, 5));
    expect(await vm.shutdown()).toMatchObject({ rung: "powerdown" });
    expect(await vm.status()).toMatchObject({ status: "exited: the guest powered off" });
    await vm.destroy();
    expect(await leftovers()).toEqual([]);
  },
);

test("a dry run names QEMU, machine and console of its architecture", async () => {
  const { argv, accelerator, cmdline } = await dryRun({ rvfPath: place("arm64.rvf") });
  expect(argv[0]).toMatch(/qemu-system-aarch64$/);
  expect(argv[argv.indexOf("-machine") + 1]).toBe("virt,gic-version=max");
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

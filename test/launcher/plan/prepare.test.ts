/** What a preview can find without starting anything: kernels that cannot be booted here, a QEMU that is none. */
import { chmodSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { extractToFiles } from "../../../src/launcher/index.js";
import { examine } from "../../../src/launcher/plan/prepare.js";
import { parseSpec, type VmSpecInput } from "../../../src/launcher/spec.js";
import { bzImage, elf, kernel, manifest, rvf, scratch, vec } from "../../rvf/build.js";

const { file } = scratch();
const program = (text: string): string => {
  const path = file(Buffer.from(`#!/bin/sh\n${text}\n`));
  chmodSync(path, 0o755);
  return path;
};
const qemuBinary = program(`case "$1" in
-version) echo "QEMU emulator version 7.2.22" ;;
-machine) printf 'Supported machines are:\\nmicrovm  microvm (i386)\\nvirt  virt\\n' ;;
esac`);

const withKernel = async (spec: Parameters<typeof kernel>[0]): Promise<string> =>
  file(await rvf(vec(), kernel(spec), manifest));
const examined = async (input: VmSpecInput) => await examine(parseSpec({ qemuBinary, ...input }));

test("a kernel that fits passes", async () => {
  await examined({ rvfPath: await withKernel({ image: bzImage() }) });
  await examined({ rvfPath: file(await rvf(vec(), manifest)), kernelPath: file(elf()) });
});

const arm64Image = Buffer.alloc(64);
arm64Image.write("ARM\x64", 0x38);
const riscvImage = Buffer.alloc(64);
riscvImage.write("RISCV", 0x30);
riscvImage.write("RSC\x05", 0x38);

test.each([
  ["an arm64 Image", arm64Image],
  ["a packed arm64 Image", gzipSync(arm64Image)],
  ["a riscv Image", riscvImage],
])("%s fits, whatever the header says it is for, and has more CPUs than x86", async (_, image) => {
  await examined({ rvfPath: await withKernel({ image }), vcpus: 512 });
  await examined({ rvfPath: file(await rvf(vec(), manifest)), kernelPath: file(image), vcpus: 512 });
});

test("more CPUs than its machine takes are refused", async () => {
  const rvfPath = await withKernel({ image: bzImage() });
  await examined({ rvfPath, vcpus: 288 });
  await expect(examined({ rvfPath, vcpus: 289 })).rejects.toMatchObject({
    code: "InvalidArgument",
    property: "vcpus",
    message: "vcpus is 289, QEMU's machine for x86_64 takes at most 288",
  });
});

test("a QEMU without the machine for the kernel's architecture is refused", async () => {
  const own = program(`[ "$1" = -version ] && echo "QEMU emulator version 7.2.22" || echo "Supported:"`);
  await expect(
    examined({ rvfPath: await withKernel({ image: arm64Image }), qemuBinary: own }),
  ).rejects.toMatchObject({ code: "QemuNotFound", message: expect.stringContaining("virt") as string });
});

test.each([
  ["an aarch64 vmlinux", elf({ machine: 183 }), /aarch64/],
  ["a riscv64 vmlinux", elf({ machine: 243 }), /riscv64/],
  ["a vmlinux without a PVH note", elf({ note: 1 }), /kind elf /],
  ["something else", Buffer.from("not a kernel"), /no kernel image/],
])("%s is refused by name, before QEMU is looked for", async (_, image, words) => {
  const refused = { code: "KernelUnsupported", message: expect.stringMatching(words) as string };
  const rvfPath = await withKernel({ image });
  await expect(examined({ rvfPath, qemuBinary: "/no/qemu" })).rejects.toMatchObject({
    ...refused,
    property: "rvfPath",
    hint: expect.stringMatching(/^Embed an x86-64 bzImage/) as string,
  });
  const own = { rvfPath: file(await rvf(vec(), manifest)), kernelPath: file(image) };
  await expect(examined(own)).rejects.toMatchObject({
    ...refused,
    property: "kernelPath",
    hint: expect.stringMatching(/^Name an x86-64 bzImage/) as string,
  });
});

test("an RVF without a kernel: all that can be booted instead, and of who boots nothing what makes one", async () => {
  const rvfPath = file(await rvf(vec(), manifest));
  const embed = `A copy with a kernel: microvm embed ${rvfPath} --image IMAGE -o OUT`;
  await expect(examined({ rvfPath })).rejects.toMatchObject({
    code: "NoKernelSegment",
    property: "rvfPath",
    hint: `Boot it with the appliance: kernel: "appliance". Or name a kernel as kernelPath. ${embed}`,
  });
  const extracted = extractToFiles(rvfPath, { kernel: `${rvfPath}.kernel` });
  await expect(extracted).rejects.toMatchObject({ code: "NoKernelSegment", hint: embed });
});

test("a kernel that requires KVM is refused where KVM is not to be used", async () => {
  const rvfPath = await withKernel({
    image: bzImage(),
    header: (bytes) => bytes.writeUInt32LE(1 << 1, 0x08),
  });
  await expect(examined({ rvfPath, enableKvm: false })).rejects.toMatchObject({
    code: "KvmRequired",
    property: "enableKvm",
  });
});

test("a command line that Linux would cut is refused", async () => {
  const rvfPath = await withKernel({ image: bzImage(), cmdline: "x".repeat(2000) });
  await expect(examined({ rvfPath })).rejects.toMatchObject({ code: "KernelUnsupported" });
});

test("a binary that is no QEMU is refused", async () => {
  const rvfPath = await withKernel({ image: bzImage() });
  await expect(examined({ rvfPath, qemuBinary: program("exit 3") })).rejects.toMatchObject({
    code: "QemuSpawn",
    property: "qemuBinary",
  });
});

/** An aarch64 guest that serves: Debian's arm64 kernel, as the set-up has got it, and our /init. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { MODULE_ORDER } from "../../src/appliance/contract.js";
import { cpio, type CpioEntry } from "../../src/appliance/cpio.js";

const folder = (): string => {
  const path = process.env["MICROVM_TEST_ARM64"];
  if (path) return path;
  throw new Error(
    "MICROVM_TEST_ARM64 names no folder. `npm test` makes one and sets it; for Jest alone it is tools/debian-arm64-kernel " +
      "in the product's cache folder.",
  );
};

/** A plain Image: without an initramfs it panics for want of a root file system. */
export const arm64Kernel = (): string => join(folder(), "Image");

/** Tests that need our /init for that kernel: it is not there where the set-up has found no Rust for aarch64. */
export const testWithArm64Init = process.env["MICROVM_TEST_ARM64_INIT"] ? test : test.skip;

/** What Linux's own configuration reads of the micro kernel's source. */
export const kconfig = (): string => process.env["MICROVM_TEST_ARM64_KCONFIG"]!;

/** Tests that need it, and a compiler for aarch64: there is none where the set-up may not install that, or apt has no such source. */
export const testWithKconfig = process.env["MICROVM_TEST_ARM64_KCONFIG"] ? test : test.skip;

/** Writes the initramfs that makes that kernel serve. */
export async function writeArm64Initramfs(path: string): Promise<void> {
  const directory = (path: string): CpioEntry => ({ kind: "directory", path, mode: 0o755 });
  const file = (path: string, data: Buffer, mode = 0o644): CpioEntry => ({ kind: "file", path, mode, data });
  const modules = join(folder(), "modules");
  const place = dirname(MODULE_ORDER).slice(1);
  const archive = cpio([
    ...["dev", "proc", "sys", "lib", place].map(directory),
    { kind: "character-device", path: "dev/null", mode: 0o666, major: 1, minor: 3 },
    file("init", await readFile(process.env["MICROVM_TEST_ARM64_INIT"]!), 0o755),
    ...(await Promise.all(
      (await readdir(modules)).map(async (name) =>
        file(`${place}/${name}`, await readFile(join(modules, name))),
      ),
    )),
  ]);
  await writeFile(path, archive);
}

/** The same devices on QEMU's machine with PCI, which the packaged kernel has drivers for. */
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { MODULE_ORDER } from "../../src/appliance/index.js";
import { applianceFolder } from "../../src/appliance/cache.js";
import { cpio } from "../../src/appliance/cpio.js";
import { fetchKernel, findKernelPackage } from "../../src/appliance/packaged-kernel.js";
import { dryRun } from "../../src/launcher/index.js";

/** Writes the packaged appliance's initramfs with the drivers for PCI into the folder; returns its path. */
export async function initramfsForQ35(folder: string, rvfPath: string, cache: string): Promise<string> {
  const cacheDir = await applianceFolder(cache);
  const { modules } = await fetchKernel(await findKernelPackage(), { cacheDir, more: ["virtio_pci"] });
  const order = MODULE_ORDER.slice(1);
  const file = (path: string, data: Buffer) => ({ kind: "file", path, mode: 0o644, data }) as const;
  // Of two files of one name the kernel unpacks the later one.
  const added = cpio([
    ...modules.map(({ name, data }) => file(`${dirname(order)}/${name}.ko`, data)),
    file(order, Buffer.from(modules.map(({ name }) => `${name}.ko\n`).join(""))),
  ]);
  const { initramfsPath } = await dryRun({ rvfPath, enableKvm: false });
  const path = join(folder, "q35.cpio");
  await writeFile(path, Buffer.concat([await readFile(initramfsPath!), added]));
  return path;
}

/** The launcher's arguments for microvm, on q35. */
export const onQ35 = (argv: readonly string[]): string[] =>
  argv.map((word) =>
    word.replace(/^microvm,acpi=on,rtc=on$/, "q35").replace(/^(virtio-\w+)-device\b/, "$1-pci"),
  );

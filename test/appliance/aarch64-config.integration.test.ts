/** The micro kernel for aarch64 as far as seconds go, its configuration: to compile it takes minutes. */
import { cp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { configure } from "../../src/appliance/micro-kernel.js";
import { kconfig, testWithKconfig } from "../support/aarch64.js";
import { privateState } from "../support/state.js";

const state = privateState();

testWithKconfig("its source takes every option, for what QEMU's virt machine has", async () => {
  const linux = join(state.dir, "linux");
  await cp(kconfig(), linux, { recursive: true });
  await configure(linux, "aarch64", { cwd: linux, hint: "" });
  const config = await readFile(join(linux, ".config"), "utf8");
  for (const option of [
    "ARM64",
    "SMP",
    "ARM_GIC_V3",
    "ARM_PSCI_FW",
    "VIRTIO_MMIO",
    "SERIAL_AMBA_PL011_CONSOLE",
  ])
    expect(config).toContain(`\nCONFIG_${option}=y\n`);
});

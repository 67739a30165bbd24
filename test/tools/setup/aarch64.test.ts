/** Debian's arm64 kernel on machines that cannot give it: what is said, and what is left. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { ensureAarch64 } from "../../../tools/setup/aarch64.js";
import { program, script, withOwnMachine } from "./programs.js";

const report = () => {};

/** A machine with QEMU for aarch64 guests. */
const withQemu = async (work: (folder: string) => Promise<void>) =>
  await withOwnMachine(async (folder) => {
    const answers = "QEMU emulator version 7.2.22\nSupported machines are:\nvirt    ARM Virtual Machine\n";
    await program(join(folder, "bin", "qemu-system-aarch64"), answers);
    await work(folder);
  });

test("without apt it is said in one line, with what to do", async () =>
  await withQemu(async () => {
    await expect(ensureAarch64(report)).rejects.toMatchObject({
      name: "SetupError",
      message: "Debian's arm64 kernel, which tests boot, can only be had by apt.",
      hint: expect.stringContaining("npm run test:unit") as string,
    });
  }));

test("apt works on lists of its own, and a failure leaves nothing that would pass for the kernel", async () =>
  await withQemu(async (folder) => {
    const calls = join(folder, "calls");
    await script(join(folder, "bin", "apt-get"), `echo "$@" >> ${calls}; echo "no network"; exit 100`);
    await program(join(folder, "bin", "xz"), "");
    await expect(ensureAarch64(report)).rejects.toMatchObject({ evidence: "no network" });
    const own = join(folder, "tools", `debian-arm64-kernel.${process.pid}.partial`, "apt");
    const call = await readFile(calls, "utf8");
    expect(call).toContain("-o APT::Architecture=arm64 -o APT::Architectures=arm64");
    expect(call).toContain(
      `-o Dir::State=${own}/state -o Dir::State::status=/dev/null -o Dir::Cache=${own}/cache`,
    );
    expect(call.trim().split("\n")).toHaveLength(1);
    expect(await readdir(join(folder, "tools"))).toEqual([]);
  }));

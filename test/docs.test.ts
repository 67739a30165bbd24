import { readFile } from "node:fs/promises";
import { errorCodes } from "../src/errors.js";
import { updateEffects } from "../src/launcher/change/update-effects.js";
import { specKeys } from "../src/launcher/spec.js";
import { outputsOf } from "../src/provider/inputs.js";
import type { VmStatus } from "../src/launcher/evidence/status.js";
import { run } from "./cli/in-process.js";
import { firstColumn, firstTwoColumns, heldBy, subcommandsWithJson, testSource } from "./support/docs.js";

describe("documents and code agree", () => {
  test("docs/errors.md lists every code with its meaning", async () => {
    expect(await firstColumn("docs/errors.md", "# Errors")).toEqual(Object.keys(errorCodes));
    const text = await readFile(new URL("../docs/errors.md", import.meta.url), "utf8");
    for (const meaning of Object.values(errorCodes)) expect(text).toContain(meaning);
  });

  test("README lists every input", async () => {
    expect(await firstColumn("README.md", "### Inputs")).toEqual(specKeys);
  });

  test("README lists every output", async () => {
    expect(await firstColumn("README.md", "### Outputs")).toEqual(Object.keys(outputsOf({} as VmStatus)));
  });

  test("docs/updates.md says of every input what its change does", async () => {
    const words = { none: "nothing", ports: "in place", boot: "boots anew" };
    const effects = Object.entries(updateEffects).map(([input, effect]) => [input, words[effect]]);
    const rows = await firstTwoColumns("docs/updates.md", "## Each input");
    expect(Object.fromEntries(rows)).toEqual(Object.fromEntries(effects));
  });

  test("docs/command.md says what every subcommand with --json prints", async () => {
    const { stdout } = await run("--help");
    const names = [...stdout.matchAll(/^ {2}([a-z-]+) \[options\]/gm)].map((match) => match[1]!);
    const withJson: string[] = [];
    for (const name of names) {
      if ((await run(name, "--help")).stdout.includes("\n  --json ")) withJson.push(name);
    }
    expect((await subcommandsWithJson()).sort()).toEqual(withJson.sort());
  });

  test("docs/parity.md has every public name of rvf-launch 0.3.0, each with a test that is there", async () => {
    const rows = await heldBy("docs/parity.md", "## Its public surface");
    for (const name of rvfLaunch) expect(rows.map(({ row }) => row)).toContain(name);
    for (const { room, test } of rows) expect(await testSource(room)).toContain(test);
  });

  test("docs/updates.md says of nothing that it is mended without a test that is there", async () => {
    const rows = await heldBy("docs/updates.md", "## What became of the VM is seen");
    expect(rows.length).toBeGreaterThan(8);
    for (const { room, test } of rows) expect(await testSource(room)).toContain(test);
  });

  test("docs/parity.md has all 45 defects, each with a test that is there", async () => {
    const rows = await heldBy("docs/parity.md", "## Its defects");
    expect(rows.map(({ row }) => row)).toEqual(Array.from({ length: 45 }, (_, i) => String(i + 1)));
    for (const { room, test } of rows) expect(await testSource(room)).toContain(test);
  });
});

/** From the crate's lib.rs and error.rs. */
const rvfLaunch = [
  ...["rvf_path", "memory_mb", "vcpus", "api_port", "ssh_port", "enable_kvm", "qemu_binary", "extra_args"],
  ...["kernel_path", "initramfs_path"],
]
  .map((field) => `\`LaunchConfig.${field}\``)
  .concat(
    ["check_requirements", "launch", "dry_run", "find_qemu", "kvm_available"].map(
      (f) => `\`Launcher::${f}\``,
    ),
    ["wait_ready", "query", "status", "shutdown", "kill", "pid", "api_port", "ssh_port", "qmp_socket"].map(
      (method) => `\`MicroVm::${method}\``,
    ),
    ["Running", "Exited"].map((state) => `\`VmStatus::${state}\``),
    [
      ...["QemuNotFound", "KvmRequired", "NoKernelSegment", "KernelExtraction", "TempFile", "QemuSpawn"],
      ...["QemuExited", "Timeout", "Qmp", "QmpIo", "PortInUse", "VmNotRunning", "Io"],
    ].map((error) => `\`LaunchError::${error}\``),
  );

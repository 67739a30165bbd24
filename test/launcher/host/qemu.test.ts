import { chmod, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assertMachine, askQemu, findQemu, qemuFacts, resolveQemu } from "../../../src/launcher/host/qemu.js";

const path = process.env["PATH"];
let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "qemu-"));
  process.env["MICROVM_CACHE_DIR"] = join(dir, "cache");
});
afterEach(async () => {
  process.env["PATH"] = path;
  await rm(dir, { recursive: true });
});

/** A program under that name that prints what the script says. */
async function program(name: string, script: string, mode = 0o755): Promise<string> {
  const file = join(dir, name);
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, mode);
  return file;
}

const fake = `case "$1" in
-version) echo "QEMU emulator version 9.1.0 (Debian 1:9.1.0)" ;;
-machine) printf 'Supported machines are:\\nmicrovm              microvm (i386)\\nq35                  Standard PC\\n' ;;
-accel) printf 'Accelerators supported in QEMU binary:\\ntcg\\nkvm\\n' ;;
-device) printf 'Misc devices:\\nname "pvpanic-pci", bus PCI\\nPVPANIC' ;;
-help) printf '%s\\n' "-smp n" "SANDBOX" ;;
esac`;

test("PATH comes first, and only what can be executed counts", async () => {
  const own = await program("qemu-system-x86_64", "");
  process.env["PATH"] = `${dir}/none:${dir}:${path}`;
  expect(await findQemu("x86_64")).toBe(own);
  await chmod(own, 0o644);
  expect(await findQemu("x86_64").catch(() => "none")).not.toBe(own);
});

test("a user's own binary: a path as it is, a name on PATH", async () => {
  const own = await program("my-qemu", "");
  expect(await resolveQemu("x86_64", own)).toBe(own);
  process.env["PATH"] = dir;
  expect(await resolveQemu("x86_64", "my-qemu")).toBe(own);
});

test("none to be found: the error names where it looked and the line that installs it", async () => {
  process.env["PATH"] = dir;
  await expect(resolveQemu("x86_64", "qemu-system-x86_64")).rejects.toMatchObject({
    code: "QemuNotFound",
    property: "qemuBinary",
    message: `qemu-system-x86_64 was not found in ${dir}`,
    hint: expect.stringMatching(/^Install QEMU: .+/) as string,
  });
  await expect(resolveQemu("x86_64", join(dir, "none"))).rejects.toMatchObject({
    code: "QemuNotFound",
    property: "qemuBinary",
  });
});

test("a folder is no binary", () =>
  expect(resolveQemu("x86_64", dir)).rejects.toMatchObject({ code: "QemuNotFound" }));

test.each([
  ["with all that there may be", "-sandbox on[,obsolete=allow|deny]", 'name "pvpanic", bus ISA', true],
  ["with nothing of it", "-snapshot", "", false],
])("version, machines and features are the binary's own words, %s", async (_, help, device, there) => {
  const binary = await program("qemu", fake.replace("SANDBOX", help).replace("PVPANIC", device));
  expect(await qemuFacts(binary)).toEqual({
    binary,
    version: "9.1.0",
    machines: ["microvm", "q35"],
    accelerators: ["tcg", "kvm"],
    sandbox: there,
    pvpanic: there,
  });
});

test("a script in front of QEMU is asked each time, because the QEMU behind it may change", async () => {
  const binary = await program("qemu", fake);
  expect(await qemuFacts(binary)).toMatchObject({ version: "9.1.0" });
  await writeFile(binary, `#!/bin/sh\n${fake.replace("9.1.0", "9.2.0")}\n`);
  expect(await qemuFacts(binary)).toMatchObject({ version: "9.2.0" });
  expect(await readdir(join(dir, "cache")).catch(() => [])).toEqual([]);
});

test("what a program prints without end stays out of the error", async () => {
  const binary = await program("qemu", "exec yes");
  await expect(askQemu(binary)).rejects.toMatchObject({
    code: "QemuSpawn",
    message: expect.stringMatching(/^.{1,300}$/s) as string,
  });
});

test.each([
  ["says something else", "echo hello", /its -version says hello$/],
  ["says nothing", "exit 0", /its -version says nothing$/],
  ["fails", "exit 3", /exit code 3/],
])("a program that %s is no QEMU", async (_, script, words) =>
  expect(qemuFacts(await program("qemu", script))).rejects.toMatchObject({
    code: "QemuSpawn",
    property: "qemuBinary",
    message: expect.stringMatching(words) as string,
  }),
);

test("a QEMU without the machine of such guests is named", () =>
  expect(
    assertMachine(
      {
        binary: "/opt/qemu",
        version: "7.2.22",
        machines: ["q35"],
        accelerators: ["tcg"],
        sandbox: true,
        pvpanic: true,
      },
      "x86_64",
    ),
  ).rejects.toMatchObject({
    code: "QemuNotFound",
    property: "qemuBinary",
    message: "/opt/qemu (7.2.22) was built without the microvm machine",
  }));

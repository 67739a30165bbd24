/** Launches that must fail: each with its code, in words that help, and without a trace. */
import { chmod, copyFile, mkdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { hardwareObstacle } from "../../src/launcher/host/accelerator.js";
import { findQemu, launch, type VmSpecInput } from "../../src/launcher/index.js";
import { rememberKvm, verdictFolder } from "../../src/launcher/host/kvm-verdict.js";
import { makeSampleRvf, sampleQuery } from "../../tools/sample-rvf.js";
import { kernel, manifest, rvf, vec } from "../rvf/build.js";
import { sampleRvf, stuckRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";

const state = privateState();
const place = (name: string) => join(state.dir, name);
let good: string;
let freePort: number;
let takenPort: number;
const holder = createServer();

async function openPort(server = createServer()): Promise<number> {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return (server.address() as AddressInfo).port;
}

async function script(name: string, text: string): Promise<string> {
  await writeFile(place(name), `#!/bin/sh\n${text}\n`);
  await chmod(place(name), 0o755);
  return place(name);
}

beforeAll(async () => {
  good = await sampleRvf();
  takenPort = await openPort(holder);
  const free = createServer();
  freePort = await openPort(free);
  free.close();
  await mkdir(place("folder"));
  await writeFile(place("empty.rvf"), "");
  await writeFile(place("text.rvf"), "this is no RVF\n".repeat(100));
  await copyFile(good, place("cut.rvf"));
  await truncate(place("cut.rvf"), 1_000_000);
  await makeSampleRvf(place("plain.rvf"), { count: 10, dimension: 4 });
  const wants = (header: (bytes: Buffer) => unknown) => rvf(vec(), kernel({ header }), manifest);
  await writeFile(place("wants-4-gib.rvf"), await wants((bytes) => bytes.writeUInt32LE(4096, 0x0c)));
  await writeFile(place("wants-kvm.rvf"), await wants((bytes) => bytes.writeUInt32LE(1 << 1, 0x08)));

  const damaged = await readFile(good);
  damaged.writeUInt8(damaged.readUInt8(2_000_000) ^ 1, 2_000_000);
  await writeFile(place("damaged.rvf"), damaged);
});
afterAll(() => holder.close());

/** The error of a launch that has to fail, once it is sure that nothing of the VM is left. */
async function failureOf(spec: Partial<VmSpecInput>): Promise<unknown> {
  const outcome = await launch({ rvfPath: good, apiPort: 0, ...spec }).catch((error: unknown) => error);
  expect(await leftovers()).toEqual([]);
  return outcome;
}

test.each([
  ["no file", "none.rvf", "FileNotFound"],
  ["a folder", "folder", "RvfInvalid"],
  ["an empty file", "empty.rvf", "RvfInvalid"],
  ["text", "text.rvf", "RvfInvalid"],
  ["an RVF cut short", "cut.rvf", "RvfInvalid"],
  ["a kernel with a bit flipped", "damaged.rvf", "KernelDamaged"],
  ["an RVF without a kernel", "plain.rvf", "NoKernelSegment"],
])("%s: refused by name", async (_, name, code) => {
  const error = await failureOf({ rvfPath: place(name) });
  expect(error).toMatchObject({ code, property: "rvfPath" });
});

test("less memory than the kernel asks for", async () =>
  expect(await failureOf({ rvfPath: place("wants-4-gib.rvf") })).toMatchObject({
    code: "MemoryTooSmall",
    property: "memoryMb",
    message: "the kernel asks for 4096 MiB, memoryMb is 128",
    hint: "Set memoryMb to 4096 or more.",
  }));

test("a kernel that requires KVM, where it is switched off", async () =>
  expect(await failureOf({ rvfPath: place("wants-kvm.rvf"), enableKvm: false })).toMatchObject({
    code: "KvmRequired",
    property: "enableKvm",
  }));

test("a kernel that requires KVM, where a boot has shown that KVM fails", async () => {
  // Where the device cannot even be opened, that is the reason.
  const obstacle = await hardwareObstacle("kvm", "x86_64");
  await rememberKvm({ binary: await findQemu() }, "x86_64", { works: false, reason: "QEMU aborted" });
  expect(await failureOf({ rvfPath: place("wants-kvm.rvf") })).toMatchObject({
    code: "KvmRequired",
    property: "enableKvm",
    message: expect.stringContaining(obstacle?.reason ?? ": QEMU aborted; it is tried again after") as string,
  });
  await rm(verdictFolder(), { recursive: true });
});

test("a port that is taken: by whom", async () => {
  const message = expect.stringMatching(
    `port ${takenPort} on 127.0.0.1 is taken by pid ${process.pid} `,
  ) as string;
  expect(await failureOf({ apiPort: takenPort })).toMatchObject({
    code: "PortInUse",
    property: "apiPort",
    message,
  });
  expect(await failureOf({ sshPort: takenPort })).toMatchObject({
    code: "PortInUse",
    property: "sshPort",
    message,
  });
  const unsure = { apiPort: freePort, sshPort: freePort };
  expect(await failureOf(unsure)).toMatchObject({ code: "InvalidArgument", property: "sshPort" });
});

test("a port that is taken is told of before anything is started", async () => {
  const told: string[] = [];
  const launched = launch(
    { rvfPath: good, apiPort: takenPort },
    { onProgress: (text) => void told.push(text) },
  );
  await expect(launched).rejects.toMatchObject({ code: "PortInUse" });
  expect(told).toEqual([]);
});

test("an address that is none of this host", async () =>
  // TEST-NET-1 (RFC 5737) is nobody's.
  expect(await failureOf({ bindAddress: "192.0.2.1" })).toMatchObject({
    code: "InvalidArgument",
    property: "bindAddress",
    message: "this host cannot listen on 192.0.2.1 (EADDRNOTAVAIL)",
  }));

test("a name that is no word for a list", async () => {
  for (const name of ["", "two\nlines", "\u001b[31mred"])
    await expect(launch({ rvfPath: good, apiPort: 0 }, { name })).rejects.toMatchObject({
      code: "InvalidArgument",
      property: "name",
    });
  expect(await leftovers()).toEqual([]);
});

test("no QEMU: the line that installs it", async () => {
  const path = process.env["PATH"];
  process.env["PATH"] = place("folder");
  try {
    expect(await failureOf({ qemuBinary: "qemu-system-x86_64" })).toMatchObject({
      code: "QemuNotFound",
      property: "qemuBinary",
      hint: expect.stringMatching(/^Install QEMU: \S/) as string,
    });
  } finally {
    process.env["PATH"] = path;
  }
  expect(await failureOf({ qemuBinary: place("none") })).toMatchObject({ code: "QemuNotFound" });
});

test("a qemuBinary that is no QEMU", async () => {
  expect(await failureOf({ qemuBinary: await script("fails", "exit 3") })).toMatchObject({
    code: "QemuSpawn",
  });
  expect(await failureOf({ qemuBinary: "/bin/true" })).toMatchObject({
    code: "QemuSpawn",
    property: "qemuBinary",
  });
});

test("a qemuBinary that tells its version and then fails to run", async () => {
  const wrapper = `case "$1" in -version|-machine\\ help|-help) exec qemu-system-x86_64 "$@";; esac
[ "$2" = help ] && exec qemu-system-x86_64 "$@"
echo "out of paper" >&2; exit 3`;
  expect(await failureOf({ qemuBinary: await script("wrapper", wrapper), enableKvm: false })).toMatchObject({
    code: "QemuExited",
    message: "QEMU exited with status 3 while starting",
    evidence: expect.stringContaining("out of paper") as string,
  });
});

test("an argument that QEMU does not know: QEMU's own words", async () =>
  expect(await failureOf({ extraArgs: ["-nonsense"], allowUnsafeArgs: true })).toMatchObject({
    code: "QemuExited",
    evidence: expect.stringContaining("-nonsense: invalid option") as string,
    hint: expect.stringContaining("extraArgs") as string,
  }));

test("a guest that panics: the kernel's own words", async () => {
  const initramfsPath = place("text.rvf");
  const error = await failureOf({ initramfsPath });
  expect(error).toMatchObject({
    code: "QemuExited",
    message: expect.stringMatching(
      /^the guest's kernel panicked \(Kernel panic - not syncing: .+\) before/,
    ) as string,
    evidence: expect.stringContaining("Kernel panic") as string,
    hint: expect.stringContaining("init") as string,
  });
});

test("a guest that never answers: how far it came", async () => {
  const error = await failureOf({ rvfPath: await stuckRvf(), readyTimeoutSeconds: 6 });
  expect(error).toMatchObject({
    code: "Timeout",
    message: expect.stringMatching(
      /did not answer within 6 s: reached process, monitor, console; not reached ready line, HTTP$/,
    ) as string,
    evidence: expect.stringContaining("the console's last lines") as string,
  });
});

test("a guest that gets no time at all", async () =>
  expect(await failureOf({ enableKvm: false, readyTimeoutSeconds: 0.05 })).toMatchObject({
    code: "Timeout",
    message: expect.stringMatching(
      /: reached (nothing|process(, monitor)?); not reached ((process, )?monitor, )?console, ready line, HTTP$/,
    ) as string,
    hint: expect.stringContaining("readyTimeoutSeconds") as string,
  }));

test("a cache that cannot be written", async () => {
  const cache = process.env["MICROVM_CACHE_DIR"];
  process.env["MICROVM_CACHE_DIR"] = join(place("text.rvf"), "cache");
  try {
    expect(await failureOf({})).toMatchObject({ code: "TempFile" });
  } finally {
    process.env["MICROVM_CACHE_DIR"] = cache;
  }
});

test("after all of these a right launch works", async () => {
  await using vm = await launch({ rvfPath: good, apiPort: freePort });
  expect(vm.apiPort).toBe(freePort);
  expect(await vm.query(sampleQuery(1), 3)).toHaveLength(3);
});

/** The QEMU binary on this host: where it is and what it can do, asked of the binary itself. */
import { accessSync, constants, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { delimiter, join } from "node:path";
import type { ExecaError } from "execa";
import { z } from "zod";
import { MicroVmError } from "../../errors.js";
import { machineOf, type Arch } from "./arch.js";
import { installHint } from "./install-hint.js";
import { outputOf } from "./output-of.js";
import { memory } from "./remembered.js";

const abilitiesSchema = z.object({
  /** As the binary says it, for example `7.2.22`. */
  version: z.string(),
  /** Machine types this build has. */
  machines: z.array(z.string()),
  /** Accelerators this build has, which says nothing of whether they work on this host. */
  accelerators: z.array(z.string()),
  /** Whether this build has `-sandbox` (seccomp). */
  sandbox: z.boolean(),
  /** Whether this build has the device by which an x86 guest tells of its panic. */
  pvpanic: z.boolean(),
});

export interface QemuFacts extends z.infer<typeof abilitiesSchema> {
  binary: string;
}

const abilities = memory("qemu", abilitiesSchema);

/** How long it may take to answer: a healthy one does so in hundredths of a second. */
const answerMs = 10_000;

/** Where installers put QEMU, for environments whose PATH is short. */
const usualFolders = ["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", "/opt/local/bin"];

/** Finds `qemu-system-<arch>` on PATH and in the usual folders. Throws QemuNotFound with the install line. */
export async function findQemu(arch: Arch = "x86_64"): Promise<string> {
  const onPath = (process.env["PATH"] ?? "").split(delimiter).filter(Boolean);
  return await findBinary(`qemu-system-${arch}`, [...new Set([...onPath, ...usualFolders])], arch);
}

async function findBinary(name: string, folders: string[], arch: Arch): Promise<string> {
  for (const folder of folders) {
    const candidate = join(folder, name);
    if (isExecutable(candidate)) return candidate;
  }
  throw new MicroVmError("QemuNotFound", `${name} was not found in ${folders.join(", ")}`, {
    hint: `Install QEMU: ${await installHint(arch)}`,
    property: "qemuBinary",
  });
}

/** The user's own binary (a path, or a name on PATH) or the one found for the architecture. */
export async function resolveQemu(arch: Arch, ownBinary?: string): Promise<string> {
  if (ownBinary === undefined) return await findQemu(arch);
  if (!ownBinary.includes("/")) {
    const onPath = (process.env["PATH"] ?? "").split(delimiter).filter(Boolean);
    return await findBinary(ownBinary, onPath, arch);
  }
  if (isExecutable(ownBinary)) return ownBinary;
  throw new MicroVmError("QemuNotFound", `qemuBinary is not an executable file: ${ownBinary}`, {
    hint: "Correct the path, or leave qemuBinary out to use the one on PATH.",
    property: "qemuBinary",
  });
}

/** A distribution may have left the machine out that such guests run on. Throws QemuNotFound. */
export async function assertMachine({ binary, version, machines }: QemuFacts, arch: Arch): Promise<void> {
  const machine = machineOf[arch];
  if (machines.includes(machine)) return;
  throw new MicroVmError("QemuNotFound", `${binary} (${version}) was built without the ${machine} machine`, {
    hint: `Install your distribution's full package (${await installHint(arch)}), or set qemuBinary.`,
    property: "qemuBinary",
  });
}

/** The binary's version and features, asked of it only where they are not remembered. Throws as `askQemu` does. */
export async function qemuFacts(binary: string): Promise<QemuFacts> {
  const known = await abilities.recall(binary);
  return known ? { binary, ...known.value } : await askQemu(binary);
}

/** Asks the binary itself and remembers the answer. Throws QemuSpawn when it does not answer like a QEMU. */
export async function askQemu(binary: string): Promise<QemuFacts> {
  try {
    const [version, machines, accelerators, devices, help] = await Promise.all([
      outputOf(binary, ["-version"], answerMs),
      outputOf(binary, ["-machine", "help"], answerMs),
      outputOf(binary, ["-accel", "help"], answerMs),
      outputOf(binary, ["-device", "help"], answerMs),
      outputOf(binary, ["-help"], answerMs),
    ]);
    const number = /version (\d+(?:\.\d+)+)/.exec(version)?.[1];
    if (number === undefined) throw new Error(`its -version says ${version.slice(0, 200) || "nothing"}`);
    const answer = {
      version: number,
      // Each list has a line above it that says what it is of.
      machines: [...machines.matchAll(/^(\S+)\s/gm)].map((match) => match[1]!).slice(1),
      accelerators: [...accelerators.matchAll(/^\w+$/gm)].map(([name]) => name),
      sandbox: /^-sandbox /m.test(help),
      pvpanic: /^name "pvpanic",/m.test(devices),
    };
    if (!(await isScript(binary).catch(() => true))) await abilities.remember(answer, binary);
    return { binary, ...answer };
  } catch (cause) {
    // execa's whole message would hold all that the program has printed.
    const { shortMessage, message, stderr } = cause as Error & Partial<ExecaError<{ encoding: "utf8" }>>;
    throw new MicroVmError("QemuSpawn", `${binary} does not behave like QEMU: ${shortMessage ?? message}`, {
      hint: "Check the installation by running it with -version.",
      property: "qemuBinary",
      ...(stderr && { evidence: stderr.slice(-2000) }),
      cause,
    });
  }
}

/** A script in front of QEMU stays the same when the QEMU that it starts becomes another. */
async function isScript(binary: string): Promise<boolean> {
  await using file = await open(binary);
  return (await file.read(Buffer.alloc(2), 0, 2, 0)).buffer.toString() === "#!";
}

/** Asked at once: most folders of a PATH do not have it, and an error of each would cost more than all the answers. */
function isExecutable(path: string): boolean {
  try {
    // A folder may be "executed" too.
    if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return false;
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

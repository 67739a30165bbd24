/** The QEMU binary on this host: where it is and what it can do, asked of the binary itself. */
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { execa } from "execa";
import { MicroVmError } from "../errors.js";
import type { Arch } from "./arch.js";
import { installHint } from "./install-hint.js";

export interface QemuFacts {
  binary: string;
  /** As the binary says it, for example `7.2.22`. */
  version: string;
  /** Machine types this build has. */
  machines: string[];
  /** Whether this build has `-sandbox` (seccomp). */
  sandbox: boolean;
}

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
    if (await isExecutable(candidate)) return candidate;
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
  if (await isExecutable(ownBinary)) return ownBinary;
  throw new MicroVmError("QemuNotFound", `qemuBinary is not an executable file: ${ownBinary}`, {
    hint: "Correct the path, or leave qemuBinary out to use the one on PATH.",
    property: "qemuBinary",
  });
}

/** x86-64 guests run on QEMU's microvm machine, which a distribution may have left out. */
export function assertMicrovm({ binary, version, machines }: QemuFacts): void {
  if (machines.includes("microvm")) return;
  throw new MicroVmError("QemuNotFound", `${binary} (${version}) was built without the microvm machine`, {
    hint: "Install your distribution's full qemu-system-x86 package, or set qemuBinary.",
    property: "qemuBinary",
  });
}

/** Asks the binary for its version and features. Throws QemuSpawn when it does not answer like a QEMU. */
export async function qemuFacts(binary: string): Promise<QemuFacts> {
  const ask = async (...args: string[]) =>
    (await execa(binary, args, { timeout: 10_000, stdin: "ignore" })).stdout;
  try {
    const [version, machines, help] = await Promise.all([
      ask("-version"),
      ask("-machine", "help"),
      ask("-help"),
    ]);
    const number = /version (\d+(?:\.\d+)+)/.exec(version)?.[1];
    if (number === undefined) throw new Error(`its -version says: ${version.slice(0, 200)}`);
    return {
      binary,
      version: number,
      machines: [...machines.matchAll(/^(\S+)\s/gm)].map((match) => match[1]!).slice(1),
      sandbox: /^-sandbox /m.test(help),
    };
  } catch (cause) {
    throw new MicroVmError("QemuSpawn", `${binary} does not behave like QEMU: ${(cause as Error).message}`, {
      hint: "Check the installation by running it with -version.",
      property: "qemuBinary",
      cause,
    });
  }
}

async function isExecutable(path: string): Promise<boolean> {
  // A folder may be "executed" too.
  return await Promise.all([access(path, constants.X_OK), stat(path)]).then(
    ([, stats]) => stats.isFile(),
    () => false,
  );
}

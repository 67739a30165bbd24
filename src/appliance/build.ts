/** Builds the appliance: one file of kernel and initramfs, made once for each kernel and guest source. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { MicroVmError } from "../errors.js";
import type { ApplianceArch } from "./arch.js";
import { applianceFolder, entrySchema, imagePath, readEntry, type Appliance, type Entry } from "./cache.js";
import { MODULE_ORDER } from "./contract.js";
import { cpio, type CpioEntry } from "./cpio.js";
import { joinImage } from "./image.js";
import { buildInit, guestSourceHash } from "./init.js";
import type { Kernel, KernelKind, KernelModule, KernelSource } from "./kernel.js";
import { findMicroKernel } from "./micro-kernel.js";
import { findPackagedKernel } from "./packaged-kernel.js";

/** Part of the cache's key: raise it when this file or its neighbours put the image together differently. */
const BUILDER_VERSION = 3;

export interface BuildApplianceOptions {
  /** @default the product's cache folder */
  cacheDir?: string | undefined;
  /** @default "micro" */
  kernel?: KernelKind | undefined;
  /** Other than the default with the micro kernel only. @default "x86_64" */
  arch?: ApplianceArch | undefined;
  /** The cargo to compile with. @default "cargo" from PATH */
  cargo?: string | undefined;
  signal?: AbortSignal | undefined;
  /** Gets one line for each thing that takes time. */
  onProgress?: ((text: string) => void) | undefined;
}

export interface BuiltAppliance extends Appliance {
  /** True when nothing had to be built. */
  cached: boolean;
}

const find: Record<KernelKind, (signal?: AbortSignal, arch?: ApplianceArch) => Promise<KernelSource>> = {
  micro: findMicroKernel,
  debian: findPackagedKernel,
};

/**
 * Builds the image, or finds it in the cache. Several processes may do so at once.
 * @throws MicroVmError `InvalidArgument` for an architecture with a kernel that is not for it, `ApplianceBuild` when the kernel or a
 * compiler cannot be had, `Cancelled` on the signal.
 */
export async function buildAppliance(options: BuildApplianceOptions = {}): Promise<BuiltAppliance> {
  const { kernel: kind = "micro", arch = "x86_64", cargo, signal, onProgress } = options;
  if (arch !== "x86_64" && kind === "debian")
    throw new MicroVmError("InvalidArgument", `there is no appliance for ${arch} with Debian's kernel`, {
      hint: "Leave the kernel out, or take micro.",
    });
  const dir = await applianceFolder(options.cacheDir);
  const [source, guest] = await Promise.all([find[kind](signal, arch), guestSourceHash()]);
  const key = sha256(JSON.stringify([BUILDER_VERSION, kind, source.key, guest]));
  const entryPath = join(dir, `${key}.json`);
  const cached = await readEntry(dir, entryPath, entrySchema);
  if (cached) return { ...cached, cached: true };

  onProgress?.(source.title);
  const fetch = (signal: AbortSignal | undefined, initramfs?: Buffer): Promise<Kernel> =>
    source.fetch({ cacheDir: dir, initramfs, signal, onProgress });
  const init = async (signal: AbortSignal | undefined): Promise<Buffer> =>
    await readFile(await buildInit({ cacheDir: dir, arch, cargo, signal, onProgress }));
  const { kernel, image } = await (arch === "x86_64" ? besideEachOther : insideOneAnother)(
    fetch,
    init,
    signal,
  );
  const entry: Entry = { sha256: sha256(image), kernelVersion: kernel.version };
  // The image first: an entry must never name an image that is not there.
  const path = imagePath(dir, entry.sha256);
  await writeFileAtomic(path, image);
  await writeFileAtomic(entryPath, JSON.stringify(entry));
  return { ...entry, path, bytes: image.length, cached: false };
}

type Fetch = (signal: AbortSignal | undefined, initramfs?: Buffer) => Promise<Kernel>;
type Init = (signal: AbortSignal | undefined) => Promise<Buffer>;

/** The initramfs behind the kernel. */
async function besideEachOther(fetch: Fetch, init: Init, signal: AbortSignal | undefined) {
  const [kernel, binary] = await sideBySide(signal, (either) => [fetch(either), init(either)]);
  return { kernel, image: joinImage(kernel.image, initramfs(binary, kernel.modules)) };
}

/** The initramfs built into the kernel, behind whose image it would not be found. */
async function insideOneAnother(fetch: Fetch, init: Init, signal: AbortSignal | undefined) {
  const kernel = await fetch(signal, initramfs(await init(signal), []));
  return { kernel, image: kernel.image };
}

/** Both results, or the first error, once the other task has been told to stop and has stopped. */
async function sideBySide<A, B>(
  signal: AbortSignal | undefined,
  start: (signal: AbortSignal) => [Promise<A>, Promise<B>],
): Promise<[A, B]> {
  const abort = new AbortController();
  const tasks = start(signal ? AbortSignal.any([signal, abort.signal]) : abort.signal);
  try {
    return await Promise.all(tasks);
  } catch (error) {
    abort.abort();
    await Promise.allSettled(tasks);
    throw error;
  }
}

/** Not packed: its size costs the guest less than unpacking it would. */
function initramfs(init: Buffer, modules: readonly KernelModule[]): Buffer {
  const directory = (path: string): CpioEntry => ({ kind: "directory", path, mode: 0o755 });
  const file = (path: string, data: Buffer): CpioEntry => ({ kind: "file", path, mode: 0o644, data });
  const order = MODULE_ORDER.slice(1);
  return cpio([
    ...["dev", "proc", "sys", "lib", "lib/modules"].map(directory),
    // The kernel opens it for PID 1. One that has an initramfs built in finds it nowhere else.
    { kind: "character-device", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
    // Rust's start-up code opens it, and aborts without it, when the kernel found no console for PID 1.
    { kind: "character-device", path: "dev/null", mode: 0o666, major: 1, minor: 3 },
    { kind: "file", path: "init", mode: 0o755, data: init },
    ...modules.map(({ name, data }) => file(`${dirname(order)}/${name}.ko`, data)),
    file(order, Buffer.from(modules.map(({ name }) => `${name}.ko\n`).join(""))),
  ]);
}

const sha256 = (data: string | Buffer): string => createHash("sha256").update(data).digest("hex");

/** What a kernel module says of itself, and the order in which modules can be loaded. */
import { MicroVmError } from "../errors.js";

/** The kernel takes `-` and `_` in a module's name for the same; its own form has `_`. */
export const moduleName = (file: string): string =>
  file
    .replace(/^.*\//, "")
    .replace(/\.ko(\.\w+)?$/, "")
    .replaceAll("-", "_");

/**
 * The names of the modules that must be loaded before this one: `depends=` in the ELF section `.modinfo`.
 * @throws MicroVmError `ApplianceBuild` when `elf` is no 64-bit little-endian ELF with such an entry.
 */
export function moduleDepends(elf: Buffer): string[] {
  try {
    const modinfo = sections(elf)
      .find(({ name }) => name === ".modinfo")
      ?.data.toString("latin1");
    const depends = /(?:^|\0)depends=([^\0]*)/.exec(modinfo ?? "")?.[1];
    if (depends === undefined) throw new RangeError("no depends= in .modinfo");
    return depends.split(",").filter(Boolean).map(moduleName);
  } catch (cause) {
    throw new MicroVmError("ApplianceBuild", "A file of the kernel package is no kernel module.", { cause });
  }
}

/** Section header table of ELF64: offset at 0x28, size and number of entries and index of the names at 0x3a. */
function sections(elf: Buffer): { name: string; data: Buffer }[] {
  if (elf.readUInt32BE(0) !== 0x7f454c46 || elf[4] !== 2 || elf[5] !== 1) throw new RangeError("no ELF64");
  const table = Number(elf.readBigUInt64LE(0x28));
  const entrySize = elf.readUInt16LE(0x3a);
  const headers = Array.from({ length: elf.readUInt16LE(0x3c) }, (_, index) => {
    const at = table + index * entrySize;
    const start = Number(elf.readBigUInt64LE(at + 0x18));
    const size = Number(elf.readBigUInt64LE(at + 0x20));
    return { nameOffset: elf.readUInt32LE(at), data: elf.subarray(start, start + size) };
  });
  const names = headers[elf.readUInt16LE(0x3e)]?.data ?? Buffer.alloc(0);
  return headers.map(({ nameOffset, data }) => ({
    name: names.toString("latin1", nameOffset, names.indexOf(0, nameOffset)),
    data,
  }));
}

/**
 * Sorts modules so that each comes after those it depends on, otherwise in the order given. A dependency that is not
 * among the modules is built into the kernel.
 */
export function loadOrder<M extends { name: string; depends: readonly string[] }>(
  modules: readonly M[],
): M[] {
  const byName = new Map(modules.map((module) => [module.name, module]));
  const ordered = new Set<M>();
  const visit = (module: M, path: readonly string[]): void => {
    if (ordered.has(module) || path.includes(module.name)) return;
    for (const name of module.depends) {
      const needed = byName.get(name);
      if (needed) visit(needed, [...path, module.name]);
    }
    ordered.add(module);
  };
  for (const module of modules) visit(module, []);
  return [...ordered];
}

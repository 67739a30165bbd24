/** What can be seen of a stack's VM from outside at one moment, as cheaply as that goes: it is looked at many times a second. */
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { VmRecord } from "../../src/launcher/record/record.js";
import { vmsDir } from "../../src/paths.js";

export interface Sight {
  vmIds: string[];
  /** The VM's, of several the one that is not the former; undefined where there is none, or none that can be read just now. */
  record: VmRecord | undefined;
  hasFolder: boolean;
  /** The newest generation that has a folder; 0 where none has. */
  newest: number;
  /** Whether that generation's file is there and holds something; a socket holds nothing. */
  has: (file: string) => boolean;
  /** What the backend has saved of the stack. */
  state: string;
}

export function look(stateFile: string, former?: string): Sight {
  const vmIds = namesIn(vmsDir()).filter((name) => !name.startsWith("."));
  const vmId = vmIds.find((name) => name !== former) ?? vmIds[0];
  const folder = vmId === undefined ? undefined : join(vmsDir(), vmId);
  const newest = Math.max(
    0,
    ...namesIn(folder)
      .filter((name) => /^\d+$/.test(name))
      .map(Number),
  );
  return {
    vmIds,
    record: folder === undefined ? undefined : recordIn(folder),
    hasFolder: folder !== undefined,
    newest,
    has: (file) => folder !== undefined && holds(join(folder, String(newest), file)),
    state: textOf(stateFile),
  };
}

/** Something that changes at any moment may be gone or half there. */
function unless<T>(otherwise: T, ask: () => T): T {
  try {
    return ask();
  } catch {
    return otherwise;
  }
}

const namesIn = (folder: string | undefined): string[] =>
  folder === undefined ? [] : unless([], () => readdirSync(folder));

const textOf = (path: string): string => unless("", () => readFileSync(path, "utf8"));

const recordIn = (folder: string): VmRecord | undefined =>
  unless(undefined, () => JSON.parse(textOf(join(folder, "record.json"))) as VmRecord);

const holds = (path: string): boolean =>
  unless(false, () => {
    const found = statSync(path);
    return found.isSocket() || found.size > 0;
  });

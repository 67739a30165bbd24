/** Folders in the user's cache that are made once, whole or not at all. */
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { cacheDir } from "../../src/paths.js";

/** Where a tool that the set-up builds is kept: `<cache>/tools/<name>`; the name carries the version. */
export const toolDir = (name: string): string => join(cacheDir(), "tools", name);

export async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

/**
 * Fills a folder beside `target` and renames it into place, so that `target` is never half there. When another
 * set-up was first, its result stays. What interrupted ones left is removed.
 */
export async function makeOnce(target: string, fill: (folder: string) => Promise<void>): Promise<void> {
  await removeLeftovers(target);
  const folder = `${target}.${process.pid}.partial`;
  try {
    await mkdir(folder, { recursive: true });
    await fill(folder);
    await rename(folder, target).catch(async (error: unknown) => {
      if (!(await exists(target))) throw error;
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function removeLeftovers(target: string): Promise<void> {
  const parent = dirname(target);
  const names = await readdir(parent).catch(() => []);
  for (const name of names) {
    const pid = name.startsWith(`${basename(target)}.`) && Number(/\.(\d+)\.partial$/.exec(name)?.[1]);
    // Pids come again: in a new container an interrupted set-up may have had this process's own.
    if (pid && (pid === process.pid || !isAlive(pid)))
      await rm(join(parent, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

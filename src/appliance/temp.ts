/** Work that needs a folder for a while. */
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";

/** Runs `work` with a new folder inside `parent`, so that results can be renamed into place, and removes it after. */
export async function withTempDir<T>(parent: string, work: (dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(parent, "tmp-"));
  try {
    return await work(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

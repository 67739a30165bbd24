/** Work that needs a folder for a while. */
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";

const PREFIX = "tmp-";
/** Far longer than any build: what is older was left by one that was killed. */
const FORGOTTEN_AFTER_MS = 24 * 60 * 60 * 1000;

/** Runs `work` with a new folder inside `parent`, so that results can be renamed into place, and removes it after. */
export async function withTempDir<T>(parent: string, work: (dir: string) => Promise<T>): Promise<T> {
  await removeForgotten(parent);
  const dir = await mkdtemp(join(parent, PREFIX));
  try {
    return await work(dir);
  } finally {
    await remove(dir);
  }
}

async function removeForgotten(parent: string): Promise<void> {
  const names = (await readdir(parent)).filter((name) => name.startsWith(PREFIX));
  for (const path of names.map((name) => join(parent, name))) {
    const since = await stat(path).then(
      ({ mtimeMs }) => mtimeMs,
      () => Infinity,
    );
    if (Date.now() - since > FORGOTTEN_AFTER_MS) await remove(path);
  }
}

/** A compiler that was stopped a moment ago may still add to it. */
const remove = (dir: string): Promise<void> => rm(dir, { recursive: true, force: true, maxRetries: 5 });

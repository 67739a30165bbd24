/** A PATH of its own with programs that the test writes. */
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** Runs `work` with PATH and the caches in a new folder, which is gone afterwards. */
export async function withOwnMachine(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "microvm-machine-"));
  const before = { ...process.env };
  Object.assign(process.env, { PATH: join(folder, "bin"), MICROVM_CACHE_DIR: folder, CARGO_HOME: folder });
  try {
    await work(folder);
  } finally {
    Object.assign(process.env, before);
    for (const name of ["MICROVM_CACHE_DIR", "CARGO_HOME"]) if (!(name in before)) delete process.env[name];
    await rm(folder, { recursive: true });
  }
}

export const program = async (path: string, prints: string): Promise<void> =>
  await script(path, `echo '${prints}'`);

export async function script(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `#!/bin/sh\n${text}\n`);
  await chmod(path, 0o755);
}

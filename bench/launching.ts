/** What the benchmarks of the launcher begin with: a place of their own, an RVF, and the launcher as users run it. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { launch as Launch, MicroVmHandle } from "../src/launcher/index.js";
import { makeSampleRvf, sampleQuery } from "../tools/sample-rvf.js";
import { fromRepository } from "../tools/setup/repository.js";
import type { PartsEnvironment } from "../tools/setup/index.js";

export interface Launcher {
  launch: typeof Launch;
  rvfPath: string;
  /** Gone after the work. */
  folder: string;
}

/** Does the work with state and cache in a folder of its own. */
export async function withLauncher<T>(
  { PATH, MICROVM_APPLIANCE: image }: PartsEnvironment,
  work: (launcher: Launcher) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "microvm-bench-"));
  const before = { ...process.env };
  Object.assign(process.env, {
    PATH,
    MICROVM_STATE_DIR: join(folder, "state"),
    MICROVM_CACHE_DIR: join(folder, "cache"),
  });
  try {
    const rvfPath = join(folder, "sample.rvf");
    await makeSampleRvf(rvfPath, { image });
    const { launch } = (await import(fromRepository("dist/launcher/index.js"))) as Pick<Launcher, "launch">;
    return await work({ launch, rvfPath, folder });
  } finally {
    process.env = before;
    await rm(folder, { recursive: true, force: true });
  }
}

export interface Fleet {
  vms: MicroVmHandle[];
  /** Until every one has answered a query; as long as the machine is small. */
  millis: number;
}

/** Launches so many at once, has each answer, looks at them, and removes them. Throws where one does not come up or answer. */
export async function withFleet<T>(
  count: number,
  launchOne: () => Promise<MicroVmHandle>,
  look: (fleet: Fleet) => T | Promise<T>,
): Promise<T> {
  const start = performance.now();
  const launches = await Promise.allSettled(Array.from({ length: count }, launchOne));
  const vms = launches.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
  try {
    for (const each of launches) if (each.status === "rejected") throw each.reason;
    await Promise.all(vms.map((vm) => vm.query(sampleQuery(1), 1)));
    return await look({ vms, millis: performance.now() - start });
  } finally {
    await Promise.all(vms.map((vm) => vm.destroy()));
  }
}

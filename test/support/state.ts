/** A place on this host where a test file's VMs live, apart from the user's and from every other test file's. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { destroyVm, listRecords } from "../../src/launcher/index.js";
import { shortSocketDir, vmsDir } from "../../src/paths.js";
import { processesNaming, processesStartedWith, processesStaying } from "../../tools/leftovers.js";
import { killUnlessGone } from "./kill.js";

/** A boot takes seconds under emulation, and many on a busy machine. */
const bootPatienceMs = 180_000;

export interface TestState {
  /** Holds the state and the cache folder, and whatever else a test wants to lie about; set once tests run. */
  readonly dir: string;
}

/**
 * Points MICROVM_STATE_DIR and MICROVM_CACHE_DIR at private folders for the whole test file, also for the processes
 * that it starts, and gives its tests the time that boots need. After the last test every VM in them is ended, and the
 * folders go.
 */
export function privateState(): TestState {
  const state = { dir: "" };
  import.meta.jest.setTimeout(bootPatienceMs);
  beforeAll(async () => {
    state.dir = await mkdtemp(join(tmpdir(), "microvm-test-"));
    process.env["MICROVM_STATE_DIR"] = join(state.dir, "state");
    process.env["MICROVM_CACHE_DIR"] = join(state.dir, "cache");
  });
  afterAll(async () => {
    for (const { vmId } of await listRecords()) await destroyVm(vmId, { from: "sigkill" });
    // What no record tells of any more.
    for (const pid of await processesNaming(state.dir)) killUnlessGone(pid);
    // A plugin whose CLI was killed stays for ever.
    for (const pid of await processesStartedWith(state.dir)) killUnlessGone(pid);
    await rm(state.dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  });
  return state;
}

/** Everything that VMs of this test file have left on the host: processes, folders. Empty when they are gone. */
export async function leftovers(vmIds: readonly string[] = []): Promise<string[]> {
  const folders = await readdir(vmsDir()).catch(() => []);
  const short = await readdir(tmpdir());
  return [
    ...(await processesStaying(vmsDir())).map((pid) => `process ${pid}`),
    ...folders.map((name) => join(vmsDir(), name)),
    ...vmIds.map(shortSocketDir).filter((dir) => short.some((name) => dir === join(tmpdir(), name))),
  ];
}

/** A place of its own in which faults happen: state, cache and temporary folder on a small disk that can fill up. */
import { mkdir, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { createVm, destroyVm, statusOf, type VmSpecInput, type VmStatus } from "../../src/launcher/index.js";
import { killUnlessGone } from "../support/kill.js";
import { sampleRvf, stuckRvf } from "../support/rvf.js";
import { processesIn } from "./processes.js";
import { randomFrom, type Random } from "./random.js";

export interface World {
  dir: string;
  /** Whether its disk is one of its own, which takes root. */
  hasDisk: boolean;
  /** A fault's own: it can be had again by its seed, whatever came before. */
  random: Random;
  rvfPath: string;
  /** Never gets ready, never ends, and hears no power button. */
  stuckPath: string;
  /** The VM that runs, launched where none does. */
  vm(): Promise<VmStatus>;
  /** That VM's id, while there is one. */
  patient: string | undefined;
  /** Takes the last byte of the disk; returns what gives it back. */
  fillDisk(): Promise<() => Promise<void>>;
  /** Lets nobody write below the folder any more; returns what does. */
  makeReadOnly(folder: string): Promise<() => Promise<void>>;
  /** Ends and removes everything, whatever state it is in. */
  clear(): Promise<void>;
  close(): Promise<void>;
}

/** Points this process's environment at it. Its folder's length lets the sockets of a VM with a short name lie in the VM's folder. */
export async function openWorld(): Promise<World> {
  const dir = await mkdtemp(join(tmpdir(), "microvm-chaos-"));
  const hasDisk = await execa("mount", ["-t", "tmpfs", "-o", "size=256m,mode=0700", "chaos", dir]).then(
    () => true,
    () => false,
  );
  const former = { ...process.env };
  const parts = { MICROVM_STATE_DIR: "state-of-the-vms", MICROVM_CACHE_DIR: "cache", TMPDIR: "tmp" };
  for (const [name, part] of Object.entries(parts)) {
    process.env[name] = join(dir, part);
    await mkdir(join(dir, part), { mode: 0o700 });
  }
  const world: World = {
    ...{ dir, hasDisk, random: randomFrom(0), patient: undefined },
    ...{ rvfPath: await sampleRvf(), stuckPath: await stuckRvf() },
    async vm() {
      const now = world.patient === undefined ? undefined : await statusOf(world.patient);
      if (now?.state === "running") return now;
      if (world.patient !== undefined) await destroyVm(world.patient);
      const vm = await createVm(anySpec(world), { name: anyName(world) });
      world.patient = vm.vmId;
      return vm;
    },
    fillDisk: async () => await fill(join(dir, "filler")),
    async makeReadOnly(folder) {
      const undo = async () => void (await execa("umount", ["--lazy", folder]));
      for (let tries = 0; ; tries++) {
        await execa("mount", ["--bind", folder, folder]);
        try {
          await execa("mount", ["-o", "remount,ro,bind", folder]);
          return undo;
        } catch (error) {
          // Busy, where a VM opened a file for writing between the two.
          await undo();
          if (tries >= 5) throw error;
        }
      }
    },
    async clear() {
      for (const { pid } of await processesIn(dir)) killUnlessGone(pid);
      for (const part of ["state-of-the-vms/vms", "cache", "tmp", "filler"])
        await rm(join(dir, part), removal);
      await mkdir(process.env["TMPDIR"]!, { mode: 0o700 });
      world.patient = undefined;
    },
    async close() {
      await world.clear();
      if (hasDisk) await execa("umount", ["--lazy", dir]);
      await rm(dir, removal);
      for (const name of Object.keys(parts)) {
        if (former[name] === undefined) delete process.env[name];
        else process.env[name] = former[name];
      }
    },
  };
  return world;
}

const removal = { recursive: true, force: true, maxRetries: 20, retryDelay: 50 };

/** A spec among those that a user may well write. */
export const anySpec = ({ random, rvfPath }: World): VmSpecInput => ({
  rvfPath,
  apiPort: 0,
  shutdownTimeoutSeconds: 5,
  ...(random.below(2) === 0 && { sshPort: 0 }),
});

/** A long one sends the sockets into the temporary folder. */
const anyName = ({ random }: World): string => random.pick(["db", "a-name-of-a-vm-with-many-letters-in-it"]);

/** To the last byte, as a log that nobody rotates does. */
async function fill(path: string): Promise<() => Promise<void>> {
  const file = await open(path, "w");
  for (let size = 1 << 20; size >= 512;) {
    await file.write(Buffer.alloc(size)).catch(() => (size >>= 1));
  }
  await file.close().catch(() => {});
  return async () => await rm(path);
}

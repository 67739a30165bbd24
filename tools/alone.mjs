/** A lock between processes. Plain JavaScript on Node's own modules, as start.mjs, which needs it. */
import { readFileSync } from "node:fs";
import { mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";

/** Far above what an installation takes. */
const patienceMinutes = 10;

/**
 * Runs `work` while the folder `lock` holds a file with this process's name. Another living holder is waited for, at
 * most 10 minutes; `waiting` is told its pid and returns what to call when the wait is over.
 *
 * A folder, because a rename onto one succeeds only while that is empty: who finds a dead holder removes that holder's
 * file by its name, which cannot hit the lock of a third process that was quicker.
 */
export async function alone(lock, waiting, work) {
  const deadline = Date.now() + patienceMinutes * 60_000;
  let waited;
  try {
    while (!(await take(lock))) {
      const [holder] = await readdir(lock).catch(() => []);
      if (holder === undefined) continue;
      const pid = Number.parseInt(holder, 10);
      if (nameOf(pid) !== holder) {
        await rm(join(lock, holder), { force: true });
        continue;
      }
      if (Date.now() > deadline) {
        const what = `Process ${pid} is not done after ${patienceMinutes} minutes.`;
        throw new Error(`${what} End it, or remove ${join(lock, holder)}, and try again.`);
      }
      waited ??= waiting(pid);
      await setTimeout(300);
    }
  } finally {
    waited?.();
  }
  try {
    await work();
  } finally {
    await rm(join(lock, nameOf(process.pid)), { force: true });
  }
}

async function take(lock) {
  const own = await mkdtemp(`${lock}-`);
  try {
    await writeFile(join(own, nameOf(process.pid)), "");
    await rename(own, lock);
    return true;
  } catch (error) {
    await rm(own, { recursive: true });
    if (error.code === "ENOTEMPTY" || error.code === "EEXIST") return false;
    throw error;
  }
}

/**
 * A living process's pid and start time, because pids come again, after a reboot and in each new container; undefined
 * for one that has ended. Without /proc it is the pid alone.
 */
function nameOf(pid) {
  try {
    if (process.platform !== "linux") return process.kill(pid, 0) && String(pid);
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // proc(5): the state is field 3, the start field 22; the name before them, in brackets, may hold anything.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : `${pid}-${fields[22 - 3]}`;
  } catch (error) {
    return error.code === "EPERM" ? String(pid) : undefined;
  }
}

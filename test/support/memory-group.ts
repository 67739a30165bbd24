/** A control group with little memory, in which the kernel kills for want of it. Making one takes root. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The root of the memory controller by cgroup v1, else v2, and its file for the limit. */
const [root, limit] = existsSync("/sys/fs/cgroup/memory")
  ? ["/sys/fs/cgroup/memory", "memory.limit_in_bytes"]
  : ["/sys/fs/cgroup", "memory.max"];

/** For tests that need such a group, and the kernel's log, in which it tells whom it killed. */
export const testOutOfMemory = available() ? test : test.skip;

function available(): boolean {
  try {
    execFileSync("dmesg", { stdio: "ignore" });
    makeMemoryGroup("microvm-test-probe", 1 << 20)[Symbol.dispose]();
    return true;
  } catch {
    return false;
  }
}

/** Its folder, for `cgroup.procs`. Disposed of when no process is in it any more. */
export function makeMemoryGroup(name: string, bytes: number): Disposable & { path: string } {
  const path = join(root, `${name}-${process.pid}`);
  mkdirSync(path);
  try {
    writeFileSync(join(path, limit), String(bytes));
  } catch (error) {
    rmdirSync(path);
    throw error;
  }
  return {
    path,
    [Symbol.dispose]: () => {
      // A process that was killed is in it until it is gone.
      for (const until = Date.now() + 5000; Date.now() < until;)
        if (readFileSync(join(path, "cgroup.procs"), "utf8") === "") break;
      rmdirSync(path);
    },
  };
}

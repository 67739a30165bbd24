/** A launch that is called off ends soon, whatever QEMU does. */
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { launch } from "../../src/launcher/index.js";
import { sampleRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";
import { eventually, isAlive } from "../support/wait.js";

const state = privateState();

test("a QEMU that never opens its monitor holds nobody up, and goes with its launch", async () => {
  const qemuBinary = join(state.dir, "qemu");
  const pidFile = join(state.dir, "pid");
  // What is asked of QEMU beforehand it answers; told to start a VM, it does nothing.
  const script = `#!/bin/sh\ncase "$*" in *-uuid*) echo $$ >"${pidFile}"; exec sleep 1000;; esac\nexec qemu-system-x86_64 "$@"\n`;
  await writeFile(qemuBinary, script);
  await chmod(qemuBinary, 0o755);
  const interruption = new AbortController();
  const launched = launch(
    { rvfPath: await sampleRvf(), apiPort: 0, enableKvm: false, qemuBinary, readyTimeoutSeconds: 600 },
    { signal: interruption.signal },
  );
  const outcome = expect(launched).rejects.toMatchObject({ code: "Cancelled" });
  const pid = await eventually(async () => Number(await readFile(pidFile, "utf8").catch(() => "")));
  interruption.abort();
  await outcome;
  await eventually(() => !isAlive(pid));
  expect(await leftovers()).toEqual([]);
}, 120_000);

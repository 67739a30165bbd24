/** What a launch waits for, with another program in QEMU's place: the guest's words are written here. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { processWith } from "../../../src/launcher/host/process.js";
import { waitReady } from "../../../src/launcher/start/ready.js";
import { filesIn } from "../../support/files-in.js";
import { freePort } from "../../support/ports.js";

let dir: string;
beforeEach(async () => (dir = await mkdtemp(join(tmpdir(), "microvm-ready-"))));
afterEach(async () => await rm(dir, { recursive: true }));

test("a QEMU that dies after its guest's ready line, before an answer, ends the wait at once", async () => {
  const qemu = spawn("sleep", ["1000"], { stdio: "ignore" });
  await once(qemu, "spawn");
  const files = filesIn(dir);
  await writeFile(files.ready, "ready 1234\n");
  const url = `http://127.0.0.1:${await freePort()}`;
  const ready = waitReady({ files, vm: processWith(qemu.pid!)!, nonce: "1234", url, timeoutMs: 30_000 });
  setTimeout(() => qemu.kill("SIGKILL"), 200);
  await expect(ready).rejects.toMatchObject({ code: "QemuExited" });
}, 60_000);

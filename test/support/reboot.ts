/** A boot of the host as a VM's record would show it, without one. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { vmDir } from "../../src/launcher/record/vm-folder.js";
import { parentOf } from "./parent.js";

/** Whoever was there to note down how QEMU ended goes with it, and so does the boot that the record knows. */
export async function pretendReboot({ vmId, pid }: { vmId: string; pid: number }): Promise<void> {
  process.kill(parentOf(pid), "SIGKILL");
  process.kill(pid, "SIGKILL");
  const path = join(vmDir(vmId), "record.json");
  const text = await readFile(path, "utf8");
  await writeFile(path, text.replace(/"hostBootId": "[^"]+"/, '"hostBootId": "another"'));
}

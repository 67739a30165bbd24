/** Consoles of real guests: flooded, on a full disk, and followed. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, readdir, rm, stat, statfs, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { launch, statusOf, type MicroVmHandle } from "../../../src/launcher/index.js";
import { consoleFileBytes, formerConsole } from "../../../src/launcher/start/keeper.js";
import { sampleQuery } from "../../../tools/sample-rvf.js";
import { outcomeOf, start } from "../../cli/command.js";
import { testAsRoot } from "../../support/nobody.js";
import { sampleRvf } from "../../support/rvf.js";
import { leftovers, privateState } from "../../support/state.js";
import { tell, toldGuest, writeToldInitramfs } from "../../support/told-guest.js";
import { eventually, isAlive } from "../../support/wait.js";

const state = privateState();
let rvfPath: string;
let initramfsPath: string;
beforeAll(async () => {
  rvfPath = await sampleRvf();
  initramfsPath = join(state.dir, "told-initramfs");
  await writeToldInitramfs(initramfsPath);
});

const launchTold = async (socket: string): Promise<MicroVmHandle> =>
  await launch({ rvfPath, apiPort: 0, enableKvm: false, ...toldGuest(initramfsPath, socket) });

const consoleOf = async (vm: MicroVmHandle): Promise<string> => (await vm.status()).consoleLog;

async function folderBytes(path: string): Promise<number> {
  const sizes = (await readdir(path)).map((name) =>
    stat(join(path, name)).then(
      ({ size }) => size,
      () => 0,
    ),
  );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

test("a guest that floods its console fills two files at most, still answers and powers down", async () => {
  const socket = join(state.dir, "flood.sock");
  const vm = await launchTold(socket);
  const path = await consoleOf(vm);
  const follower = start("logs", "-f", vm.vmId);
  await once(follower.stdout, "data");
  await tell(socket, "f");
  let last = 0;
  for (let rotations = 0; rotations < 2; rotations++) {
    await eventually(async () => {
      expect(await folderBytes(dirname(path))).toBeLessThan(4 * consoleFileBytes + 100_000);
      const { mtimeMs } = await stat(formerConsole(path)).catch(() => ({ mtimeMs: last }));
      return mtimeMs !== last && (last = mtimeMs);
    });
  }
  expect(await vm.query(sampleQuery(1), 3)).toHaveLength(3);
  expect(await vm.shutdown()).toMatchObject({ rung: "powerdown" });
  expect(await vm.status()).toMatchObject({ state: "exited", ending: "clean", exitCode: 0 });
  const { status, stdout } = await outcomeOf(follower);
  expect(status).toBe(0);
  // Whoever followed it has more than the files hold, and at its end every byte of them once.
  expect(stdout.length).toBeGreaterThan(2 * consoleFileBytes);
  const kept = await Promise.all([formerConsole(path), path].map((file) => readFile(file, "utf8")));
  expect(stdout.trimEnd().endsWith(kept.join("").trimEnd())).toBe(true);
  await vm.destroy();
  expect(await leftovers([vm.vmId])).toEqual([]);
});

testAsRoot("on a full disk the guest goes on, and so does its console once there is room again", async () => {
  const usual = process.env["MICROVM_STATE_DIR"];
  const disk = join(state.dir, "disk");
  const socket = join(state.dir, "full.sock");
  await mkdir(disk);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]);
  try {
    process.env["MICROVM_STATE_DIR"] = join(disk, "state");
    const vm = await launchTold(socket);
    const path = await consoleOf(vm);
    await writeFile(join(disk, "filler"), Buffer.alloc(200_000));
    await tell(socket, "f");
    await eventually(async () => (await statfs(disk)).bavail === 0);
    const { size } = await stat(path);
    expect(await vm.query(sampleQuery(1), 3)).toHaveLength(3);
    await rm(join(disk, "filler"));
    await eventually(async () => (await stat(path)).size > size);
    expect(await vm.query(sampleQuery(2), 3)).toHaveLength(3);
    await vm.kill();
    await rm(path);
    await vm.destroy();
    expect(await statusOf(vm.vmId)).toBeUndefined();
    expect(isAlive(vm.pid)).toBe(false);
    expect(await leftovers([vm.vmId])).toEqual([]);
  } finally {
    process.env["MICROVM_STATE_DIR"] = usual;
    execFileSync("umount", [disk]);
  }
});

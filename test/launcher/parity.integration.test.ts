/** What the seed's users know: dry run and handle (docs/parity.md). */
import { access, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { dryRun, launch } from "../../src/launcher/index.js";
import { sampleRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";
import { eventually, isAlive } from "../support/wait.js";

privateState();

test("a dry run tells the very command line of a launch, and its files stay valid", async () => {
  const spec = { rvfPath: await sampleRvf(), apiPort: 0, sshPort: 0, memoryMb: 140, enableKvm: false };
  const dry = await dryRun(spec);
  await using vm = await launch(spec);
  const { consoleLog } = await vm.status();
  const argv = JSON.parse(await readFile(join(dirname(consoleLog), "argv.json"), "utf8")) as string[];
  // Its own are a launch's id, uuid and nonce, which a dry run has placeholders for.
  const uuid = argv[argv.indexOf("-uuid") + 1]!;
  const nonce = /microvm\.nonce=(\w+)/.exec(argv.join(" "))![1]!;
  const placeholders = (word: string) =>
    word
      .replaceAll(vm.vmId, "dry-run")
      .replaceAll(uuid, "00000000-0000-0000-0000-000000000000")
      .replaceAll(`microvm.nonce=${nonce}`, "microvm.nonce=0");
  expect(argv.map(placeholders)).toEqual(dry.argv);
  expect(dry).toMatchObject({ accelerator: "tcg", memoryMb: 140, vcpus: 1, apiPort: 0 });
  await access(dry.kernelPath);
  await access(dry.initramfsPath!);
});

test("a handle has what the seed's has, and kills", async () => {
  const vm = await launch({ rvfPath: await sampleRvf(), apiPort: 0, sshPort: 0 });
  const { pid, boundApiPort, boundSshPort, qmpSocket } = await vm.status();
  expect(vm).toMatchObject({ pid, apiPort: boundApiPort, sshPort: boundSshPort, qmpSocket });
  expect(isAlive(vm.pid)).toBe(true);
  expect(await vm.kill()).toMatchObject({ rung: "sigkill" });
  await eventually(() => !isAlive(vm.pid));
  expect(await vm.status()).toMatchObject({ state: "exited", ending: "killed", exitCode: 137 });
  await vm.destroy();
  expect(await leftovers([vm.vmId])).toEqual([]);
});

/** What a boot shows of KVM on this host, whichever way it goes here, and what the next launch makes of it. */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { hardwareObstacle } from "../../../src/launcher/host/accelerator.js";
import { checkRequirements, findQemu, launch, type VmStatus } from "../../../src/launcher/index.js";
import { recallKvm, verdictFolder } from "../../../src/launcher/host/kvm-verdict.js";
import { sampleRvf } from "../../support/rvf.js";
import { leftovers, privateState } from "../../support/state.js";

const state = privateState();
let rvfPath: string;
beforeAll(async () => (rvfPath = await sampleRvf()));
afterEach(async () => expect(await leftovers()).toEqual([]));

/** Launches a VM and ends it. */
async function launchOnce(): Promise<{ status: VmStatus; started: string[] }> {
  const progress: string[] = [];
  await using vm = await launch({ rvfPath, apiPort: 0 }, { onProgress: (text) => progress.push(text) });
  const started = progress.flatMap((text) => /^starting QEMU \S+ \((\w+)\)$/.exec(text)?.[1] ?? []);
  return { status: await vm.status(), started };
}

test("the first launch finds out whether KVM works, the next ones know, until it is forgotten", async () => {
  const obstacle = await hardwareObstacle("kvm", "x86_64");
  const first = await launchOnce();
  const { kvm } = await checkRequirements();
  const second = await launchOnce();
  expect(second.status.accelerator).toBe(first.status.accelerator);
  expect(second.started[0]).toBe(second.status.accelerator);
  if (obstacle) {
    expect(kvm).toEqual({ state: "unavailable", ...obstacle });
    expect(second.status.acceleratorReason).toBe(obstacle.reason);
    return;
  }
  expect(first.started[0]).toBe("kvm");
  const works = first.status.accelerator === "kvm";
  expect(kvm.state).toBe(works ? "works" : "failed");
  expect(second.status.acceleratorReason).toBe(kvm.reason);
  if (!works) expect(kvm.reason).toContain(`or once ${verdictFolder()} is removed`);

  await rm(verdictFolder(), { recursive: true });
  expect((await checkRequirements()).kvm.state).toBe("untried");
});

test("where the guest comes up neither way nothing is held against KVM", async () => {
  const binary = join(state.dir, "qemu");
  const script = `#!/bin/sh\ncase "$*" in *"-accel kvm"* | *"-accel tcg"*) exit 1;; esac\nexec ${await findQemu()} "$@"\n`;
  await writeFile(binary, script, { mode: 0o755 });
  await expect(launch({ rvfPath, apiPort: 0, qemuBinary: binary })).rejects.toMatchObject({
    code: "QemuExited",
  });
  expect(await recallKvm({ binary }, "x86_64")).toBeUndefined();
});

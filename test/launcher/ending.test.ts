import { classify } from "../../src/launcher/ending.js";

const panic = "reboot: x\n[ 1.0] Kernel panic - not syncing: VFS: Unable to mount root fs\n[ 1.1] CPU: 0";
const term = "qemu-system-x86_64: terminating on signal 15 from pid 4711 (bash)";

test.each([
  ["the guest's power-off", 0, "", "reboot: Power down", "clean", "the guest powered off"],
  [
    "a panic, which exits like a power-off",
    0,
    "",
    panic,
    "panic",
    "the guest's kernel panicked (Kernel panic - not syncing: VFS: Unable to mount root fs)",
  ],
  [
    "SIGTERM, which QEMU turns into status 0",
    0,
    term,
    "",
    "killed",
    "QEMU was ended from outside (terminating on signal 15 from pid 4711)",
  ],
  ["SIGKILL", 137, "", "", "killed", "QEMU was killed by SIGKILL"],
  ["SIGTERM before QEMU handled it", 143, "", "", "killed", "QEMU was killed by SIGTERM"],
  ["KVM's abort", 134, "failed to set MSR", "", "crashed", "QEMU crashed with SIGABRT"],
  ["the sandbox", 159, "", "", "crashed", "QEMU crashed with SIGSYS"],
  ["a signal without a name", 128 + 99, "", "", "crashed", "QEMU crashed with signal 99"],
  ["an argument it refused", 1, "invalid option", "", "crashed", "QEMU exited with status 1"],
  ["a binary that cannot be run", 127, "not found", "", "crashed", "QEMU exited with status 127"],
  ["nobody there to see", undefined, "", "", "unknown", "nothing tells how it ended"],
])("%s", (_, code, stderr, console, how, detail) =>
  expect(classify(code, stderr, console)).toEqual({ how, detail }),
);

/** Values as the provider's parts hand them to one another. */
import type { VmStatus } from "../../src/launcher/index.js";
import type { Inputs, State } from "../../src/provider/inputs.js";
import { outputsOf } from "../../src/provider/inputs.js";

export const sampleInputs: Inputs = {
  rvfPath: "./db.rvf",
  memoryMb: 128,
  vcpus: 1,
  apiPort: 8080,
  bindAddress: "127.0.0.1",
  enableKvm: true,
  extraArgs: [],
  allowUnsafeArgs: false,
  verification: "lenient",
  trustedKeys: [],
  readyTimeoutSeconds: 60,
  firstOutputTimeoutSeconds: 10,
  shutdownTimeoutSeconds: 10,
  warmStart: false,
  updateStrategy: "beside",
  drainTimeoutSeconds: 10,
  owner: { project: "project", stack: "stack", resource: "db" },
  rvfFingerprint: "1 bytes",
  condition: "running",
  __provider: "text",
};

const { owner, rvfFingerprint: _, condition: __, __provider, ...spec } = sampleInputs;

export const sampleStatus: VmStatus = {
  vmId: "db-00000001",
  name: "db",
  owner,
  spec,
  state: "running",
  status: "running",
  pid: 4711,
  url: "http://127.0.0.1:8080",
  boundApiPort: 8080,
  boundSshPort: 2222,
  accelerator: "tcg",
  acceleratorReason: "there is no /dev/kvm",
  qmpSocket: "/state/vms/db-00000001/1/qmp.sock",
  consoleLog: "/state/vms/db-00000001/1/console.log",
  kernelSha256: "00ff",
  kernelIntegrity: "intact",
  bootMillis: 1500,
  startedAt: "2026-01-01T00:00:00.000Z",
  qemuVersion: "7.2.22",
};

export const sampleState: State = { ...sampleInputs, ...outputsOf(sampleStatus) };

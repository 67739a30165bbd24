/** A VM as it stands on disk, for tests that need one and no guest. */
import type { Generation, VmRecord } from "../../src/launcher/record/record.js";
import { parseSpec } from "../../src/launcher/spec.js";

const time = "2026-01-02T03:04:05.678Z";

/** A record that says `ready`, without a generation. */
export const recordWith = (changes: Partial<VmRecord> = {}): VmRecord => ({
  format: 2,
  vmId: "db-1",
  name: "db",
  owner: null,
  createdAt: time,
  phase: "ready",
  spec: parseSpec({ rvfPath: "/db.rvf" }),
  ...changes,
});

/** A generation whose sockets lead nowhere, and of which no process runs. */
export const generationWith = (changes: Partial<Generation> = {}): Generation => ({
  number: 1,
  uuid: "00000000-0000-4000-8000-000000000001",
  nonce: "n",
  qmpSocket: "/nowhere",
  controlSocket: "/nowhere",
  qemuVersion: "7.2.22",
  contentFingerprint: "f",
  kernelSha256: "s",
  kernelIntegrity: "verified",
  accelerator: "tcg",
  acceleratorReason: "there is no /dev/kvm",
  startedAt: time,
  ...changes,
});

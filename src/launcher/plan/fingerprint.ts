/** Tells whether the files behind a spec's paths changed, and which. A copy or a touched file is the same. */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { z } from "zod";
import { applianceFingerprint } from "../../appliance/index.js";
import { fingerprintRvf } from "../../rvf/index.js";
import { formerFingerprint } from "./former-fingerprint.js";
import type { VmRecord } from "../record/record.js";
import { memory } from "../host/remembered.js";
import { unreadable } from "../host/unreadable.js";
import type { FilePaths } from "../spec.js";

/** The name of each file's fingerprint, by the input that names the file; of a kernel there is one. */
export const fingerprintNames = {
  rvfPath: "rvfFingerprint",
  kernel: "kernelFingerprint",
  kernelPath: "kernelFingerprint",
  initramfsPath: "initramfsFingerprint",
} as const satisfies Record<keyof FilePaths, string>;

/** One for each file that is named, in words and digits that a person can compare. */
export type Fingerprints = Partial<Record<(typeof fingerprintNames)[keyof FilePaths], string>>;

/** Throws FileNotFound, RvfInvalid or Io, naming the input. */
export async function fingerprintsOf(paths: Partial<FilePaths>): Promise<Fingerprints> {
  const { rvfPath, kernel, kernelPath, initramfsPath } = paths;
  const fingerprints: Fingerprints = {};
  if (rvfPath !== undefined) fingerprints.rvfFingerprint = await fingerprintRvf(rvfPath);
  if (kernel !== undefined) fingerprints.kernelFingerprint = await applianceFingerprint();
  if (kernelPath !== undefined)
    fingerprints.kernelFingerprint = await fingerprintFile(kernelPath, "kernelPath");
  if (initramfsPath !== undefined)
    fingerprints.initramfsFingerprint = await fingerprintFile(initramfsPath, "initramfsPath");
  return fingerprints;
}

/** All of them in one line, for a record. */
export async function contentFingerprint(paths: FilePaths): Promise<string> {
  return Object.entries(await fingerprintsOf(paths))
    .map(([name, value]) => `${name}: ${value}`)
    .join("; ");
}

/** Whether the files still are what they were when the fingerprint was taken, by this version or an earlier one. */
export async function hasContent(paths: FilePaths, fingerprint: string): Promise<boolean> {
  const isFormer = /^[0-9a-f]{64}$/.test(fingerprint);
  return fingerprint === (await (isFormer ? formerFingerprint : contentFingerprint)(paths));
}

/** Whether a VM was booted from what the files still are. */
export const isBootedFromThem = async ({ spec, generation }: VmRecord): Promise<boolean> =>
  generation !== undefined && (await hasContent(spec, generation.contentFingerprint));

const digests = memory("fingerprints", z.string());

/** A file that changed so recently may change again without its times showing it: FAT has them in steps of 2 s. */
const settledMs = 2000;

/**
 * These files hold no hashes of their own, so they are read once, as their launch does too; as long as inode and times are the
 * same, what was found is remembered.
 */
async function fingerprintFile(path: string, property: "kernelPath" | "initramfsPath"): Promise<string> {
  try {
    const known = await digests.recall(path);
    if (known) return known.value;
    const start = Date.now();
    // A named pipe would otherwise be waited for.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const before = await file.stat();
    if (!before.isFile()) throw new Error("it is not a regular file");
    const hash = createHash("sha256");
    for await (const piece of file.createReadStream({ autoClose: false })) hash.update(piece as Buffer);
    const { size, ctimeMs } = await file.stat();
    const fingerprint = `${size} bytes, sha256 ${hash.digest("hex")}`;
    if (start - ctimeMs > settledMs) await digests.remember(fingerprint, path);
    return fingerprint;
  } catch (cause) {
    throw unreadable(path, cause, property);
  }
}

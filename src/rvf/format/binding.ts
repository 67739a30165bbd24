/** The KernelBinding of ADR-031: what state and policy a kernel was embedded for. */
import { damaged, unsupported } from "./kernel.js";

export interface KernelBinding {
  version: number;
  /** Least version of the runtime; 0 for any. */
  minRuntimeVersion: number;
  /** SHAKE-256-256 of the manifest's root node. The format does not say which bytes that is, so it is shown only. */
  manifestRootHash: string;
  /** SHAKE-256-256 of a policy document that is elsewhere. */
  policyHash: string;
  /** One bit for each type of segment that may be in the store, by its number; 0 for no restriction. */
  allowedSegmentMask: bigint;
}

/** Reads the 128 bytes; throws KernelDamaged where they break the format's own rules. */
export function parseBinding(bytes: Buffer): KernelBinding {
  const version = bytes.readUInt16LE(0x40);
  if (version === 0) throw damaged("its binding has version 0");
  if (version !== 1) throw unsupported(`its binding has version ${version}; only 1 is known`);
  const reserved = [bytes.subarray(0x44, 0x48), bytes.subarray(0x50, 0x80)];
  if (reserved.some((part) => part.some((byte) => byte !== 0)))
    throw damaged("the reserved bytes of its binding are not zero");
  return {
    version,
    minRuntimeVersion: bytes.readUInt16LE(0x42),
    manifestRootHash: bytes.toString("hex", 0x00, 0x20),
    policyHash: bytes.toString("hex", 0x20, 0x40),
    allowedSegmentMask: bytes.readBigUInt64LE(0x48),
  };
}

/** Which of the types in a store its kernel's binding does not allow. */
export const forbiddenTypes = ({ allowedSegmentMask }: KernelBinding, types: number[]): number[] =>
  allowedSegmentMask === 0n ? [] : types.filter((type) => ((allowedSegmentMask >> BigInt(type)) & 1n) === 0n);

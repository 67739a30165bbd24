/** Embeds a kernel: a copy of the store with one more kernel segment that every reader accepts. */
import { MicroVmError } from "../../errors.js";
import { MAX_CMDLINE_BYTES, decodeCmdline } from "../format/cmdline.js";
import { MAX_PAYLOAD_BYTES } from "../format/segment.js";
import { openStore } from "../format/store.js";
import { sha3 } from "../hash.js";
import type { ImageKind } from "../image/identify.js";
import { json64, type Json64 } from "../report.js";
import { withSource, type Source } from "../source.js";
import { fingerprint, parsePrivateKey, publicKeyOf } from "../verify/keys.js";
import { archOf, checkImage, type KnownArch } from "./image.js";
import { encodeKernelHeader } from "./kernel-header.js";
import { stopIfAsked } from "./output.js";
import { streamPieces, wholeOf, type Piece } from "./pieces.js";
import { addKernel } from "./store.js";

export interface EmbedOptions {
  /** The kernel image's file. */
  image: string;
  /** A file that is put behind the image; only a bzImage can have one. */
  initramfs?: string | undefined;
  /**
   * The kernel's own command line, at most 2047 bytes of UTF-8 in one line.
   * @default none
   */
  cmdline?: string | undefined;
  /** Only needed where the image does not tell. */
  arch?: KnownArch | undefined;
  /**
   * Least memory that the kernel asks for, MiB; 0 says nothing.
   * @default 0
   */
  minMemoryMb?: number | undefined;
  /**
   * Guest port of the HTTP API.
   * @default 8080
   */
  apiPort?: number | undefined;
  /** Signs the kernel's segment: an Ed25519 key as PEM text (PKCS#8). */
  privateKey?: string | undefined;
  /** The file that is written. There must be none. */
  out: string;
  /** Stops the writing; nothing is left behind then. */
  signal?: AbortSignal | undefined;
}

/** What was written, as JSON-able data. */
export interface EmbedReport {
  out: string;
  /** Its size. */
  bytes: number;
  segmentId: Json64;
  imageKind: ImageKind;
  arch: KnownArch;
  /** With the initramfs behind it. */
  imageBytes: number;
  initramfs?: { bytes: number; format: string };
  cmdline: string;
  /** SHA3-256 of the image, hex, as it stands in the kernel's header. */
  imageHash: string;
  /** Fingerprint of the public key that the signature is verified with. */
  signer?: string;
  warnings: string[];
}

/**
 * Writes a copy of the RVF at `path` with the image as its newest kernel; the original is only read. Throws FileNotFound or
 * RvfInvalid for a store that cannot be added to, InvalidArgument for an option or image that does not fit, Cancelled, and
 * Io; then there is no file at `out`.
 */
export async function embedKernel(path: string, options: EmbedOptions): Promise<EmbedReport> {
  const { image, initramfs, signal } = options;
  const checked = {
    cmdline: checkedCmdline(options.cmdline ?? ""),
    minMemoryMb: inRange("minMemoryMb", options.minMemoryMb ?? 0, 0, 0xffff_ffff),
    apiPort: inRange("apiPort", options.apiPort ?? 8080, 1, 0xffff),
  };
  const privateKey = options.privateKey === undefined ? undefined : parsePrivateKey(options.privateKey);

  return withSources(path, image, initramfs, async (store, kernel, appended) => {
    const opened = await openStore(store);
    const parts = await checkImage(kernel, appended);
    const arch = archOf(kernel, parts, options.arch);
    const pieces = [wholeOf(kernel), ...(appended ? [wholeOf(appended)] : [])];
    const imageBytes = kernel.size + (appended?.size ?? 0);
    refuseTooLarge(imageBytes);
    const imageHash = await hashOf(pieces, signal);
    const header = encodeKernelHeader({
      ...checked,
      arch,
      imageKind: parts.imageKind,
      imageBytes,
      imageHash,
      cmdlineBytes: checked.cmdline.length,
    });
    const { id, bytes } = await addKernel(store, opened, [header, ...pieces, checked.cmdline], {
      out: options.out,
      privateKey,
      signal,
    });
    return {
      out: options.out,
      bytes,
      segmentId: json64(id),
      imageKind: parts.imageKind,
      arch,
      imageBytes,
      ...(parts.initramfs && {
        initramfs: { bytes: parts.initramfs.length, format: parts.initramfs.format },
      }),
      cmdline: checked.cmdline.toString("utf8"),
      imageHash: imageHash.toString("hex"),
      ...(privateKey && { signer: fingerprint(publicKeyOf(privateKey)) }),
      warnings: parts.warnings,
    };
  });
}

const withSources = <T>(
  path: string,
  image: string,
  initramfs: string | undefined,
  use: (store: Source, image: Source, initramfs: Source | undefined) => Promise<T>,
): Promise<T> =>
  withSource(path, "rvf", (store) =>
    withSource(image, "image", (kernel) =>
      initramfs === undefined
        ? use(store, kernel, undefined)
        : withSource(initramfs, "image", (appended) => use(store, kernel, appended)),
    ),
  );

async function hashOf(pieces: Piece[], signal: AbortSignal | undefined): Promise<Buffer> {
  const hash = sha3();
  for await (const piece of streamPieces(pieces)) {
    stopIfAsked(signal);
    hash.update(piece);
  }
  return hash.digest();
}

/** Header and command line need room in the payload, too. */
const MAX_IMAGE_BYTES = MAX_PAYLOAD_BYTES - 4096;

function refuseTooLarge(imageBytes: number): void {
  if (imageBytes > MAX_IMAGE_BYTES)
    throw new MicroVmError(
      "InvalidArgument",
      `The kernel image has ${imageBytes} bytes with its initramfs; readers of RVF take ${MAX_IMAGE_BYTES} at most.`,
      { hint: "Embed a smaller kernel or initramfs." },
    );
}

function checkedCmdline(text: string): Buffer {
  const bytes = Buffer.from(text, "utf8");
  if (bytes.length > MAX_CMDLINE_BYTES)
    throw new MicroVmError(
      "InvalidArgument",
      `The command line has ${bytes.length} bytes; Linux takes ${MAX_CMDLINE_BYTES}.`,
    );
  try {
    decodeCmdline(bytes);
  } catch (error) {
    const { message } = error as MicroVmError;
    throw new MicroVmError("InvalidArgument", `The command line cannot be embedded. ${message}`, {
      cause: error,
    });
  }
  return bytes;
}

function inRange(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new MicroVmError("InvalidArgument", `${name} is ${value}; it must be from ${least} to ${most}.`);
}

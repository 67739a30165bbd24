/** The three layouts of image and command line behind a kernel's header. */
import type { ByteRange } from "../source.js";
import { KERNEL_HEADER_BYTES, type KernelHeader } from "./kernel.js";

/** ADR-030's signature behind the image: 2 + 2 bytes, 64 of Ed25519, 4 of the footer's own length. */
const SIGNATURE_FOOTER_BYTES = 72;
const BINDING_BYTES = 128;

export interface KernelLayout {
  name: "image-cmdline" | "binding-cmdline-image" | "adr030";
  /** The image as it is stored: perhaps compressed. */
  image: ByteRange;
  cmdline: ByteRange;
  /** A KernelBinding. */
  binding?: ByteRange;
  /** A SignatureFooter within the payload. */
  footer?: ByteRange;
}

/**
 * The layouts whose sizes add up to the payload exactly. `cmdline_offset` is of no help alone: rvf-runtime writes 128
 * even where the image stands there. Two can add up at once; the image's hash then decides.
 */
export function fittingLayouts(header: KernelHeader, payload: ByteRange): KernelLayout[] {
  const { storedSize, compression, cmdlineLength, cmdlineOffset } = header;
  // rvf-runtime goes by the one size, ADR-030 by the other; where they contradict each other, so may the layouts.
  const imageSize = compression === "none" ? header.imageSize : storedSize;
  // Never more bytes come out than the header says the image has.
  const adrFits = compression !== "none" || storedSize <= imageSize;
  const range = (offset: number, length: number): ByteRange => ({ start: payload.start + offset, length });
  const behindHeader = KERNEL_HEADER_BYTES;
  const behindBinding = behindHeader + BINDING_BYTES;
  // ADR-030 ends the command line with at least one NUL and pads to 8.
  const padded = cmdlineLength === 0 ? 0 : Math.ceil((cmdlineLength + 1) / 8) * 8;

  const layouts: KernelLayout[] = [];
  if (payload.length === behindHeader + imageSize + cmdlineLength)
    layouts.push({
      name: "image-cmdline",
      image: range(behindHeader, imageSize),
      cmdline: range(behindHeader + imageSize, cmdlineLength),
    });
  if (cmdlineOffset === behindBinding && payload.length === behindBinding + cmdlineLength + imageSize)
    layouts.push({
      name: "binding-cmdline-image",
      binding: range(behindHeader, BINDING_BYTES),
      cmdline: range(behindBinding, cmdlineLength),
      image: range(behindBinding + cmdlineLength, imageSize),
    });
  for (const footer of [0, SIGNATURE_FOOTER_BYTES])
    if (adrFits && payload.length === behindHeader + padded + storedSize + footer)
      layouts.push({
        name: "adr030",
        cmdline: range(behindHeader, cmdlineLength),
        image: range(behindHeader + padded, storedSize),
        ...(footer > 0 && { footer: range(behindHeader + padded + storedSize, footer) }),
      });
  return layouts;
}

/** An initramfs that stands behind a bzImage in the same file. */
import type { ByteRange, Source } from "../source.js";

export interface Initramfs extends ByteRange {
  /** cpio, or how it is compressed. */
  format: string;
}

/** What the kernel's own unpacker goes by. */
const formats: [magic: string, format: string][] = [
  ["303730373031", "cpio"],
  ["303730373032", "cpio"],
  ["1f8b", "gzip"],
  ["28b52ffd", "zstd"],
  ["02214c18", "lz4"],
  ["04224d18", "lz4"],
  ["fd377a58", "xz"],
  ["425a68", "bzip2"],
];

/** A WIN_CERTIFICATE's fixed part: u32 length, u16 revision 0x0200, u16 type 2 (PKCS #7). */
const CERTIFICATE_HEADER_BYTES = 8;

/**
 * Looks behind the kernel, whose `end` is counted from the start of the image. A secure-boot signature there (the bytes
 * tell; a cut kernel keeps a stale entry in its PE directory) belongs to the kernel.
 */
export async function appendedInitramfs(
  source: Source,
  image: ByteRange,
  end: number,
): Promise<{ initramfs?: Initramfs; unknownBytes: number }> {
  const start = end + (await certificateBytes(source, image, end));
  const length = image.length - start;
  if (length <= 0) return { unknownBytes: 0 };
  const magic = (await source.at(image.start + start, Math.min(6, length))).toString("hex");
  const format = formats.find(([known]) => magic.startsWith(known))?.[1];
  if (format === undefined) return { unknownBytes: length };
  return { initramfs: { start: image.start + start, length, format }, unknownBytes: 0 };
}

async function certificateBytes(source: Source, image: ByteRange, at: number): Promise<number> {
  if (at + CERTIFICATE_HEADER_BYTES > image.length) return 0;
  const header = await source.at(image.start + at, CERTIFICATE_HEADER_BYTES);
  const length = header.readUInt32LE(0);
  const fits = length >= CERTIFICATE_HEADER_BYTES && at + length <= image.length;
  const isCertificate = header.readUInt16LE(4) === 0x0200 && header.readUInt16LE(6) === 2;
  return fits && isCertificate ? Math.ceil(length / 8) * 8 : 0;
}

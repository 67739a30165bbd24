/** The kernel image that is to be embedded: what it is, and that readers find its initramfs again. */
import { MicroVmError } from "../../errors.js";
import { identifyImage, type Arch, type ImageParts } from "../image/identify.js";
import type { ByteRange, Source } from "../source.js";

export type KnownArch = Exclude<Arch, "unknown">;

/** Looks at the image, and at the initramfs put behind it. Throws InvalidArgument for what nobody could boot. */
export async function checkImage(image: Source, initramfs: Source | undefined): Promise<ImageParts> {
  refuseEmpty(image, "kernel image");
  const parts = await identifyImage(image, whole(image));
  if (!initramfs) return parts;

  refuseEmpty(initramfs, "initramfs");
  const { imageKind, warnings } = parts;
  const words = `An initramfs cannot be put behind "${image.path}"`;
  if (imageKind !== "bzImage")
    throw refused(
      `${words}: it is of kind ${imageKind}, and only a bzImage tells where the initramfs begins.`,
      "Build the initramfs into the kernel, or give it to the VM as initramfsPath.",
    );
  if (parts.initramfs)
    throw refused(
      `${words}: there is one already (${parts.initramfs.format}).`,
      "Embed it without another one.",
    );
  if (warnings[0] !== undefined) throw refused(`${words}: ${warnings[0]}`);

  const joined = join(image, initramfs);
  const both = await identifyImage(joined, whole(joined));
  if (both.initramfs?.length !== initramfs.size)
    throw refused(
      `"${initramfs.path}" is no initramfs of a known format (cpio, gzip, zstd, lz4, xz, bzip2).`,
    );
  return both;
}

/** The architecture by the image or, only where that does not tell, as stated. */
export function archOf(image: Source, { arch }: ImageParts, stated: KnownArch | undefined): KnownArch {
  if (arch === "unknown") {
    if (stated) return stated;
    throw refused(
      `"${image.path}" does not tell which architecture it is for.`,
      "Check that it is a kernel; if it is, name its architecture (--arch).",
    );
  }
  if (stated && stated !== arch)
    throw refused(`"${image.path}" is for ${arch}, not for ${stated}.`, "Leave --arch away.");
  return arch;
}

const whole = ({ size }: Source): ByteRange => ({ start: 0, length: size });

function refuseEmpty({ path, size }: Source, what: string): void {
  if (size === 0) throw refused(`The ${what} "${path}" is empty.`);
}

/** Both files as one, for small reads. */
function join(front: Source, back: Source): Source {
  const at = async (start: number, length: number): Promise<Buffer> => {
    const fromFront = Math.max(0, Math.min(length, front.size - start));
    const pieces = [
      fromFront > 0 ? Buffer.from(await front.at(start, fromFront)) : Buffer.alloc(0),
      fromFront < length
        ? await back.at(start + fromFront - front.size, length - fromFront)
        : Buffer.alloc(0),
    ];
    return Buffer.concat(pieces);
  };
  return { ...front, size: front.size + back.size, at, reader: () => at };
}

const refused = (message: string, hint?: string): MicroVmError =>
  new MicroVmError("InvalidArgument", message, { ...(hint && { hint }) });

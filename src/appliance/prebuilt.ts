/** Takes an appliance that somebody else built, known by its SHA-256, and makes it the current one. */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { MicroVmError } from "../errors.js";
import { applianceFolder, imagePath } from "./cache.js";
import { chooseAppliance, type CurrentAppliance } from "./current.js";
import { kernelVersionOf } from "./image.js";
import { withTempDir } from "./temp.js";

/** The reader of RVF files takes no larger kernel. */
const MAX_BYTES = 256 * 1024 * 1024;

export interface PrebuiltOptions {
  /** A file, or a URL that begins with `http://` or `https://`. */
  from: string;
  /** What its SHA-256 has to be, 64 hexadecimal digits. */
  sha256: string;
  /** @default the product's cache folder */
  cacheDir?: string | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Nothing of it is kept unless the hash is right.
 * @throws MicroVmError `ApplianceMismatch` when it is another than was named, `ApplianceBuild` when it cannot be had or is no image,
 *   `InvalidArgument` when `sha256` is none.
 */
export async function takePrebuilt({
  from,
  sha256,
  cacheDir,
  signal,
}: PrebuiltOptions): Promise<CurrentAppliance> {
  const wanted = sha256.toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(wanted))
    throw new MicroVmError(
      "InvalidArgument",
      `${JSON.stringify(sha256)} is no SHA-256: it has 64 hexadecimal digits`,
    );
  const dir = await applianceFolder(cacheDir);
  const path = imagePath(dir, wanted);
  const image = await withTempDir(dir, async (temp) => {
    const partial = join(temp, "image");
    const got = await copied(from, partial, signal);
    if (got !== wanted)
      throw new MicroVmError("ApplianceMismatch", `${shown(from)} is not the appliance that was named.`, {
        evidence: `expected SHA-256 ${wanted}\ngot      SHA-256 ${got}`,
        hint: "Take the hash from where the appliance was released, and do not use this file.",
      });
    const bytes = await readFile(partial);
    kernelVersionOf(bytes);
    await rename(partial, path);
    return bytes;
  });
  const choice = {
    sha256: wanted,
    kernelVersion: kernelVersionOf(image),
    from: shown(from),
    special: true,
  };
  await chooseAppliance(choice, cacheDir);
  return { ...choice, path, bytes: image.length };
}

/** Returns the SHA-256 of what was copied. */
async function copied(from: string, to: string, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash("sha256");
  let bytes = 0;
  const measured = async function* (pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const piece of pieces) {
      bytes += piece.length;
      if (bytes > MAX_BYTES) throw new Error(`it has more than ${MAX_BYTES / 1024 / 1024} MiB`);
      hash.update(piece);
      yield piece;
    }
  };
  try {
    await pipeline(await source(from, signal), measured, createWriteStream(to), { signal });
  } catch (cause) {
    if (signal?.aborted) throw new MicroVmError("Cancelled", "The download was stopped.", { cause });
    const { message, cause: deeper } = cause as Error;
    const why = deeper instanceof Error ? `${message}: ${deeper.message}` : message;
    throw new MicroVmError("ApplianceBuild", `The appliance cannot be had from ${shown(from)}: ${why}.`, {
      cause,
    });
  }
  return hash.digest("hex");
}

/** Without what a URL may have of secrets: user, password and query. It is kept, and told. */
function shown(from: string): string {
  if (!isUrl(from) || !URL.canParse(from)) return from;
  const { origin, pathname } = new URL(from);
  return origin + pathname;
}

const isUrl = (from: string): boolean => /^https?:\/\//.test(from);

async function source(from: string, signal: AbortSignal | undefined): Promise<Readable> {
  if (!isUrl(from)) return createReadStream(from);
  const reply = await fetch(from, { ...(signal && { signal }) });
  if (!reply.ok || reply.body === null)
    throw new Error(`the server answered ${reply.status} ${reply.statusText}`.trim());
  return Readable.fromWeb(reply.body);
}

/** The hash of a kernel's image in its header, which does not say by which function it was made. */
import type { KernelHeader } from "../format/kernel.js";
import { fold } from "../fold.js";
import { digestOf, isUnset, sha3, shake256, type Hasher } from "../hash.js";
import type { Image } from "../image/open.js";

/** The fold is what today's writers store: no cryptographic hash, a forgery that has the same one is easily made. */
export type ImageHash = "SHA3-256" | "SHAKE-256" | "fold";

const functions: Record<ImageHash, () => Hasher> = {
  "SHA3-256": sha3,
  "SHAKE-256": () => shake256(256),
  fold,
};
const names = Object.keys(functions) as ImageHash[];

export type ImageCheck =
  { outcome: "match"; algorithm: ImageHash } | { outcome: "mismatch" } | { outcome: "unset" };

/** The function to try first, by what writers leave empty. A wrong guess costs time and nothing else. */
const likeliest = ({ minMemoryMb, vcpus, apiVersion, cmdlineOffset }: KernelHeader): ImageHash =>
  minMemoryMb === 0 && vcpus === 0 && apiVersion === 1 && [128, 256].includes(cmdlineOffset)
    ? "fold"
    : "SHA3-256";

/** Checks an image while somebody else reads it: the guess is computed along, the others only where it was wrong. */
export class ImageHashCheck {
  readonly #expected: Buffer;
  readonly #guess: ImageHash;
  readonly #hasher: Hasher | undefined;

  constructor(header: KernelHeader) {
    this.#expected = header.imageHash;
    this.#guess = likeliest(header);
    this.#hasher = isUnset(this.#expected) ? undefined : functions[this.#guess]();
  }

  update(piece: Uint8Array): void {
    this.#hasher?.update(piece);
  }

  /** After all of the image went through `update`. */
  async finish(image: Image): Promise<ImageCheck> {
    if (!this.#hasher) return { outcome: "unset" };
    if (this.#hasher.digest().equals(this.#expected)) return { outcome: "match", algorithm: this.#guess };
    const others = names.filter((name) => name !== this.#guess);
    const algorithm = await matchingHash(image, this.#expected, others);
    return algorithm ? { outcome: "match", algorithm } : { outcome: "mismatch" };
  }
}

/** Which function gives the expected hash over an image; undefined if none does. */
export async function matchingHash(
  { source, range }: Image,
  expected: Buffer,
  candidates: ImageHash[] = names,
): Promise<ImageHash | undefined> {
  for (const name of candidates) {
    const digest = await digestOf(source, range, functions[name]());
    if (digest.equals(expected)) return name;
  }
  return undefined;
}

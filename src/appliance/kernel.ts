/** What an appliance's kernel is, whichever way it is had. */

/**
 * micro: built here from the distribution's packaged source, with the configuration and the patches of `guest/kernel`; debian: Debian's
 * packaged cloud kernel.
 */
export const kernelKinds = ["micro", "debian"] as const;
export type KernelKind = (typeof kernelKinds)[number];

export interface KernelModule {
  name: string;
  depends: readonly string[];
  /** The module itself, an ELF file, not compressed. */
  data: Buffer;
}

export interface Kernel {
  /** As `uname -r` tells it. */
  version: string;
  /** The bzImage with its signature, if it has one; for arm64 the plain Image, with the initramfs in it where one was given. */
  image: Buffer;
  /** In the order in which they can be loaded; empty where everything is built in. */
  modules: readonly KernelModule[];
}

export interface FetchOptions {
  /** For a kernel that has it built in. */
  initramfs?: Buffer | undefined;
  /** Keeps what is worth it. */
  cacheDir: string;
  signal?: AbortSignal | undefined;
  /** Gets one line for each thing that takes time. */
  onProgress?: ((text: string) => void) | undefined;
}

/** A kernel that is known before it is had. */
export interface KernelSource {
  /** In words for a person. */
  title: string;
  /** Other for whatever makes another kernel. */
  key: string;
  fetch: (options: FetchOptions) => Promise<Kernel>;
}

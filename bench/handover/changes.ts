/** What is changed, one `pulumi up` each: inputs that boot anew or move ports, and the content behind a path that stays. */
import { join } from "node:path";
import { extractToFiles } from "../../src/rvf/index.js";
import { freePort } from "../../test/support/ports.js";

export interface Args {
  rvfPath: string;
  apiPort: number;
  [input: string]: unknown;
}

export interface Change {
  what: string;
  /** By how many vectors the RVF's content is replaced before. */
  vectors?: number;
  /** What the arguments become; the folder is for files. */
  make?: (args: Args, folder: string) => Args | Promise<Args>;
}

/** How many vectors the RVF has at first. */
export const vectors = 3000;

export const changes: Change[] = [
  { what: "memoryMb", make: (args) => ({ ...args, memoryMb: 160 }) },
  { what: "apiPort", make: async (args) => ({ ...args, apiPort: await freePort() }) },
  { what: "the RVF's content", vectors: 2000 },
  { what: "vcpus", make: (args) => ({ ...args, vcpus: 2 }) },
  { what: "sshPort", make: async (args) => ({ ...args, sshPort: await freePort() }) },
  {
    what: "memoryMb, apiPort",
    make: async (args) => ({ ...args, memoryMb: 192, apiPort: await freePort() }),
  },
  {
    what: "kernelPath, initramfsPath",
    make: async (args, folder) => {
      const [kernel, initramfs] = [join(folder, "kernel"), join(folder, "initramfs")];
      await extractToFiles(args.rvfPath, { kernel, initramfs });
      return { ...args, kernelPath: kernel, initramfsPath: initramfs };
    },
  },
  // Addresses that overlap cannot both be open: the one change in place with a moment in between.
  { what: "bindAddress", make: (args) => ({ ...args, bindAddress: "0.0.0.0" }) },
  { what: "bindAddress back", make: (args) => ({ ...args, bindAddress: "127.0.0.1" }) },
  {
    what: "extraArgs, all else back",
    vectors,
    make: ({ rvfPath, apiPort }) => ({ rvfPath, apiPort, extraArgs: ["-rtc", "base=utc"] }),
  },
];

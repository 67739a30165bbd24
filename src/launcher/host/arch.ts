/** Guest architectures, in the seed's and QEMU's spelling. */
export const architectures = ["x86_64", "aarch64", "riscv64"] as const;
export type Arch = (typeof architectures)[number];

/** The QEMU machine that guests of each architecture run on. */
export const machineOf = { x86_64: "microvm", aarch64: "virt", riscv64: "virt" } as const satisfies Record<
  Arch,
  string
>;

/** How many CPUs that machine can have, since QEMU 7.2 at least. */
export const maxVcpusOf: Record<Arch, number> = { x86_64: 288, aarch64: 512, riscv64: 512 };

/** Guest architectures, in the seed's and QEMU's spelling. */
export const architectures = ["x86_64", "aarch64", "riscv64"] as const;
export type Arch = (typeof architectures)[number];

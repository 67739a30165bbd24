/** The architectures that an appliance can be made for. */
export const applianceArchs = ["x86_64", "aarch64"] as const;
export type ApplianceArch = (typeof applianceArchs)[number];

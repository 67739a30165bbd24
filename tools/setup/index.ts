/**
 * The set-up of the real parts that the demo and the tests need: finds each on this machine, else gets it. Only
 * system packages and the caches change; a second run finds everything.
 */
import { delimiter } from "node:path";
import { runSteps } from "../steps.js";
import { ensureAarch64 } from "./aarch64.js";
import { ensureAppliance } from "./appliance.js";
import type { Report } from "./command.js";
import { ensurePackage } from "./package.js";
import type { Part } from "./part.js";
import { ensurePulumi } from "./pulumi.js";
import { ensureQemu } from "./qemu.js";
import { ensureRvf } from "./rvf.js";
import { ensureZstd } from "./zstd.js";

const parts = {
  qemu: { title: "QEMU", ensure: (report) => ensureQemu(report) },
  aarch64: { title: "aarch64: QEMU, kernel, /init", ensure: ensureAarch64 },
  package: { title: "The package", ensure: ensurePackage },
  pulumi: { title: "Pulumi CLI", ensure: ensurePulumi },
  appliance: { title: "Appliance", ensure: ensureAppliance },
  rvf: { title: "RVF tools", ensure: ensureRvf },
  zstd: { title: "zstd", ensure: ensureZstd },
} satisfies Record<string, { title: string; ensure: (report: Report) => Promise<Part> }>;

export type PartName = keyof typeof parts;

/** Environment for the programs that use the parts: PATH with the parts in front, and where each one is. */
export type PartsEnvironment = Record<string, string>;

/** Has the parts ready, two at a time, and shows how. Throws SetupError when one cannot be had. */
export async function ensureParts(names: PartName[]): Promise<PartsEnvironment> {
  const path: string[] = [];
  const env: PartsEnvironment = {};
  const steps = names.map((name) => ({
    title: parts[name].title,
    run: async (report: Report) => {
      const part = await parts[name].ensure(report);
      path.push(...(part.path ?? []));
      Object.assign(env, part.env);
      return part.summary;
    },
  }));
  await runSteps(steps, { concurrent: 2 });
  return { ...env, PATH: [...path, process.env["PATH"]].filter(Boolean).join(delimiter) };
}

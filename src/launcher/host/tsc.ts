/**
 * The host's TSC rate. A TCG guest counts the host's TSC, and a guest told the rate (`tsc_early_khz=`) need not
 * calibrate it against emulated timers, at which boots of the microvm machine with ACPI hang at random. A wrong
 * rate makes the guest's clock run wrong, so where it is not known for certain none is given.
 */
import { existsSync } from "node:fs";
import { fileText } from "./file-text.js";

/** kHz, or undefined when the host does not tell. */
export function hostTscKhz(): number | undefined {
  if (process.platform !== "linux" || process.arch !== "x64") return undefined;
  // With frequency scaling `cpu MHz` is the current clock; Intel's base_frequency (kHz) is then the better source.
  const cpufreq = "/sys/devices/system/cpu/cpu0/cpufreq";
  if (!existsSync(cpufreq)) return parseCpuKhz(fileText("/proc/cpuinfo"));
  return Number.parseInt(fileText(`${cpufreq}/base_frequency`), 10) || undefined;
}

/** The first `cpu MHz` line of /proc/cpuinfo, in kHz. */
export function parseCpuKhz(cpuinfo: string): number | undefined {
  const mhz = Number(/^cpu MHz\s*:\s*([\d.]+)$/m.exec(cpuinfo)?.[1]);
  return mhz > 0 ? Math.round(mhz * 1000) : undefined;
}

/**
 * The host's TSC rate. A TCG guest counts the host's TSC, and a guest told the rate (`tsc_early_khz=`) need not
 * calibrate it against emulated timers, at which boots of the microvm machine with ACPI hang at random. A wrong
 * rate makes the guest's clock run wrong, so where it is not known for certain none is given.
 */
import { access, readFile } from "node:fs/promises";

/** kHz, or undefined when the host does not tell. */
export async function hostTscKhz(): Promise<number | undefined> {
  if (process.platform !== "linux" || process.arch !== "x64") return undefined;
  // With frequency scaling `cpu MHz` is the current clock; Intel's base_frequency (kHz) is then the better source.
  const cpufreq = "/sys/devices/system/cpu/cpu0/cpufreq";
  const base = Number.parseInt(await readFile(`${cpufreq}/base_frequency`, "utf8").catch(() => ""), 10);
  if (base > 0) return base;
  const scaled = await access(cpufreq).then(
    () => true,
    () => false,
  );
  return scaled ? undefined : parseCpuKhz(await readFile("/proc/cpuinfo", "utf8").catch(() => ""));
}

/** The first `cpu MHz` line of /proc/cpuinfo, in kHz. */
export function parseCpuKhz(cpuinfo: string): number | undefined {
  const mhz = Number(/^cpu MHz\s*:\s*([\d.]+)$/m.exec(cpuinfo)?.[1]);
  return mhz > 0 ? Math.round(mhz * 1000) : undefined;
}

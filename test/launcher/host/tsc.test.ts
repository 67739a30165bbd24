import { hostTscKhz, parseCpuKhz } from "../../../src/launcher/host/tsc.js";

test.each([
  ["processor\t: 0\ncpu MHz\t\t: 2596.138\ncache size\t: 1 KB\ncpu MHz\t\t: 800.000\n", 2596138],
  ["cpu MHz\t\t: 3000\n", 3000000],
  ["cpu MHz\t\t: 0.000\n", undefined],
  ["model name\t: a cpu MHz : 5\n", undefined],
  ["", undefined],
])("%j", (cpuinfo, khz) => expect(parseCpuKhz(cpuinfo)).toBe(khz));

test("this host's rate is plausible where it is told", () => {
  const khz = hostTscKhz();
  if (khz !== undefined) expect(khz).toBeGreaterThan(500_000);
});

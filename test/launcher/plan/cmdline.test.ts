import type { Arch } from "../../../src/launcher/host/arch.js";
import { kernelCmdline } from "../../../src/launcher/plan/cmdline.js";
import type { Accelerator } from "../../../src/launcher/host/cpu.js";

const nonce = "n0";
const line = (
  own: string,
  tscKhz?: number,
  arch: Arch = "x86_64",
  accelerator: Accelerator = "tcg",
  vcpus = 1,
) => kernelCmdline({ arch, own, nonce, guestApiPort: 8080, accelerator, vcpus, tscKhz });

test.each([
  [
    "ours alone",
    "",
    undefined,
    "console=ttyS0 reboot=t panic=-1 earlyprintk=ttyS0 quiet lapic_khz=1000000 noreplace-smp rvf.port=8080 microvm.nonce=n0",
  ],
  [
    "the TSC's rate, where it is known",
    "",
    2596138,
    "console=ttyS0 reboot=t panic=-1 earlyprintk=ttyS0 quiet tsc_early_khz=2596138 tsc=reliable lapic_khz=1000000 noreplace-smp rvf.port=8080 microvm.nonce=n0",
  ],
  [
    "the RVF's own settings instead of ours",
    "console=hvc0 panic=5 reboot=k earlyprintk=serial rvf.port=9 tsc_early_khz=1 lapic_khz=9",
    2596138,
    "quiet tsc=reliable noreplace-smp console=hvc0 panic=5 reboot=k earlyprintk=serial rvf.port=9 tsc_early_khz=1 lapic_khz=9 microvm.nonce=n0",
  ],
  [
    "settings of the RVF that we know nothing of, in their order, any white space between",
    "  root=/dev/vda\n\tro  -- single ",
    undefined,
    "console=ttyS0 reboot=t panic=-1 earlyprintk=ttyS0 quiet lapic_khz=1000000 noreplace-smp root=/dev/vda ro -- single rvf.port=8080 microvm.nonce=n0",
  ],
])("%s", (_, own, tscKhz, expected) => expect(line(own, tscKhz)).toBe(expected));

test.each(["kvm", "hvf"] as const)(
  "%s runs the guest as it is: nothing is told of its clocks, nor what only emulation wants",
  (accelerator) =>
    expect(line("", 2596138, "x86_64", accelerator)).toBe(
      "console=ttyS0 reboot=t panic=-1 earlyprintk=ttyS0 quiet rvf.port=8080 microvm.nonce=n0",
    ),
);

test("several CPUs are told how far each counts in a tick, where the TSC's rate is known", () => {
  expect(line("", 2596138, "x86_64", "tcg", 2)).toContain(
    " tsc=reliable lpj=25961380 lapic_khz=1000000 noreplace-smp ",
  );
  for (const [accelerator, khz] of [
    ["tcg", undefined],
    ["kvm", 2596138],
  ] as const)
    expect(line("", khz, "x86_64", accelerator, 2)).not.toContain("lpj=");
});

const ours = "rvf.port=8080 microvm.nonce=n0";
test.each<[Arch, string, string]>([
  ["aarch64", "", `console=ttyAMA0 panic=-1 earlycon loglevel=6 ${ours}`],
  ["aarch64", "console=hvc0 earlycon=pl011 quiet", `panic=-1 console=hvc0 earlycon=pl011 quiet ${ours}`],
  ["riscv64", "", `console=ttyS0 panic=-1 earlycon=sbi loglevel=6 ${ours}`],
  ["riscv64", "earlycon debug", `console=ttyS0 panic=-1 earlycon debug ${ours}`],
])("%s, with its own %j: nothing that only x86 knows", (arch, own, expected) =>
  expect(line(own, 2596138, arch)).toBe(expected),
);

test.each(["quiet", "debug", "loglevel=7", "ignore_loglevel"])("%s decides how much is said", (own) =>
  expect(line(own).match(/\bquiet\b/g)?.length ?? 0).toBe(own === "quiet" ? 1 : 0),
);

test("a key is the whole word before =: consoleblank is no console", () =>
  expect(line("consoleblank=0")).toMatch(/^console=ttyS0 /));

test("the nonce is always ours and last", () =>
  expect(line("microvm.nonce=forged").endsWith(" microvm.nonce=forged rvf.port=8080 microvm.nonce=n0")).toBe(
    true,
  ));

test.each<[Arch, number]>([
  ["x86_64", 2047],
  ["aarch64", 2047],
  ["riscv64", 1023],
])("on %s Linux takes %i characters", (arch, most) => {
  const room = most - line("x", undefined, arch).length;
  expect(line("x".repeat(room + 1), undefined, arch)).toHaveLength(most);
  expect(() => line("x".repeat(room + 2), undefined, arch)).toThrow(
    expect.objectContaining({
      code: "KernelUnsupported",
      property: "rvfPath",
      message: `the kernel command line has ${most + 1} characters, Linux takes ${most}`,
    }) as Error,
  );
});

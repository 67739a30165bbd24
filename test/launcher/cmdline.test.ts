import { kernelCmdline } from "../../src/launcher/cmdline.js";

const nonce = "n0";
const line = (own: string, tscKhz?: number) => kernelCmdline({ own, nonce, guestApiPort: 8080, tscKhz });

test.each([
  [
    "ours alone",
    "",
    undefined,
    "console=ttyS0 reboot=t panic=-1 earlyprintk=ttyS0 quiet rvf.port=8080 microvm.nonce=n0",
  ],
  [
    "the TSC's rate, where it is known",
    "",
    2596138,
    "console=ttyS0 reboot=t panic=-1 earlyprintk=ttyS0 quiet tsc_early_khz=2596138 rvf.port=8080 microvm.nonce=n0",
  ],
  [
    "the RVF's own settings instead of ours",
    "console=hvc0 panic=5 reboot=k earlyprintk=serial rvf.port=9 tsc_early_khz=1",
    2596138,
    "quiet console=hvc0 panic=5 reboot=k earlyprintk=serial rvf.port=9 tsc_early_khz=1 microvm.nonce=n0",
  ],
  [
    "settings of the RVF that we know nothing of, in their order, any white space between",
    "  root=/dev/vda\n\tro  -- single ",
    undefined,
    "console=ttyS0 reboot=t panic=-1 earlyprintk=ttyS0 quiet root=/dev/vda ro -- single rvf.port=8080 microvm.nonce=n0",
  ],
])("%s", (_, own, tscKhz, expected) => expect(line(own, tscKhz)).toBe(expected));

test.each(["quiet", "debug", "loglevel=7", "ignore_loglevel"])("%s decides how much is said", (own) =>
  expect(line(own).match(/\bquiet\b/g)?.length ?? 0).toBe(own === "quiet" ? 1 : 0),
);

test("a key is the whole word before =: consoleblank is no console", () =>
  expect(line("consoleblank=0")).toMatch(/^console=ttyS0 /));

test("the nonce is always ours and last", () =>
  expect(line("microvm.nonce=forged").endsWith(" microvm.nonce=forged rvf.port=8080 microvm.nonce=n0")).toBe(
    true,
  ));

test("2047 characters are what Linux takes", () => {
  const room = 2047 - line("x").length;
  expect(line("x".repeat(room + 1))).toHaveLength(2047);
  expect(() => line("x".repeat(room + 2))).toThrow(
    expect.objectContaining({
      code: "KernelUnsupported",
      property: "rvfPath",
      message: "the kernel command line has 2048 characters, Linux takes 2047",
    }) as Error,
  );
});

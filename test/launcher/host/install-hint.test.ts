import { architectures } from "../../../src/launcher/host/arch.js";
import { installHint } from "../../../src/launcher/host/install-hint.js";

const linuxWith = (binary: string) => ({
  platform: "linux" as const,
  present: (path: string) => Promise.resolve(path === binary),
});

test.each([
  ["/usr/bin/apt-get", "sudo apt-get install qemu-system-x86"],
  ["/usr/bin/dnf", "sudo dnf install qemu-system-x86"],
  ["/usr/bin/pacman", "sudo pacman -S qemu-system-x86"],
  ["/sbin/apk", "sudo apk add qemu-system-x86_64"],
  ["/usr/bin/zypper", "sudo zypper install qemu-x86"],
])("with %s: %s", async (binary, line) => expect(await installHint("x86_64", linuxWith(binary))).toBe(line));

test("the package goes by the guest's architecture", async () =>
  expect(
    await Promise.all(architectures.map((arch) => installHint(arch, linuxWith("/usr/bin/apt-get")))),
  ).toEqual(["x86", "arm", "misc"].map((part) => `sudo apt-get install qemu-system-${part}`)));

test.each([
  ["darwin", "brew install qemu"],
  ["freebsd", "download it from https://www.qemu.org/download/"],
  ["linux", "with your distribution's package manager (apt, dnf, pacman, apk, zypper)"],
] as const)("without any of them on %s: %s", async (platform, line) =>
  expect(await installHint("x86_64", { platform, present: () => Promise.resolve(false) })).toBe(line),
);

test("this host gets a line", async () => expect(await installHint("x86_64")).not.toBe(""));

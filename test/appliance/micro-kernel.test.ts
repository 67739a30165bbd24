/** What leads to the micro kernel and what stands in its way, with programs that say how they were called. The set-up builds the real one. */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findMicroKernel } from "../../src/appliance/micro-kernel.js";
import type { MicroVmError } from "../../src/errors.js";
import { script, withOwnMachine } from "../tools/setup/programs.js";

const pinned = JSON.parse(
  await readFile(new URL("../../guest/kernel/source.json", import.meta.url), "utf8"),
) as Record<"name" | "version" | "sha256", string>;

/** The package that the stand-in for apt-get brings. */
const content = "a package\n";
const newer = { name: "linux-source-6.1", version: "6.1.999-1", sha256: sha256(content) };

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

const lists = (...packages: (typeof pinned)[]): string =>
  packages
    .map((each) => `Package: ${each.name}\nVersion: ${each.version}\nSHA256: ${each.sha256}\n`)
    .join("\n");

/** Like the real ones as far as the build can tell; each writes down its arguments. */
const programs: Record<string, string> = {
  ...Object.fromEntries(["ld", "flex", "bison", "bc", "lz4", "patch", "xz", "gcc"].map((name) => [name, ""])),
  "apt-cache": 'cat "$machine/lists-$2" || { echo "E: No packages found" >&2; exit 100; }',
  "apt-get": `printf 'a package\\n' > source.deb`,
  "dpkg-deb": 'mkdir -p "$3/usr/src" && touch "$3/usr/src/linux-source.tar.xz"',
  tar: 'mkdir -p "$4/include/config" "$4/arch/x86/boot"',
  make: `case "$*" in
*allnoconfig*) cp "\${*##*KCONFIG_ALLCONFIG=}" .config ;;
*) echo "  CC      kernel/fork.o"; echo 6.1.999-microvm > include/config/kernel.release
   echo elf > vmlinux; echo bzImage > arch/x86/boot/bzImage ;;
esac`,
  strip: 'cp "$3" "$2"',
};

/** What it takes beside these for another architecture: an Image that tells what was put in, and which options were set. */
const cross: Record<string, string> = {
  ...Object.fromEntries(["gcc", "ld", "strip"].map((name) => [`aarch64-linux-gnu-${name}`, programs[name]!])),
  tar: 'mkdir -p "$4/include/config" "$4/arch/arm64/boot"',
  make: `case "$*" in
*allnoconfig*) cp "\${*##*KCONFIG_ALLCONFIG=}" .config ;;
*) echo 6.1.999-microvm > include/config/kernel.release; echo elf > vmlinux
   { printf "Image with "; cat initramfs.cpio; grep -hE "KEYBOARD_GPIO=|X2APIC=|VIRTIO_NET=|ACPI=" .config | sort
   } > arch/arm64/boot/Image ;;
esac`,
};

/** A machine with these programs, some of them others or (undefined) missing, and what apt's lists hold. */
async function onMachine(
  own: Record<string, string | undefined>,
  known: Record<string, string>,
  work: (folder: string) => Promise<void>,
): Promise<void> {
  await withOwnMachine(async (folder) => {
    for (const [name, text] of Object.entries({ ...programs, ...own }))
      if (text !== undefined)
        await script(
          join(folder, "bin", name),
          `machine=${folder}; PATH=/usr/bin:/bin; echo ${name} "$@" >> $machine/calls\n${text}`,
        );
    for (const [name, text] of Object.entries(known)) await writeFile(join(folder, `lists-${name}`), text);
    await mkdir(join(folder, "cache"));
    await work(folder);
  });
}

const fetchOn = async (folder: string, onProgress?: (text: string) => void) =>
  await (await findMicroKernel()).fetch({ cacheDir: join(folder, "cache"), onProgress });

test.each([
  ["the pinned one where the lists have it", { [pinned.name]: lists(newer, pinned) }, pinned],
  ["else the newest of its series", { [pinned.name]: lists(newer) }, newer],
  [
    "else the release's own series",
    {
      "linux-source": "Depends: linux-source-6.12 (= 6.12.1-1)\n",
      "linux-source-6.12": lists({ ...newer, name: "linux-source-6.12" }),
    },
    { ...newer, name: "linux-source-6.12" },
  ],
])("the source is %s, and it is said which", (_, known, { name, version, sha256 }) =>
  onMachine({}, known, async () => {
    const { title } = await findMicroKernel();
    expect(title).toBe(`micro kernel of ${name} ${version} (SHA-256 ${sha256})`);
  }),
);

test("it is patched, configured and compiled once, also when two want it at once, and says what it does", () =>
  onMachine({}, { [newer.name]: lists(newer) }, async (folder) => {
    const said: string[] = [];
    const [kernel, second] = await Promise.all([fetchOn(folder, (text) => said.push(text)), fetchOn(folder)]);
    expect(kernel).toEqual({ version: "6.1.999-microvm", image: Buffer.from("bzImage\n"), modules: [] });
    expect(second).toEqual(kernel);
    expect(said).toEqual(["getting linux-source-6.1 6.1.999-1", "compiling Linux: step 1, kernel/fork.o"]);

    const calls = await readFile(join(folder, "calls"), "utf8");
    for (const name of ["acpi-without-pci", "broken-queue", "lapic-khz", "unpadded"])
      expect(calls).toMatch(new RegExp(`patch .*/${name}\\.patch`));
    expect(calls).toMatch(
      /make KBUILD_BUILD_TIMESTAMP=1970-01-01 KBUILD_BUILD_USER=microvm .* ARCH=x86_64 .*vmlinux bzImage/,
    );
    await writeFile(join(folder, "calls"), "");
    expect(await fetchOn(folder)).toEqual(kernel);
    expect(await readFile(join(folder, "calls"), "utf8")).not.toMatch(/^make -|apt-get/m);
    expect((await readdir(join(folder, "cache"))).filter((name) => name.startsWith("tmp-"))).toEqual([]);
  }));

test("for aarch64 it is compiled with a compiler for that, without x86's options, and has /init in it", () =>
  onMachine(cross, { [newer.name]: lists(newer) }, async (folder) => {
    const source = await findMicroKernel(undefined, "aarch64");
    const cacheDir = join(folder, "cache");
    const fetched = async (initramfs: string) =>
      await source.fetch({ cacheDir, initramfs: Buffer.from(initramfs) });
    const image = Buffer.from("Image with one\nCONFIG_KEYBOARD_GPIO=y\nCONFIG_VIRTIO_NET=y\n");
    expect(await fetched("one\n")).toEqual({ version: "6.1.999-microvm", image, modules: [] });
    expect(await readFile(join(folder, "calls"), "utf8")).toMatch(
      /make .*ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- .*Image/,
    );
    expect((await fetched("another\n")).image.toString()).toMatch(/^Image with another\n/);
    expect(source.key).not.toBe((await findMicroKernel()).key);
  }));

test.each([
  [
    "a compiler that fails",
    { make: programs["make"]!.replace("*)", '*) echo "fork.c:1: error: no" >&2; exit 2 ;; x)') },
    {
      evidence: expect.stringMatching(
        /^fork\.c:1: error: no\nAll of it is in .*\/linux-\w+\.log\.$/,
      ) as string,
    },
  ],
  [
    "a patch that does not fit",
    { patch: 'echo "1 out of 1 hunk FAILED"; exit 1' },
    {
      message: expect.stringContaining("patch") as string,
      evidence: expect.stringContaining("hunk FAILED") as string,
    },
  ],
  [
    "an option that this source does not know",
    { make: programs["make"]!.replace("cp", "grep -v VIRTIO_NET").replace(" .config", " > .config") },
    { evidence: "CONFIG_VIRTIO_NET=y" },
  ],
  [
    "another package than the lists name",
    { "apt-get": "echo other > source.deb" },
    { message: "linux-source-6.1 6.1.999-1 is not the package it was expected to be." },
  ],
])("%s ends it, and nothing of it stays but the log", (_, own, error) =>
  onMachine(own, { [newer.name]: lists(newer) }, async (folder) => {
    await expect(fetchOn(folder)).rejects.toMatchObject({ code: "ApplianceBuild", ...error });
    expect(await readdir(join(folder, "cache"))).toEqual([expect.stringMatching(/^linux-\w{64}\.log$/)]);
  }),
);

test.each([
  [{ flex: undefined, bc: undefined }, "flex bc"],
  [{ gcc: "exit 1" }, "libelf-dev libc6-dev"],
  [{ gcc: undefined }, "gcc libelf-dev libc6-dev"],
])("without %j the packages to install are named", (own, names) =>
  onMachine(own, {}, () =>
    expect(findMicroKernel()).rejects.toMatchObject({
      code: "ApplianceBuild",
      message: `The micro kernel needs the packages ${names}.`,
      hint: `Install them as root: apt-get install ${names}`,
    }),
  ),
);

test("without a compiler for aarch64 its packages are named", () =>
  onMachine({ ...cross, "aarch64-linux-gnu-gcc": undefined }, {}, () =>
    expect(findMicroKernel(undefined, "aarch64")).rejects.toMatchObject({
      message: "The micro kernel needs the packages gcc-aarch64-linux-gnu.",
    }),
  ));

test.each([
  ["an initramfs and its packing", ["BLK_DEV_INITRD", "RD_GZIP", "PVH"]],
  ["the store's disk", ["BLOCK", "BLK_DEV", "VIRTIO_BLK"]],
  ["the network card", ["NETDEVICES", "NET_CORE", "VIRTIO_NET", "INET"]],
  ["devices without PCI", ["VIRTIO_MENU", "VIRTIO_MMIO", "VIRTIO_MMIO_CMDLINE_DEVICES", "VIRTIO_CONSOLE"]],
  ["KVM's clock", ["HYPERVISOR_GUEST", "PARAVIRT", "KVM_GUEST"]],
])("the kernel has %s: where the source drops that without a word, nothing is built", async (_, options) => {
  const dropping = `grep -vE "^CONFIG_(${options.join("|")})=y$"`;
  const make = programs["make"]!.replace("cp", dropping).replace(" .config", " > .config");
  await onMachine({ make }, { [newer.name]: lists(newer) }, async (folder) => {
    const { evidence } = (await fetchOn(folder).catch((error: unknown) => error)) as MicroVmError;
    expect(evidence!.split("\n").sort()).toEqual(options.map((option) => `CONFIG_${option}=y`).sort());
  });
});

test.each([
  ["lists of packages", {}],
  ["a package of that name, which others only mention,", { [pinned.name]: "" }],
])("without %s it is told how to get them", (_, known) =>
  onMachine({}, known, () =>
    expect(findMicroKernel()).rejects.toMatchObject({
      code: "ApplianceBuild",
      hint: expect.stringContaining("apt-get update") as string,
    }),
  ),
);

import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { jest } from "@jest/globals";
import { buildAppliance, MODULE_ORDER, type Appliance } from "../../src/appliance/index.js";
import { moduleDepends } from "../../src/appliance/modules.js";
import { cacheDir } from "../../src/paths.js";
import { inspectImage } from "../../src/rvf/index.js";
import { parseInitramfs, type CpioMember } from "./parse-cpio.js";

// The first run on a machine compiles the guest and its kernel.
jest.setTimeout(1_800_000);

let appliance: Appliance;
let dir: string;
let builds = 0;

beforeAll(async () => {
  appliance = await buildAppliance();
  dir = await mkdtemp(join(tmpdir(), "microvm-build-"));
});

afterAll(() => rm(dir, { recursive: true, force: true }));

/** A cache of its own that has some of the first build's parts: `init` and the kernel are not made again. */
async function cacheWith(parts: RegExp): Promise<string> {
  const cache = join(dir, `${builds++}`);
  await mkdir(join(cache, "appliance"), { recursive: true });
  for (const name of await readdir(join(cacheDir(), "appliance")))
    if (parts.test(name))
      await cp(join(cacheDir(), "appliance", name), join(cache, "appliance", name), { recursive: true });
  return cache;
}

const leftovers = async (cache: string): Promise<string[]> =>
  (await readdir(join(cache, "appliance"))).filter((name) => name.startsWith("tmp-"));

/** What a reader finds behind the kernel. */
async function initramfsOf({ path, bytes }: Appliance): Promise<CpioMember[]> {
  const { image, initramfs } = await inspectImage(path);
  expect(image.size + initramfs!.size).toBe(bytes);
  const members = parseInitramfs((await readFile(path)).subarray(image.size));
  const init = members.find((member) => member.path === "init");
  expect(init?.mode).toBe(0o100755);
  expect(init?.data.toString("latin1", 1, 4)).toBe("ELF");
  // No interpreter: nothing but this file is there to run it.
  expect(init?.data.includes("/ld-linux")).toBe(false);
  return members;
}

test("the micro kernel has all built in, and init alone behind it", async () => {
  expect(appliance.kernelVersion).toMatch(/^\d+\.\d+\.\d+-microvm$/);
  expect((await inspectImage(appliance.path)).image).toMatchObject({ kind: "bzImage", arch: "x86_64" });
  const members = await initramfsOf(appliance);
  expect(members.find(({ path }) => `/${path}` === MODULE_ORDER)?.data).toHaveLength(0);
});

test("the micro kernel does not tell when, by whom and where it was built", async () => {
  const appliances = join(cacheDir(), "appliance");
  const folders = (await readdir(appliances)).filter((name) => /^linux-\w{64}$/.test(name));
  for (const folder of folders.map((name) => join(appliances, name))) {
    // Another architecture's has /init in it, which knows where temporary files go.
    if (!(await readdir(folder)).includes("bzImage")) continue;
    const kernel = await readFile(join(folder, "vmlinux"), "latin1");
    expect(/Linux version .*/.exec(kernel)?.[0]).toMatch(
      /^\S+ \S+ \S+-microvm \(microvm@microvm\) .* #1 SMP 1970-01-01$/,
    );
    expect(kernel).not.toContain(tmpdir());
    expect(kernel).not.toContain(cacheDir());
  }
});

test("nor does /init tell where", async () => {
  const init = (await initramfsOf(appliance)).find(({ path }) => path === "init")!;
  expect(Buffer.from(init.data).toString("latin1")).not.toContain(
    process.env["CARGO_HOME"] ?? join(homedir(), ".cargo"),
  );
});

test("Debian's kernel comes with its signature, and with modules in an order in which they load", async () => {
  const packaged = await buildAppliance({ kernel: "debian" });
  expect(packaged.kernelVersion).toMatch(/-cloud-amd64$/);
  expect((await inspectImage(packaged.path)).image.kind).toBe("bzImage");
  const members = await initramfsOf(packaged);
  const data = (path: string): Buffer =>
    members.find((member) => `/${member.path}` === path)?.data ?? Buffer.alloc(0);
  const order = data(MODULE_ORDER).toString().trim().split("\n");
  expect(order).toEqual(
    expect.arrayContaining(["virtio_blk.ko", "virtio_net.ko", "virtio_console.ko", "button.ko"]),
  );
  order.forEach((file, index) => {
    const depends = moduleDepends(data(join(MODULE_ORDER, "..", file))).map((name) => `${name}.ko`);
    for (const name of depends.filter((needed) => order.includes(needed)))
      expect(order.slice(0, index)).toContain(name);
  });
});

test("the second time it is found", async () => {
  expect(await buildAppliance()).toEqual({ ...appliance, cached: true });
});

test("the same parts give the same bytes, also when two build at once", async () => {
  const cache = await cacheWith(/^init-|^linux-/);
  const built = await Promise.all([buildAppliance({ cacheDir: cache }), buildAppliance({ cacheDir: cache })]);
  expect(built.map(({ sha256 }) => sha256)).toEqual([appliance.sha256, appliance.sha256]);
  const [copy, first] = [await readFile(built[0].path), await readFile(appliance.path)];
  expect(copy.equals(first)).toBe(true);
  expect(await leftovers(cache)).toEqual([]);
});

test("a damaged image in the cache is built anew", async () => {
  const cache = await cacheWith(/^init-|^linux-|\.(img|json)$/);
  await writeFile(join(cache, "appliance", `${appliance.sha256}.img`), "damaged");
  const rebuilt = await buildAppliance({ cacheDir: cache });
  expect(rebuilt).toMatchObject({ sha256: appliance.sha256, cached: false });
  expect(await readFile(rebuilt.path)).toHaveLength(appliance.bytes);
});

test.each([
  [
    "that is not there",
    "/no/such/cargo",
    { code: "ApplianceBuild", message: "There is no command /no/such/cargo." },
  ],
  ["that fails", "false", { code: "ApplianceBuild", hint: expect.stringContaining("Rust 1.87") as string }],
])("a cargo %s is told, and nothing stays behind", async (_, cargo, error) => {
  const cache = await cacheWith(/^linux-/);
  await expect(buildAppliance({ cacheDir: cache, cargo })).rejects.toMatchObject(error);
  expect(await leftovers(cache)).toEqual([]);
});

test("a build that is called off ends as Cancelled", async () => {
  const cache = await cacheWith(/^init-/);
  const caller = new AbortController();
  const onProgress = (): void => caller.abort();
  await expect(buildAppliance({ cacheDir: cache, signal: caller.signal, onProgress })).rejects.toMatchObject({
    code: "Cancelled",
  });
  expect(await leftovers(cache)).toEqual([]);
});

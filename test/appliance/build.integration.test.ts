import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { jest } from "@jest/globals";
import { buildAppliance, MODULE_ORDER, type Appliance } from "../../src/appliance/index.js";
import { moduleDepends } from "../../src/appliance/modules.js";
import { cacheDir } from "../../src/paths.js";
import { parseCpio } from "./parse-cpio.js";

// The first run on a machine compiles the guest.
jest.setTimeout(600_000);

let appliance: Appliance;
let dir: string;
let builds = 0;

beforeAll(async () => {
  appliance = await buildAppliance();
  dir = await mkdtemp(join(tmpdir(), "microvm-build-"));
});

afterAll(() => rm(dir, { recursive: true, force: true }));

/** A cache of its own that has some of the first build's parts: `init` and the kernel package are not made again. */
async function cacheWith(parts: RegExp): Promise<string> {
  const cache = join(dir, `${builds++}`);
  await mkdir(join(cache, "appliance"), { recursive: true });
  for (const name of await readdir(join(cacheDir(), "appliance")))
    if (parts.test(name)) await copyFile(join(cacheDir(), "appliance", name), join(cache, "appliance", name));
  return cache;
}

const leftovers = async (cache: string): Promise<string[]> =>
  (await readdir(join(cache, "appliance"))).filter((name) => name.startsWith("tmp-"));

test("the initramfs follows the kernel and its signature, and holds init and its modules in order", async () => {
  const image = await readFile(appliance.path);
  expect(image.length).toBe(appliance.bytes);
  const kernelEnd = ((image[0x1f1] || 4) + 1) * 512 + image.readUInt32LE(0x1f4) * 16;
  const signature = Math.ceil(image.readUInt32LE(kernelEnd) / 8) * 8;
  const members = parseCpio(gunzipSync(image.subarray(kernelEnd + signature)));
  const data = (path: string): Buffer =>
    members.find((member) => `/${member.path}` === path)?.data ?? Buffer.alloc(0);

  expect(members.find(({ path }) => path === "init")?.mode).toBe(0o100755);
  expect(data("/init").toString("latin1", 1, 4)).toBe("ELF");
  // No interpreter: nothing but this file is there to run it.
  expect(data("/init").includes("/ld-linux")).toBe(false);

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
  const cache = await cacheWith(/^init-|\.deb$/);
  const built = await Promise.all([buildAppliance({ cacheDir: cache }), buildAppliance({ cacheDir: cache })]);
  expect(built.map(({ sha256 }) => sha256)).toEqual([appliance.sha256, appliance.sha256]);
  const [copy, first] = [await readFile(built[0].path), await readFile(appliance.path)];
  expect(copy.equals(first)).toBe(true);
  expect(await leftovers(cache)).toEqual([]);
});

test("a damaged image in the cache is built anew", async () => {
  const cache = await cacheWith(/^init-|\.(deb|img|json)$/);
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
  const cache = await cacheWith(/\.deb$/);
  await expect(buildAppliance({ cacheDir: cache, cargo })).rejects.toMatchObject(error);
  expect(await leftovers(cache)).toEqual([]);
});

test("a build that is called off ends as Cancelled", async () => {
  const cache = await cacheWith(/^init-|\.deb$/);
  const caller = new AbortController();
  const onProgress = (): void => caller.abort();
  await expect(buildAppliance({ cacheDir: cache, signal: caller.signal, onProgress })).rejects.toMatchObject({
    code: "Cancelled",
  });
  expect(await leftovers(cache)).toEqual([]);
});

/** Which appliance is booted: a prebuilt one that is what it is said to be, and what tells that it is another. */
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  applianceFingerprint,
  copyImage,
  currentAppliance,
  ensureAppliance,
  takePrebuilt,
} from "../../src/appliance/index.js";
import { bzImage } from "../rvf/build.js";

const sha256Of = (data: Buffer) => createHash("sha256").update(data).digest("hex");

/** A kernel that says its version where Linux does. */
function image(version: string): Buffer {
  const made = bzImage();
  made.writeUInt16LE(0x300, 0x20e);
  made.write(`${version} (somebody@somewhere) #1\0`, 0x500);
  return made;
}

let dir: string;
let server: Server;
let served = image("6.1.1-served");
beforeAll(async () => {
  server = createServer((request, reply) => {
    if (request.url === "/image") reply.end(served);
    else reply.writeHead(404).end();
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
});
afterAll(() => server.close());
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "appliance-"));
  process.env["MICROVM_CACHE_DIR"] = join(dir, "cache");
});
afterEach(() => rm(dir, { recursive: true }));

const url = (path: string) => `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`;
const file = async (data: Buffer) => {
  const path = join(dir, "image");
  await writeFile(path, data);
  return path;
};
const kept = async () =>
  (await readdir(join(dir, "cache/appliance"))).filter((name) => !name.startsWith("current"));

test.each([
  ["a file", file],
  ["a URL", (data: Buffer) => Promise.resolve(((served = data), url("/image")))],
])("a prebuilt one is taken from %s, and is then the one that is booted", async (_, place) => {
  const data = image("6.1.2-prebuilt");
  const sha256 = sha256Of(data);
  const from = await place(data);
  expect(await currentAppliance()).toBeUndefined();
  const taken = await takePrebuilt({ from, sha256: sha256.toUpperCase() });
  expect(taken).toMatchObject({ from, sha256, bytes: data.length, kernelVersion: "6.1.2-prebuilt" });
  expect(await currentAppliance()).toEqual(taken);
  expect(await ensureAppliance()).toEqual(taken);
  await copyImage(taken, join(dir, "copy"));
  expect(await readFile(join(dir, "copy"))).toEqual(data);
});

test("one that is another than was named is refused by both hashes, and nothing of it is kept", async () => {
  const from = await file(image("6.1.3-other"));
  const sha256 = "ab".repeat(32);
  await expect(takePrebuilt({ from, sha256 })).rejects.toMatchObject({
    code: "ApplianceMismatch",
    evidence: `expected SHA-256 ${sha256}\ngot      SHA-256 ${sha256Of(await readFile(from))}`,
  });
  expect(await currentAppliance()).toBeUndefined();
  expect(await kept()).toEqual([]);
});

test("what cannot be had, is no image or no hash is said, and nothing is kept", async () => {
  const sha256 = "ab".repeat(32);
  const text = await file(Buffer.from("no kernel"));
  for (const [from, hash, code, words] of [
    [join(dir, "none"), sha256, "ApplianceBuild", /ENOENT/],
    [url("/none"), sha256, "ApplianceBuild", /answered 404/],
    [text, sha256Of(Buffer.from("no kernel")), "ApplianceBuild", /no whole bzImage/],
    [text, "ab", "InvalidArgument", /no SHA-256/],
  ] as const) {
    const taken = takePrebuilt({ from, sha256: hash });
    await expect(taken).rejects.toMatchObject({ code, message: expect.stringMatching(words) as string });
  }
  expect(await kept()).toEqual([]);
});

test("the fingerprint is the sources' until one is chosen, and then that one's", async () => {
  const unbuilt = await applianceFingerprint();
  expect(unbuilt).toMatch(/^appliance of sources [0-9a-f]{64}$/);
  const data = image("6.1.4");
  await takePrebuilt({ from: await file(data), sha256: sha256Of(data) });
  expect(await applianceFingerprint()).toBe(`appliance, sha256 ${sha256Of(data)}`);
});

test("one that was damaged in the cache is none", async () => {
  const data = image("6.1.5");
  const { path } = await takePrebuilt({ from: await file(data), sha256: sha256Of(data) });
  await writeFile(path, data.fill(1, 700, 701));
  expect(await currentAppliance()).toBeUndefined();
});

/** zstd images in frames of the real `zstd` command. */
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { extractKernel } from "../../../src/rvf/index.js";
import { bzImage, kernel, manifest, rvf, scratch } from "../build.js";

const files = scratch();

test.each([["-1"], ["-19"], ["-3 --no-check"], ["-3 --long=25"]])("zstd %s", async (options) => {
  const image = Buffer.concat([bzImage(), randomBytes(300_000), Buffer.alloc(900_000, "text ")]);
  const stored = execFileSync("zstd", ["-c", ...options.split(" ")], { input: image, maxBuffer: 1e8 });
  const part = kernel({
    layout: "adr030",
    image: stored,
    imageHash: createHash("shake256", { outputLength: 32 }).update(image).digest(),
    header: (bytes) => {
      bytes.writeUInt8(2, 0x28);
      bytes.writeBigUInt64LE(BigInt(image.length), 0x18);
    },
  });
  const path = files.file(await rvf(manifest, part, manifest));
  const { kernelPath } = await extractKernel(path, { cacheDir: join(files.dir, "cache") });
  expect(readFileSync(kernelPath).equals(image)).toBe(true);
});

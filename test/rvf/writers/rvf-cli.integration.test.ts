/** Files of the real `rvf` command (wire dialect), whose path is in RVF_CLI_BIN. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { extractKernel, inspectRvf, readKernel } from "../../../src/rvf/index.js";
import { bzImage, scratch } from "../build.js";

const files = scratch();
const rvf = (...args: string[]): string => {
  const command = process.env.RVF_CLI_BIN;
  if (command === undefined) throw new Error("RVF_CLI_BIN must name the rvf command.");
  return execFileSync(command, args, { encoding: "utf8", timeout: 30_000 });
};

function store(name: string): string {
  const path = join(files.dir, name);
  const vectors = [1, 2, 3].map((id) => ({ id, vector: [id, 0, 0, 1] }));
  writeFileSync(join(files.dir, "vectors.json"), JSON.stringify(vectors));
  rvf("create", "-d", "4", path);
  rvf("ingest", path, "-i", join(files.dir, "vectors.json"));
  return path;
}

test("a store with a kernel is read, its placeholders seen through", async () => {
  const path = store("kernel.rvf");
  const image = bzImage();
  rvf("embed-kernel", path, "--prebuilt", "--image-path", files.file(image));
  const report = await inspectRvf(path);
  expect(report).toMatchObject({
    store: { dialect: "wire", dimension: 4, vectors: 3 },
    kernel: {
      layout: "image-cmdline",
      image: { arch: "x86_64" },
      header: { arch: "aarch64", apiPort: 8080 },
      cmdline: "",
    },
    integrity: { segment: "XXH3-128 matches", image: "fold matches", verdict: "weak" },
  });
  expect(report.warnings).toEqual([
    expect.stringMatching(/fold/),
    expect.stringMatching(/for aarch64, the image is for x86_64/),
    expect.stringMatching(/hermit/),
    expect.stringMatching(/REQUIRES_TEE/),
  ]);
  const { kernelPath } = await extractKernel(path, { cacheDir: join(files.dir, "cache") });
  expect(readFileSync(kernelPath)).toEqual(image);
});

test("the later of two kernels is taken", async () => {
  const path = store("two.rvf");
  rvf("embed-kernel", path, "--prebuilt", "--image-path", files.file(bzImage(1)));
  const newer = Buffer.concat([bzImage(2), Buffer.from("070701" + "0".repeat(94))]);
  rvf("embed-kernel", path, "--prebuilt", "--image-path", files.file(newer));
  expect(await readKernel(path)).toMatchObject({
    image: { size: newer.length - 100 },
    initramfs: { size: 100, format: "cpio" },
  });
});

test("after deleting and compacting", async () => {
  const path = store("compacted.rvf");
  rvf("embed-kernel", path, "--prebuilt", "--image-path", files.file(bzImage()));
  rvf("delete", path, "--ids", "2");
  expect(await inspectRvf(path)).toMatchObject({ store: { vectors: 2 } });
  rvf("compact", path);
  expect(await inspectRvf(path)).toMatchObject({
    store: { vectors: 2 },
    kernel: { image: { kind: "bzImage" } },
  });
});

test("a store without a kernel", async () => {
  await expect(readKernel(store("plain.rvf"))).rejects.toMatchObject({ code: "NoKernelSegment" });
});

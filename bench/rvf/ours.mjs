/** One sample of this package as users run it, from dist/. Arguments: the RVF, the cache directory. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { extractKernel } from "../../dist/rvf/index.js";
import { measure } from "../measure.mjs";

const [path, cacheDir] = process.argv.slice(2);

await measure(
  () => extractKernel(path, { cacheDir }),
  ({ kernelPath }) => createHash("sha256").update(readFileSync(kernelPath)).digest("hex"),
);

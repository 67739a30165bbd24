/**
 * Makes JavaScript of the tests' TypeScript. Nobody looks at the types here: `npm run lint` does once, and a compiler that reads them takes
 * a hundred times as long.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { transform, version } from "esbuild";

const options = {
  loader: "ts",
  format: "esm",
  target: "node20",
  sourcemap: true,
  // As tsconfig.json has it.
  tsconfigRaw: { compilerOptions: { useDefineForClassFields: false } },
};

const own = readFileSync(fileURLToPath(import.meta.url));

export default {
  getCacheKey: (source, path) =>
    createHash("sha256").update(version).update(own).update(`${path}\0${source}`).digest("hex"),
  processAsync: async (source, path) => await transform(source, { ...options, sourcefile: path }),
};

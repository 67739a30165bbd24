// Makes a small RVF: node make-rvf.mjs OUT
import { rmSync } from "node:fs";
import rvf from "@ruvector/rvf-node";

const [out] = process.argv.slice(2);
if (!out) {
  console.error("usage: node make-rvf.mjs OUT");
  process.exit(2);
}
rmSync(out, { force: true });
const db = rvf.RvfDatabase.create(out, { dimension: 3 });
db.ingestBatch(Float32Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1), [1, 2, 3]);
db.close();
console.log(`${out}: 3 vectors of dimension 3`);

// Makes a small RVF that boots: node make-rvf.mjs APPLIANCE OUT
import { readFileSync, rmSync } from "node:fs";
import rvf from "@ruvector/rvf-node";

const [appliance, out] = process.argv.slice(2);
if (!appliance || !out) {
  console.error("usage: node make-rvf.mjs APPLIANCE OUT");
  process.exit(2);
}
rmSync(out, { force: true });
const db = rvf.RvfDatabase.create(out, { dimension: 3 });
db.ingestBatch(Float32Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1), [1, 2, 3]);
// Architecture 0 is x86_64, kernel type 1 a Linux; the guest's API listens on 8080.
db.embedKernel(0, 1, 0, readFileSync(appliance), 8080);
db.close();
console.log(`${out}: 3 vectors of dimension 3, with the kernel of ${appliance}`);

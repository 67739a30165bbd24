/** `npm run bench [-- NAME ...]`: measures this package against its peers; without names, everything. */
import { relative } from "node:path";
import { benchmarks } from "../bench/index.js";
import { machine } from "../bench/machine.js";
import { describeRun, writeRun, type Run } from "../bench/report.js";
import { ensureParts } from "./setup/index.js";
import { main } from "./steps.js";

await main(async () => {
  const names = process.argv.length > 2 ? process.argv.slice(2) : [...benchmarks.keys()];
  const unknown = names.find((name) => !benchmarks.has(name));
  if (unknown !== undefined) {
    console.error(`There is no benchmark "${unknown}". There are: ${[...benchmarks.keys()].join(", ")}.`);
    return 2;
  }
  const chosen = [...new Set(names)].map((name) => ({ name, benchmark: benchmarks.get(name)! }));
  const parts = await ensureParts([...new Set(chosen.flatMap(({ benchmark }) => benchmark.parts))]);
  for (const { name, benchmark } of chosen) {
    const measured = await benchmark.run((line) => console.log(line), parts);
    const run: Run = {
      format: 1,
      benchmark: name,
      title: benchmark.title,
      at: new Date().toISOString(),
      machine: machine(),
      measured,
    };
    console.log(`\n${describeRun(run)}\n\n${relative(process.cwd(), await writeRun(run))}`);
  }
  return 0;
});

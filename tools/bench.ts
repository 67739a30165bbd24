/**
 * `npm run bench [-- NAME ...]`: measures this package against its peers; without names, everything. With `--charts` nothing is measured: the
 * last results are drawn into docs/performance/.
 */
import { mkdir } from "node:fs/promises";
import { relative } from "node:path";
import { Argument } from "commander";
import writeFileAtomic from "write-file-atomic";
import type { Benchmark } from "../bench/benchmark.js";
import { drawChart } from "../bench/charts/index.js";
import { benchmarks } from "../bench/index.js";
import { machine } from "../bench/machine.js";
import { describeRun, readSummaries, writeRun, type Run } from "../bench/report.js";
import { describe } from "./setup/error.js";
import { ensureParts } from "./setup/index.js";
import { fromRepository } from "./setup/repository.js";
import { main } from "./steps.js";
import { taskCommand } from "./task.js";

await main(async () => {
  const command = taskCommand("bench", "Measures this package against its peers.")
    .addArgument(
      new Argument("[names...]", "what of it (default: everything)").choices([...benchmarks.keys()]),
    )
    .option("--charts", "measure nothing, but draw the last results into docs/performance/")
    .parse();
  const { charts } = command.opts<{ charts?: true }>();
  const names = command.args.length > 0 ? [...new Set(command.args)] : [...benchmarks.keys()];
  const failures: string[] = [];
  for (const name of names) {
    const benchmark = benchmarks.get(name)!;
    try {
      failures.push(...(charts ? await draw(name, benchmark) : await measure(name, benchmark)));
    } catch (error) {
      // The others have something to say without it.
      console.error(`\n${describe(error)}`);
      failures.push(`${name}: ${describe(error).split("\n", 1)[0]}`);
    }
  }
  if (failures.length === 0) return 0;
  console.error(`\nFailed:\n${failures.join("\n")}`);
  return 1;
});

/** What of it failed. */
async function measure(name: string, benchmark: Benchmark): Promise<string[]> {
  const parts = await ensureParts(benchmark.parts);
  const measured = await benchmark.run((line) => console.log(line), parts);
  const { title } = benchmark;
  const run: Run = {
    ...{ format: 1, benchmark: name, title, at: new Date().toISOString(), machine: machine(), measured },
  };
  console.log(`\n${describeRun(run)}\n\n${shown(await writeRun(run))}\n`);
  return measured.series.flatMap((each) =>
    each.failure === undefined ? [] : [`${name}: ${each.name}: ${each.failure.split("\n", 1)[0]}`],
  );
}

async function draw(name: string, { charts }: Benchmark): Promise<string[]> {
  const summaries = await readSummaries(name);
  if (!summaries) {
    console.log(`${name}: not measured yet`);
    return [];
  }
  const folder = fromRepository("docs/performance");
  await mkdir(folder, { recursive: true });
  for (const chart of charts) {
    const path = `${folder}/${name}-${chart.name}.svg`;
    await writeFileAtomic(
      path,
      drawChart(chart, (series) => summaries.get(series)),
    );
    console.log(shown(path));
  }
  return [];
}

function shown(path: string): string {
  return relative(process.cwd(), path);
}

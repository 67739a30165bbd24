/** Shows a run as a table and keeps it as JSON. */
import { mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import pc from "picocolors";
import writeFileAtomic from "write-file-atomic";
import { fromRepository } from "../tools/setup/repository.js";
import type { Measured, Ratio, Series, Target } from "./benchmark.js";
import type { Machine } from "./machine.js";
import { digits, meets, summarise, type Summary } from "./statistics.js";

export interface Run {
  /** Of this file's form; it changes when a field changes its meaning. */
  format: 1;
  benchmark: string;
  title: string;
  /** When the run ended, ISO 8601. */
  at: string;
  machine: Machine;
  measured: Measured;
}

/** Writes the run, each list of samples with its summary, to `.cache/bench/results/<benchmark>.json`; gives the path. */
export async function writeRun(run: Run): Promise<string> {
  const summarised = <T extends { samples: number[]; failure?: string }>(each: T) => ({
    ...each,
    ...(each.failure === undefined && summarise(each.samples)),
  });
  const { series, ratios } = run.measured;
  const measured = { ...run.measured, series: series.map(summarised), ratios: ratios.map(summarised) };
  const path = pathOf(run.benchmark);
  await mkdir(dirname(path), { recursive: true });
  await writeFileAtomic(path, `${JSON.stringify({ ...run, measured }, null, 2)}\n`);
  return path;
}

/** The last run's medians and spreads, by their series' names, those that failed left out; undefined where there was no run. */
export async function readSummaries(benchmark: string): Promise<Map<string, Summary> | undefined> {
  const text = await readFile(pathOf(benchmark), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  const { series } = (JSON.parse(text) as { measured: { series: (Series & Summary)[] } }).measured;
  return new Map(series.flatMap((each) => (each.failure === undefined ? [[each.name, each]] : [])));
}

const pathOf = (benchmark: string): string => fromRepository(`.cache/bench/results/${benchmark}.json`);

/** The run as text for a terminal. */
export function describeRun({ title, machine, measured }: Run): string {
  const { cpu, cores, memoryGiB, os, node } = machine;
  const versions = Object.entries(measured.versions).map(([name, version]) => `${name} ${version}`);
  const quantities = measured.series.map((each) => row(each, each.unit));
  const ratios = measured.ratios.map((each) => row(each, "x"));
  return [
    pc.bold(title),
    `${cpu}, ${cores} cores, ${memoryGiB} GiB, ${os}, Node ${node}; ${versions.join(", ")}`,
    ...measured.method,
    "",
    table([["", "median", "min .. max", "target"], ...quantities, [], ...ratios]),
  ].join("\n");
}

function row({ name, samples, failure, target }: Series | Ratio, unit: string): string[] {
  if (failure !== undefined) return [name, "failed", "", failure.split("\n", 1)[0]!];
  const { median, min, max } = summarise(samples);
  return [
    name,
    `${digits(median)} ${unit}`.trimEnd(),
    `${digits(min)} .. ${digits(max)}`,
    target ? verdict(median, target) : "",
  ];
}

function verdict(median: number, target: Target): string {
  const wanted = "atLeast" in target ? `at least ${target.atLeast}` : `at most ${target.atMost}`;
  return `${wanted}: ${meets(median, target) ? "met" : "missed"}`;
}

/** Columns as wide as their widest cell; numbers to the right. */
function table(rows: string[][]): string {
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)));
  const line = (cells: string[]) =>
    cells
      .map((cell, column) =>
        column === 1 || column === 2 ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join("  ")
      .trimEnd();
  return rows.map(line).join("\n");
}

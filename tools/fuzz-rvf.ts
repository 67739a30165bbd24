/**
 * `npm run fuzz:rvf -- [--seconds N | --runs N] [--seed S]`: throws made and mangled RVF files at the reader. The work is
 * done in a process of its own, so that one that hangs or dies is a finding too.
 */
import { fork } from "node:child_process";
import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { CampaignResult, Progress } from "../test/rvf/fuzz/campaign.js";
import type { FuzzMessage, FuzzOrder } from "../test/rvf/fuzz/child.js";
import { fromRepository } from "./setup/repository.js";
import { main } from "./steps.js";

const folder = fromRepository(".cache/fuzz");
/** The library shrinks a finding for up to two minutes; in all that time inputs are read, and told of. */
const SILENCE_MILLIS = 60_000;

function orderOf(args: string[]): Omit<FuzzOrder, "work"> {
  const options = {
    seconds: { type: "string" },
    runs: { type: "string" },
    seed: { type: "string" },
  } as const;
  const { values } = parseArgs({ args, options });
  const numberOf = (name: keyof typeof options): number | undefined => {
    const text = values[name];
    if (text === undefined || /^\d{1,15}$/.test(text)) return text === undefined ? undefined : Number(text);
    throw new Error(`--${name} takes a whole number, not "${text}".`);
  };
  const runs = numberOf("runs");
  return {
    folder,
    // fast-check's seeds have 32 bits.
    seed: (numberOf("seed") ?? Date.now()) % 2 ** 31,
    runs: runs ?? Number.MAX_SAFE_INTEGER,
    seconds: numberOf("seconds") ?? (runs === undefined ? 60 : Number.MAX_SAFE_INTEGER),
  };
}

/** What the child came to; without a result it hung or died, and the input it was reading tells why. */
async function runChild(order: FuzzOrder): Promise<CampaignResult | string> {
  const child = fork(fromRepository("test/rvf/fuzz/child.ts"), { execArgv: ["--import", "tsx"] });
  let said: CampaignResult | string | undefined;
  const hung = (): void => {
    said = `no input was finished within ${SILENCE_MILLIS / 1000} s`;
    child.kill("SIGKILL");
  };
  let timer = setTimeout(hung, SILENCE_MILLIS);
  child.on("message", (message: FuzzMessage) => {
    clearTimeout(timer);
    timer = setTimeout(hung, SILENCE_MILLIS);
    if ("progress" in message) show(message.progress);
    else said = "result" in message ? message.result : message.failure;
  });
  child.send(order);
  const [code, signal] = await new Promise<[number | null, string | null]>((done) =>
    child.once("close", (...end) => done(end)),
  );
  clearTimeout(timer);
  return said ?? `the process ended (${signal ?? `exit status ${code}`})`;
}

const show = ({ executions, outcomes, grown }: Progress): void =>
  console.log(
    `${executions} inputs, ${Object.keys(outcomes).length} outcomes, memory grown by ${Math.round(grown / 2 ** 20)} MiB`,
  );

await main(async () => {
  const order = orderOf(process.argv.slice(2));
  console.log(`Fuzzing the RVF reader with seed ${order.seed}.`);
  await mkdir(folder, { recursive: true });
  const work = await mkdtemp(join(folder, "work-"));
  try {
    const result = await runChild({ ...order, work });
    if (typeof result === "string") {
      const file = join(folder, `finding-${order.seed}.rvf`);
      const kept = await copyFile(join(work, "input.rvf"), file).then(
        () => `The input of that moment: ${file}\n`,
        () => "",
      );
      console.error(`Found: ${result}\n${kept}Again by: npm run fuzz:rvf -- --seed ${order.seed}`);
      return 1;
    }
    show(result);
    for (const [outcome, count] of Object.entries(result.outcomes).sort())
      console.log(`  ${outcome}: ${count}`);
    if (!result.finding) return 0;
    const { words, file, seed, runs } = result.finding;
    console.error(
      `Found: ${words}\nThe file: ${file}\nAgain by: npm run fuzz:rvf -- --seed ${seed} --runs ${runs}`,
    );
    return 1;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
});

/** QEMU with the launcher's own arguments (its dry run) and nothing around it: what a start takes when nobody looks after the VM. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, open, readFile, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { probeHealth } from "../src/client/index.js";
import { dryRun } from "../src/launcher/index.js";
import { apiUrl } from "../src/launcher/ports/ports.js";
import { generationFiles } from "../src/launcher/record/vm-folder.js";
import { freePort } from "../test/support/ports.js";
import { ask, WrongAnswer, type Question } from "./ask.js";

/** Between two looks, and how long anything may take, in milliseconds. */
const [pauseMs, patienceMs] = [1, 60_000];

export interface BareOptions {
  rvfPath: string;
  /** What becomes of the launcher's arguments. */
  change?: ((argv: string[]) => string[]) | undefined;
}

/** All times are milliseconds from the spawn on. */
export interface Bare extends AsyncDisposable {
  /** Until QEMU has written the words to its stderr, or the guest to its console or its ready port; empty words: until anything is there. */
  until: (where: "stderr" | "console" | "ready", words: string) => Promise<number>;
  /** Until the question is answered. Early questions take long, whatever the guest does: only one that is ready is to be asked. */
  untilAnswer: (question: Question) => Promise<number>;
  /** Until it says that it is well, of which the same holds. */
  untilHealthy: () => Promise<number>;
}

/** What the guest writes to its ready port: a dry run's nonce is 0. */
export const READY = "ready 0\n";

/** Throws, as its calls do, when QEMU ends. */
export async function startBare({ rvfPath, change = (argv) => argv }: BareOptions): Promise<Bare> {
  const apiPort = await freePort();
  const { argv } = await dryRun({ rvfPath, apiPort, enableKvm: false });
  // Each has files of its own where the dry run has placeholders.
  const vmId = `bare-${apiPort}`;
  const [binary, ...args] = change(argv).map((word) => word.replaceAll("/dry-run/", `/${vmId}/`));
  const { dir, stderr, consolePipe, readyPipe } = generationFiles(vmId, 1);
  await mkdir(dir, { recursive: true });
  await using words = await open(stderr, "w");
  const start = performance.now();
  const qemu = spawn(binary!, args, { stdio: ["ignore", "ignore", words.fd] });
  const ended = once(qemu, "exit");
  const files = { stderr, console: consolePipe, ready: readyPipe };

  const waitFor = async (what: string, isThere: () => Promise<boolean>): Promise<number> => {
    for (;;) {
      if (await isThere()) return performance.now() - start;
      const late = performance.now() - start > patienceMs;
      if (!late && qemu.exitCode === null && qemu.signalCode === null) {
        await sleep(pauseMs);
        continue;
      }
      const ends = await Promise.all([stderr, consolePipe].map(textOf));
      const how = late ? `nothing for ${patienceMs / 1000} s` : `QEMU ended with status ${qemu.exitCode}`;
      throw new Error(`${how} instead of ${what}:\n${ends.map((text) => text.slice(-1000)).join("\n")}`);
    }
  };
  return {
    until: (where, text) =>
      waitFor(`${JSON.stringify(text)} from ${where}`, async () => {
        const written = await textOf(files[where]);
        return written !== "" && written.includes(text);
      }),
    untilAnswer: (question) => waitFor("an answer", () => answers(apiPort, question)),
    untilHealthy: () =>
      waitFor("health", async () => (await probeHealth(apiUrl(apiPort), { timeoutMs: patienceMs })).healthy),
    [Symbol.asyncDispose]: async () => {
      qemu.kill("SIGKILL");
      await ended;
      await rm(dirname(dir), { recursive: true });
    },
  };
}

const textOf = (file: string): Promise<string> => readFile(file, "latin1").catch(() => "");

/** False when there was no answer. Throws on a wrong one. */
const answers = (port: number, question: Question): Promise<boolean> =>
  ask(port, question).then(
    () => true,
    (error: unknown) => {
      if (error instanceof WrongAnswer) throw error;
      return false;
    },
  );

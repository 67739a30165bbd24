/** Tells how a VM ended from the evidence beside it. Pure. */
import { constants } from "node:os";

export interface Ending {
  /**
   * clean: the guest powered off; panic: its kernel gave up; reset: it rebooted, which ends it; killed: by a signal or through the
   * monitor, by whomever; crashed: QEMU itself failed; outOfMemory: the host's kernel killed it for want of memory; hostReboot: it
   * ran when the host went down; unknown: there is no evidence.
   */
  how: "clean" | "panic" | "reset" | "killed" | "crashed" | "outOfMemory" | "hostReboot" | "unknown";
  /** QEMU's exit status; above 128 it died by signal `code - 128`. Absent when nobody was there to write it. */
  code?: number;
  /** One clause for a person. */
  detail: string;
}

/** As far as it is there. */
export interface Evidence {
  /** QEMU's exit status, as its shell saw it. */
  code?: number | undefined;
  /** QEMU's last words, and those of the shell above it. */
  stderr: string;
  /** The guest's last words. */
  console: string;
}

/**
 * QEMU's trace event `qemu_system_shutdown_request` writes to stderr why it is about to end, by the number of its enum ShutdownCause
 * (qapi/run-state.json), which has only ever grown at its end. Nothing is written of a signal, of which QEMU has words of
 * its own, nor of a guest's reset, which `-no-reboot` makes an end (system/runstate.c).
 */
const causes: Record<number, Omit<Ending, "code">> = {
  1: { how: "crashed", detail: "QEMU gave the guest up for an error of the host" },
  2: { how: "killed", detail: "QEMU was ended through its monitor (quit)" },
  5: { how: "killed", detail: "QEMU was ended through its window" },
  6: { how: "clean", detail: "the guest powered off" },
  7: { how: "reset", detail: "the guest rebooted" },
};

/** Its trace event `runstate_set`, which comes after that with every orderly end, a guest's reset among them. */
const shutDown = /^runstate_set .*new_state \d+ \(shutdown\)$/m;

/** The cause of a guest that tells of its panic by a pvpanic device. */
const GUEST_PANIC = 8;

/**
 * The exit status alone says little: it is 0 after a power-off, a reset, a panic (`panic=-1` resets), QMP's quit and a SIGTERM. A
 * QEMU that cannot trace to stderr leaves the first three to what the guest's console says.
 */
export function classify({ code, stderr, console }: Evidence): Omit<Ending, "code"> {
  const cause = Number(/.*qemu_system_shutdown_request reason=(\d+)/s.exec(stderr)?.[1] ?? 0);
  const panic = panicIn(console);
  if (code !== undefined && code > 128) return signalled(code - 128, stderr, panic);
  const sender = /terminating on signal (\d+)(?: from pid (\d+) \((.*)\))?/.exec(stderr);
  if (sender !== null) {
    const [, signal, pid, name] = sender;
    const by = pid === undefined ? "" : ` from process ${pid} (${name})`;
    return { how: "killed", detail: `QEMU was ended by ${signalName(Number(signal))}${by}` };
  }
  if (cause === GUEST_PANIC || (cause === 0 && !code && panic !== undefined))
    return { how: "panic", detail: `the guest's kernel panicked${panic === undefined ? "" : ` (${panic})`}` };
  if (code) return { how: "crashed", detail: `QEMU exited with status ${code}${lastWords(stderr)}` };
  const known = causes[cause];
  if (known !== undefined) return known;
  // Linux says these at any log level (kernel/reboot.c).
  if (/reboot: Power down/.test(console)) return causes[6]!;
  if (/reboot: Restarting system/.test(console)) return causes[7]!;
  // Silence alone proves nothing: the disk was full, or somebody removed what was written.
  return code === 0 && shutDown.test(stderr)
    ? { how: "reset", detail: "the guest was reset without a word" }
    : { how: "unknown", detail: "nothing tells how it ended" };
}

/** What comes from outside; other signals a program brings upon itself. */
const foreign = ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"];

function signalled(signal: number, stderr: string, panic: string | undefined): Omit<Ending, "code"> {
  const name = signalName(signal);
  // The words of the shell above QEMU (keeper.ts).
  const [, perhaps, why] = /^(perhaps )?out of memory: (.*)/m.exec(name === "SIGKILL" ? stderr : "") ?? [];
  if (why !== undefined && !perhaps)
    return { how: "outOfMemory", detail: `the host, out of memory, killed QEMU (${brief(why)})` };
  if (!foreign.includes(name))
    return { how: "crashed", detail: `QEMU crashed with ${name}${lastWords(stderr)}` };
  const after = panic === undefined ? "" : `, after the guest's kernel panicked (${panic})`;
  const memory = why === undefined ? "" : `, perhaps by the host for want of memory (${brief(why)})`;
  return { how: "killed", detail: `QEMU was killed by ${name}${memory}${after}` };
}

function signalName(number: number): string {
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? `signal ${number}`;
}

/** The last line that QEMU itself wrote, in brackets. The shell's own about a signal have no colon, or begin with its name and line. */
function lastWords(stderr: string): string {
  const isQemus = (line: string) => /\S: /.test(line) && !/: line \d+: /.test(line);
  const line = stderr.split("\n").findLast(isQemus);
  return line === undefined ? "" : ` (${brief(line)})`;
}

/** What a kernel says first when it finds itself in trouble, many lines before it panics. */
const trouble = /\b(?:BUG|Oops|general protection fault|Out of memory)\b/;

/** The panic's line, and what led to it: the kernel's first word of trouble, or the two lines before. */
function panicIn(console: string): string | undefined {
  const lines = console.split("\n").map((line) => line.replace(/^\[ *\d+\.\d+\] /, ""));
  const at = lines.findIndex((line) => /Kernel panic - not syncing/.test(line));
  if (at === -1) return undefined;
  const before = lines.slice(0, at);
  const first = before.find((line) => trouble.test(line));
  const cause = first === undefined ? before.slice(-2) : [first];
  return brief(lines[at]!) + (cause.length === 0 ? "" : `; before it: ${cause.map(brief).join("; ")}`);
}

/** Fit for one clause among others. */
const brief = (line: string): string => {
  const text = line.replace(/^\[ *\d+\.\d+\] /, "").trim();
  return text.length > 160 ? `${text.slice(0, 160)}...` : text;
};

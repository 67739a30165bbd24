/** What a VM is asked to be: plain JSON, the same for the library, the command and the Pulumi provider. */
import { isIPv4, isIPv6 } from "node:net";
import { resolve } from "node:path";
import { z } from "zod";
import { MicroVmError } from "../errors.js";
import { parsePublicKey } from "../rvf/index.js";
import { maxVcpusOf } from "./host/arch.js";
import { isOwned, unsafeArgs } from "./plan/extra-args.js";

function whole(what: string, min: number, max: number, range = `from ${min} to ${max}`) {
  const words = `must be a whole number${what} ${range}`;
  return z.int(words).min(min, words).max(max, words);
}

const port = whole("", 0, 65535);

const secondsWords = "must be a number of seconds above 0, at most 3600";
const seconds = z.number(secondsWords).positive(secondsWords).max(3600, secondsWords);

/** Becomes a path or an argument of a process, where a NUL would end it. */
const text = z
  .string()
  .min(1, "must not be empty")
  .refine((value) => !value.includes("\0"), "must not contain a NUL byte");

const extraArg = text.refine((arg) => !isOwned(arg), {
  error: (issue) => `${String(issue.input)} is up to the launcher and cannot be given`,
});

/** QEMU 7.2 forwards from dotted IPv4 addresses only; from 224 on they are no host's own. */
const hostAddress = z.string().refine((value) => isIPv4(value) && Number(value.split(".")[0]) < 224, {
  error: ({ input }) =>
    `${JSON.stringify(input)} is ${isIPv6(String(input)) ? "an IPv6 address" : "no address of a host"}: QEMU ` +
    "forwards from a dotted IPv4 address only, such as 127.0.0.1, and from no host name",
});

const publicKey = z.string().superRefine((text, context) => {
  try {
    parsePublicKey(text);
  } catch (error) {
    const { message, hint = "" } = error as MicroVmError;
    context.addIssue({ code: "custom", message: `${message} ${hint}`.trim() });
  }
});

const mostVcpus = Math.max(...Object.values(maxVcpusOf));

/** The seed's LaunchConfig (rvf-launch 0.3.0) and its defaults, with the deadline that the seed takes in waitReady. */
const vmSpecSchema = z.strictObject({
  /** The RVF file; the guest sees it as a read-only /dev/vda. */
  rvfPath: text,
  /** Guest memory in MiB. Below 16 not even the kernel unpacks. */
  memoryMb: whole(" of MiB", 16, 1_048_576).default(128),
  /** Virtual CPUs; x86-64 guests can have at most 288. */
  vcpus: whole(
    "",
    1,
    mostVcpus,
    `from 1 to ${maxVcpusOf.x86_64} for x86-64 guests, for others to ${mostVcpus}`,
  ).default(1),
  /** Host port for the guest's HTTP API; 0 lets the system choose one, which then stays. */
  apiPort: port.default(8080),
  /** Host port for the guest's port 2222; not forwarded when absent. */
  sshPort: port.optional(),
  /** IPv4 address of this host on which these ports are open. The guest's API has no authentication: others may come in. */
  bindAddress: hostAddress.default("127.0.0.1"),
  /** Whether to try KVM; without it, or where it does not work, QEMU emulates (TCG). */
  enableKvm: z.boolean().default(true),
  /** The QEMU binary instead of the one found on PATH. */
  qemuBinary: text.optional(),
  /** Arguments appended to QEMU's command line. */
  extraArgs: z.array(extraArg).default([]),
  /** Whether `extraArgs` may hold what could undo the VM's isolation (extra-args.ts). */
  allowUnsafeArgs: z.boolean().default(false),
  /** "appliance" boots the cache's appliance instead of a kernel of the RVF, which needs none; it is built first where there is none. */
  kernel: z.literal("appliance").optional(),
  /** Kernel image to boot instead of the RVF's own, whose command line and port are then ignored too. */
  kernelPath: text.optional(),
  /** Initramfs instead of the one behind the kernel. */
  initramfsPath: text.optional(),
  /** What is demanded of the RVF's kernel; the last two refuse what "lenient" only warns of. */
  verification: z.enum(["lenient", "strict", "signed"]).default("lenient"),
  /** Ed25519 public keys whose signatures count, each as PEM text or 64 hex digits. */
  trustedKeys: z.array(publicKey).default([]),
  /** How long the guest may take until it answers HTTP, in seconds. */
  readyTimeoutSeconds: seconds.default(60),
  /** How long a guest may stay wholly silent under KVM before the launch goes on with TCG, in seconds. */
  firstOutputTimeoutSeconds: seconds.default(10),
  /** How long the guest may take to power down before harder means follow, in seconds. */
  shutdownTimeoutSeconds: seconds.default(10),
  /** Whether it goes on from a state that was saved right after the first boot of such a VM (warm/). */
  warmStart: z.boolean().default(false),
  /** Whether an update boots the next VM beside the one that serves, or stops that first, as on a host without room for both. */
  updateStrategy: z.enum(["beside", "stopFirst"]).default("beside"),
  /** How long what is in flight may take on a VM whose place another has taken, in seconds. */
  drainTimeoutSeconds: seconds.default(10),
});

/** A complete spec: defaults filled in. */
export type VmSpec = z.output<typeof vmSpecSchema>;

/** The inputs that name files; `kernel` names one of the cache's. */
export type FilePaths = Pick<VmSpec, "rvfPath" | "kernel" | "kernelPath" | "initramfsPath">;

/** What a caller writes: everything but `rvfPath` may be left out. */
export type VmSpecInput = z.input<typeof vmSpecSchema>;

export const specKeys = Object.keys(vmSpecSchema.shape) as (keyof VmSpec)[];

/** One input by itself: its value, with the default where there is none, or what is wrong with it. */
export function checkInput(key: keyof VmSpec, value: unknown): { value: unknown } | { problem: string } {
  const parsed = vmSpecSchema.shape[key].safeParse(value ?? undefined);
  return parsed.success ? { value: parsed.data } : { problem: parsed.error.issues.map(problemOf).join("; ") };
}

/** Of a list it is said which item, counted from 1. */
const problemOf = ({ path: [index], message }: z.core.$ZodIssue): string =>
  typeof index === "number" ? `item ${index + 1}: ${message}` : message;

/** A spec that was stored before some inputs existed, as it is written now: those had what is their default today. */
export function withDefaults(stored: Partial<VmSpec>): Partial<VmSpec> {
  const defaultOf = (key: keyof VmSpec) => vmSpecSchema.shape[key].safeParse(undefined).data;
  return Object.fromEntries(
    specKeys.map((key) => [key, stored[key] ?? defaultOf(key)]).filter(([, value]) => value !== undefined),
  ) as Partial<VmSpec>;
}

/** What is wrong with inputs together that each are right by themselves. Those left out are not known yet. */
export function conflictsIn({
  apiPort,
  sshPort,
  extraArgs = [],
  allowUnsafeArgs,
  kernel,
  kernelPath,
  warmStart,
}: Partial<VmSpec>): MicroVmError[] {
  const conflicts: MicroVmError[] = [];
  if (warmStart === true && extraArgs.length > 0) {
    conflicts.push(
      new MicroVmError(
        "InvalidArgument",
        "warmStart: extraArgs may give the VM what a saved state does not hold",
        {
          hint: "Leave one of them out.",
          property: "warmStart",
        },
      ),
    );
  }
  if (kernel !== undefined && kernelPath !== undefined) {
    conflicts.push(
      new MicroVmError("InvalidArgument", `kernel: it is the appliance, and kernelPath names another`, {
        hint: "Leave one of them out.",
        property: "kernel",
      }),
    );
  }
  if (apiPort === sshPort && sshPort) {
    conflicts.push(
      new MicroVmError("InvalidArgument", `sshPort: ${sshPort} is apiPort already`, {
        hint: "Choose another, or 0 for a free one.",
        property: "sshPort",
      }),
    );
  }
  const unsafe = allowUnsafeArgs === false ? unsafeArgs(extraArgs) : [];
  if (unsafe.length > 0) {
    conflicts.push(
      new MicroVmError("InvalidArgument", `extraArgs: ${unsafe.join("; ")}`, {
        hint: "Leave it out, or set allowUnsafeArgs where it is meant; see docs/security.md.",
        property: "extraArgs",
      }),
    );
  }
  return conflicts;
}

/** Fills in defaults and makes paths absolute. Throws InvalidArgument naming the input and what is wrong with it. */
export function parseSpec(input: VmSpecInput): VmSpec {
  const parsed = vmSpecSchema.safeParse(input);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const property = issue?.path.join(".") ?? "";
    throw new MicroVmError(
      "InvalidArgument",
      `${property || "the configuration"}: ${issue?.message ?? "is invalid"}`,
      {
        property,
      },
    );
  }
  const spec = parsed.data;
  const [conflict] = conflictsIn(spec);
  if (conflict) throw conflict;
  return {
    ...spec,
    rvfPath: resolve(spec.rvfPath),
    ...(spec.kernelPath !== undefined && { kernelPath: resolve(spec.kernelPath) }),
    ...(spec.initramfsPath !== undefined && { initramfsPath: resolve(spec.initramfsPath) }),
    // A bare name is looked up on PATH, like a shell does.
    ...(spec.qemuBinary?.includes("/") && { qemuBinary: resolve(spec.qemuBinary) }),
  };
}

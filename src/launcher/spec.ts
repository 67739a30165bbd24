/** What a VM is asked to be: plain JSON, the same for the library, the command and the Pulumi provider. */
import { resolve } from "node:path";
import { z } from "zod";
import { MicroVmError } from "../errors.js";
import { parsePublicKey } from "../rvf/index.js";

const port = z.int().min(0).max(65535);
const path = z.string().min(1, "must not be empty");

/** QEMU options by which a VM would slip from the launcher's hands: they detach it, hold it up or keep it from ending. */
const ownedOptions = [
  ...["daemonize", "pidfile", "qmp", "runas", "uuid"],
  ...["S", "incoming", "preconfig", "no-shutdown", "readconfig"],
];

const extraArg = z
  .string()
  .refine((arg) => !ownedOptions.some((name) => arg === `-${name}` || arg === `--${name}`), {
    error: (issue) => `${String(issue.input)} is up to the launcher and cannot be given`,
  });

const publicKey = z.string().superRefine((text, context) => {
  try {
    parsePublicKey(text);
  } catch (error) {
    const { message, hint = "" } = error as MicroVmError;
    context.addIssue({ code: "custom", message: `${message} ${hint}`.trim() });
  }
});

/** The seed's LaunchConfig (rvf-launch 0.3.0) and its defaults, with the deadline that the seed takes in waitReady. */
const vmSpecSchema = z.strictObject({
  /** The RVF file; the guest sees it as a read-only /dev/vda. */
  rvfPath: path,
  /** Guest memory in MiB. Below 16 not even the kernel unpacks. */
  memoryMb: z.int().min(16).max(1_048_576).default(128),
  /** Virtual CPUs; QEMU's microvm machine takes at most 288. */
  vcpus: z.int().min(1).max(288).default(1),
  /** Host port on 127.0.0.1 for the guest's HTTP API; 0 lets the system choose one, which then stays. */
  apiPort: port.default(8080),
  /** Host port on 127.0.0.1 for the guest's port 2222; not forwarded when absent. */
  sshPort: port.optional(),
  /** Whether to try KVM; without it, or where it does not work, QEMU emulates (TCG). */
  enableKvm: z.boolean().default(true),
  /** The QEMU binary instead of the one found on PATH. */
  qemuBinary: path.optional(),
  /** Arguments appended to QEMU's command line. */
  extraArgs: z.array(extraArg).default([]),
  /** Kernel image to boot instead of the RVF's own, whose command line and port are then ignored too. */
  kernelPath: path.optional(),
  /** Initramfs instead of the one behind the kernel. */
  initramfsPath: path.optional(),
  /** What is demanded of the RVF's kernel; the last two refuse what "lenient" only warns of. */
  verification: z.enum(["lenient", "strict", "signed"]).default("lenient"),
  /** Ed25519 public keys whose signatures count, each as PEM text or 64 hex digits. */
  trustedKeys: z.array(publicKey).default([]),
  /** How long the guest may take until it answers HTTP, in seconds. */
  readyTimeoutSeconds: z.number().positive().max(3600).default(60),
});

/** A complete spec: defaults filled in. */
export type VmSpec = z.output<typeof vmSpecSchema>;

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
  return {
    ...spec,
    rvfPath: resolve(spec.rvfPath),
    ...(spec.kernelPath !== undefined && { kernelPath: resolve(spec.kernelPath) }),
    ...(spec.initramfsPath !== undefined && { initramfsPath: resolve(spec.initramfsPath) }),
    // A bare name is looked up on PATH, like a shell does.
    ...(spec.qemuBinary?.includes("/") && { qemuBinary: resolve(spec.qemuBinary) }),
  };
}

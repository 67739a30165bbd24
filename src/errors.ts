/**
 * The one catalogue of what can go wrong. Every room throws `MicroVmError` with one of these codes; users test
 * `error.code`, never the words of the message.
 */

/** Every code with what it means. The codes are stable; a test holds docs/errors.md to this object. */
export const errorCodes = {
  InvalidArgument: "An input is missing, of the wrong type or out of range.",
  Io: "A file or directory could not be read or written.",
  FileNotFound: "There is no file at a path that was given.",
  RvfInvalid: "The file is not an intact RVF: empty, cut short, damaged, or something else.",
  NoKernelSegment: "The RVF is intact but carries no kernel to boot.",
  KernelUnsupported: "The RVF carries a kernel in a form that cannot be booted here (named in the message).",
  KernelDamaged: "The kernel's bytes do not match the hashes stored with them.",
  KernelUntrusted: "A signature is false, or hash or signature are not what `verification` demands.",
  KernelExtraction: "The kernel could not be taken out of the RVF.",
  TempFile: "A working file could not be made.",
  MemoryTooSmall: "`memoryMb` is below what the kernel asks for.",
  HostMemoryTooSmall: "This host has less memory than the VM takes, in all or free at the moment.",
  HostUnsupported: "This host cannot run VMs: only Linux on x86-64 can.",
  QemuNotFound: "No QEMU binary for the guest's architecture was found.",
  QemuSpawn: "QEMU could not be started.",
  QemuExited: "QEMU, or the guest in it, ended before the VM was ready.",
  KvmRequired: "The kernel asks for KVM, which is not usable on this host.",
  Timeout: "The guest did not answer in time, or the boots before it on this host did not end.",
  Qmp: "QEMU's monitor refused a command or broke the protocol.",
  QmpIo: "QEMU's monitor could not be reached or the connection broke.",
  PortInUse: "A host port is taken by another process.",
  VmNotFound: "No VM with this id or name is recorded on this host.",
  VmAmbiguous: "Several VMs on this host have this name.",
  VmBusy: "Another process is launching, changing or stopping the VM at this moment.",
  VmNotRunning: "The VM is recorded, but its process is gone.",
  GuestHttp: "The guest's HTTP API refused a request or answered something else than expected.",
  Cancelled: "The operation was stopped on request.",
  ApplianceBuild: "The bootable image could not be built or got.",
  ApplianceMismatch: "A prebuilt bootable image is not the one whose SHA-256 was named.",
} as const;

export type ErrorCode = keyof typeof errorCodes;

export interface MicroVmErrorOptions {
  /** What to do next, as one sentence or one command. */
  hint?: string;
  /** What was seen: the console's last lines, QEMU's stderr, an exit status. Shown below the message. */
  evidence?: string;
  /** The underlying error. */
  cause?: unknown;
  /** The `MicroVm` input the error is about, so that Pulumi can point at it. */
  property?: string;
  /** The VM that is there all the same: it was started, and only its guest did not become ready. */
  vmId?: string;
}

const brand = Symbol.for("pulumi-microvm.MicroVmError");

/**
 * The error of every room. The provider runs in a process of its own and may load another copy of this package,
 * so `instanceof` goes by a registered symbol instead of the class's identity.
 */
export class MicroVmError extends Error {
  readonly code: ErrorCode;
  readonly hint?: string;
  readonly evidence?: string;
  readonly property?: string;
  readonly vmId?: string;

  constructor(code: ErrorCode, message: string, options: MicroVmErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "MicroVmError";
    this.code = code;
    if (options.hint !== undefined) this.hint = options.hint;
    if (options.evidence !== undefined) this.evidence = options.evidence;
    if (options.property !== undefined) this.property = options.property;
    if (options.vmId !== undefined) this.vmId = options.vmId;
    Object.defineProperty(this, brand, { value: true });
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === "object" && value !== null && brand in value;
  }
}

/** The whole story for a person: `CODE: message`, then the evidence indented, then what to do. */
export function describeError(error: unknown): string {
  if (!(error instanceof MicroVmError)) return error instanceof Error ? error.message : String(error);
  const parts = [`${error.code}: ${error.message}`];
  if (error.evidence) parts.push(error.evidence.trimEnd().replace(/^/gm, "  | "));
  if (error.hint) parts.push(error.hint);
  return parts.join("\n");
}

/** The `code` of a Node system error (`ENOENT`, ...), or undefined for anything else. */
export function systemErrorCode(error: unknown): string | undefined {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}

/** Whether what a system call failed for is that nothing is at the path. */
export const isMissing = (error: unknown): boolean =>
  ["ENOENT", "ENOTDIR"].includes(systemErrorCode(error) ?? "");

/** For a path that a user gave; see `isMissing`. */
export const fileNotFound = (path: string, options: MicroVmErrorOptions): MicroVmError =>
  new MicroVmError("FileNotFound", `There is no file at "${path}".`, options);

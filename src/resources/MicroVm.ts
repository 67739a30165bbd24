/** The resource that a Pulumi program declares. All work is done by `pulumi-microvm/provider`, in the engine's plugin. */
import * as pulumi from "@pulumi/pulumi";
import { outputNames, providerText, typeToken } from "./constants.js";

export interface MicroVmArgs {
  /**
   * The RVF file to boot, relative to the program's directory. The guest sees it as a read-only disk.
   * @example "./db.rvf"
   */
  rvfPath: pulumi.Input<string>;
  /** Guest memory in MiB. @default 128 */
  memoryMb?: pulumi.Input<number | undefined>;
  /** Virtual CPUs. @default 1 */
  vcpus?: pulumi.Input<number | undefined>;
  /** Host port for the guest's HTTP API; 0 takes a free one and keeps it. @default 8080 */
  apiPort?: pulumi.Input<number | undefined>;
  /** Host port for the guest's port 2222; 0 takes a free one. Not forwarded when absent. */
  sshPort?: pulumi.Input<number | undefined>;
  /**
   * IPv4 address of the host on which these ports are open; 0.0.0.0 is every one. The guest's API has no authentication:
   * whoever reaches another address than a loopback one can query the guest, which is said at each launch.
   * @default "127.0.0.1"
   */
  bindAddress?: pulumi.Input<string | undefined>;
  /** Use KVM where it works; otherwise QEMU emulates, which `accelerator` and `acceleratorReason` tell. @default true */
  enableKvm?: pulumi.Input<boolean | undefined>;
  /** The QEMU binary. @default `qemu-system-<arch>` on PATH */
  qemuBinary?: pulumi.Input<string | undefined>;
  /**
   * Arguments appended to QEMU's command line. What could undo the VM's isolation is refused by name unless
   * `allowUnsafeArgs`; docs/security.md lists what is not. @default []
   */
  extraArgs?: pulumi.Input<pulumi.Input<string>[] | undefined>;
  /** Whether `extraArgs` may undo the VM's isolation; what they undo is said at each launch. @default false */
  allowUnsafeArgs?: pulumi.Input<boolean | undefined>;
  /**
   * `"appliance"` boots the appliance of the cache instead of a kernel of the RVF, which needs none then. Where there is none yet it is
   * built first, which takes minutes and needs compilers; `microvm appliance --from` spares them. Not together with `kernelPath`.
   */
  kernel?: pulumi.Input<"appliance" | undefined>;
  /** A kernel image to boot instead of the RVF's own, whose command line and port are then ignored too. */
  kernelPath?: pulumi.Input<string | undefined>;
  /** An initramfs instead of the one behind the kernel. */
  initramfsPath?: pulumi.Input<string | undefined>;
  /**
   * What is demanded of the RVF's kernel. A hash or signature that is there must be true always. `lenient` warns of weak
   * or missing ones, `strict` refuses them, `signed` demands a signature by one of `trustedKeys`. @default "lenient"
   */
  verification?: pulumi.Input<"lenient" | "strict" | "signed" | undefined>;
  /** Ed25519 public keys whose signatures count, each as PEM text (`microvm keygen` writes one) or 64 hex digits. @default [] */
  trustedKeys?: pulumi.Input<pulumi.Input<string>[] | undefined>;
  /** How long the guest may take until it answers HTTP, in seconds. @default 60 */
  readyTimeoutSeconds?: pulumi.Input<number | undefined>;
  /** How long a guest may stay wholly silent under KVM before the launch goes on with emulation, in seconds. @default 10 */
  firstOutputTimeoutSeconds?: pulumi.Input<number | undefined>;
  /** How long the guest may take to power down before it is ended by harder means, in seconds. @default 10 */
  shutdownTimeoutSeconds?: pulumi.Input<number | undefined>;
  /**
   * Go on from a saved state instead of booting. The first boot of such a VM (QEMU, machine, memory, kernel, RVF) is saved, and each VM
   * after it takes a tenth of the time and of the memory. One that cannot be used any more is replaced, which is said. Not together with
   * `extraArgs`. @default false
   */
  warmStart?: pulumi.Input<boolean | undefined>;
  /**
   * How an update boots anew. `beside`: the next VM boots beside the one that serves and takes its ports over, so that no query fails.
   * `stopFirst`: that one is stopped before, and booted again when the next does not come up; chosen by itself, with a warning, where
   * the host's free memory is not enough for both. @default "beside"
   */
  updateStrategy?: pulumi.Input<"beside" | "stopFirst" | undefined>;
  /**
   * How long queries that are in flight may go on, in seconds, when an update has put another VM in this one's place. They end with
   * it after that. @default 10
   */
  drainTimeoutSeconds?: pulumi.Input<number | undefined>;
}

/** Declared to the engine so that they are unknown, not missing, at preview. */
const outputs = Object.fromEntries(outputNames.map((name) => [name, undefined]));

/**
 * An RVF file running as a QEMU microVM on the machine where `pulumi up` runs.
 *
 * @example
 * const db = new MicroVm("db", { rvfPath: "./db.rvf", memoryMb: 256 });
 * export const url = db.url;
 */
export class MicroVm extends pulumi.CustomResource {
  /** By which policies know it: `validateResourceOfType(MicroVm, ...)`. */
  static readonly __pulumiType = typeToken;

  /** The VM's id for life, also its Pulumi id; the `microvm` command takes it. */
  declare readonly vmId: pulumi.Output<string>;
  /** Base of the guest's HTTP API, for example `http://127.0.0.1:8080`. */
  declare readonly url: pulumi.Output<string>;
  /** The host port that really forwards to the guest's API. */
  declare readonly boundApiPort: pulumi.Output<number>;
  /** The host port that really forwards to the guest's port 2222; null without `sshPort`. */
  declare readonly boundSshPort: pulumi.Output<number | null>;
  /** QEMU's process id on this host; 0 when it does not run. */
  declare readonly pid: pulumi.Output<number>;
  /** `running`, or in words what it is instead. */
  declare readonly status: pulumi.Output<string>;
  /** `kvm` or `tcg` (emulation). */
  declare readonly accelerator: pulumi.Output<string>;
  /** Why that accelerator. */
  declare readonly acceleratorReason: pulumi.Output<string>;
  /** QEMU's QMP socket. */
  declare readonly qmpSocket: pulumi.Output<string>;
  /** The file that the guest's serial console writes to. */
  declare readonly consoleLog: pulumi.Output<string>;
  /** SHA-256 of the kernel image that was booted. */
  declare readonly kernelSha256: pulumi.Output<string>;
  /** What the hashes stored with the kernel said, in words. */
  declare readonly kernelIntegrity: pulumi.Output<string>;
  /** From QEMU's start to the first HTTP answer, in milliseconds. */
  declare readonly bootMillis: pulumi.Output<number>;
  /** When QEMU was started, in ISO 8601. */
  declare readonly startedAt: pulumi.Output<string>;
  /** The version of QEMU that runs it. */
  declare readonly qemuVersion: pulumi.Output<string>;

  constructor(name: string, args: MicroVmArgs, opts?: pulumi.CustomResourceOptions) {
    const owner = {
      project: pulumi.getProject(),
      stack: pulumi.getStack(),
      // Names are unique only below one type of parent.
      resource: opts?.parent ? urnOf(opts.parent).then((urn) => `${urn}::${name}`) : name,
    };
    const secretOutputs = [...(opts?.additionalSecretOutputs ?? [])];
    const secretInputs = secretsAmong(args).then((names) => {
      // The SDK reads it when it has all inputs, of which this is one.
      secretOutputs.push(...names.flatMap((input) => derived[input] ?? []));
      return names.length > 0 ? names : undefined;
    });
    // The engine tells the provider of none of them.
    const told = { ...optionsToTell(opts), secretInputs };
    // A forced replacement (--replace, --target-replace, taint) would find its own ports taken by the VM it replaces.
    const options: pulumi.CustomResourceOptions = {
      ...pulumi.mergeOptions({ deleteBeforeReplace: true }, opts),
      additionalSecretOutputs: secretOutputs,
    };
    super(typeToken, name, { ...args, ...outputs, ...told, owner, __provider: providerText }, options);
    // Mostly it comes to nothing, and would show as unknown wherever a program exports the whole resource.
    delete (this as { secretInputs?: unknown }).secretInputs;
  }

  /**
   * A VM that is there already, made by `microvm run` or another stack on this host: its outputs, and no management of it.
   * `pulumi up` fails where there is none with that id; `pulumi destroy` leaves the VM alone.
   *
   * @example
   * const db = MicroVm.get("db", "db-1f3a5b7c");
   */
  static get(name: string, vmId: pulumi.Input<pulumi.ID>, opts?: pulumi.CustomResourceOptions): MicroVm {
    return new MicroVm(name, {} as MicroVmArgs, { ...opts, id: vmId });
  }
}

/** What shows an input's value: where that is a secret, it is one too. */
const derived: Partial<Record<string, string[]>> = {
  apiPort: ["url", "boundApiPort", "status", "condition"],
  bindAddress: ["url", "status", "condition"],
  sshPort: ["boundSshPort", "status", "condition"],
};

function optionsToTell({ customTimeouts, replaceOnChanges }: pulumi.CustomResourceOptions = {}) {
  return {
    ...(Object.values(customTimeouts ?? {}).some(Boolean) && { customTimeouts }),
    ...(replaceOnChanges?.length && { replaceOnChanges }),
  };
}

async function secretsAmong(args: MicroVmArgs): Promise<string[]> {
  const names = await Promise.all(
    Object.entries(args).map(async ([name, value]: [string, unknown]) => {
      // An input that comes to nothing fails the resource by itself.
      const isSecret = await pulumi.isSecret(pulumi.output(value)).catch(() => false);
      return isSecret ? [name] : [];
    }),
  );
  return names.flat();
}

/** As a promise, since an output would depend on its resource, and thereby a component on the VM that is its own child. */
const urnOf = (resource: pulumi.Resource): Promise<pulumi.URN> =>
  new Promise((resolve) => void resource.urn.apply(resolve));

/** Names and texts that stand in users' states. They never change. */

/** Pulumi's type of the resource: one of the engine's Node dynamic provider, with a module and name of its own. */
export const typeToken = "pulumi-nodejs:dynamic/microvm:MicroVm";

/**
 * The provider's code as the engine keeps it in the state: a constant that imports the installed package at each call, so that
 * no closure is captured, no upgrade shows as a change, and an old state is always served by the code installed now.
 */
export const providerText =
  'const p=()=>import("pulumi-microvm/provider");exports.handler=()=>({' +
  ["check", "diff", "create", "read", "update", "delete"]
    .map((method) => `${method}:async(...a)=>(await p()).${method === "delete" ? "remove" : method}(...a)`)
    .join(",") +
  "})";

/** What the provider returns beside the inputs. */
export const outputNames = [
  "vmId",
  "url",
  "boundApiPort",
  "boundSshPort",
  "pid",
  "status",
  "accelerator",
  "acceleratorReason",
  "qmpSocket",
  "consoleLog",
  "kernelSha256",
  "kernelIntegrity",
  "bootMillis",
  "startedAt",
  "qemuVersion",
] as const;

/** What a spec gives up of a VM's isolation: said at each launch, because it is easily forgotten. Pure. */
import { unsafeArgs } from "./extra-args.js";
import { isLoopback } from "../ports/ports.js";
import type { VmSpec } from "../spec.js";

/** A warning for each such thing; empty for a VM that is reached from this host alone and reaches nothing. */
export const exposuresOf = ({ bindAddress, extraArgs }: VmSpec): string[] => [
  ...(isLoopback(bindAddress)
    ? []
    : [
        `the guest's API is open on ${bindAddress} and has no authentication: whoever reaches that address can query it`,
      ]),
  ...unsafeArgs(extraArgs).map((what) => `extraArgs: ${what} (allowUnsafeArgs)`),
];

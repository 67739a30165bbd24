/** What a row of the table is. */
import type { Owner, VmSpecInput } from "../../../src/launcher/index.js";
import type { World } from "../world.js";

export interface Fault {
  name: string;
  /** How often it comes among random ones; 1 unless it takes long. */
  weight?: number;
  inflict(world: World): Promise<Wound>;
  /** What the VM's status may say then (audit.ts, `wordsOf`); `none` where it is not recorded. */
  then: readonly string[];
  /** By any of these the user gets on. */
  waysOn: readonly Way[];
}

/** The VM that was hurt. */
export interface Wound {
  vmId: string;
  spec: VmSpecInput;
  owner?: Owner;
  /** Undoes what was done to the host: before the way on, or after it where that must do without. */
  heal?: () => Promise<void>;
  healAfter?: boolean;
}

/** nothing: it got on by itself. */
export type Way = "nothing" | "relaunch" | "change" | "destroy" | "kill" | "again" | "prune";

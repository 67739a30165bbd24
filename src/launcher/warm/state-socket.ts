import { dirname, basename, join } from "node:path";
import type { Generation } from "../record/record.js";

/** Where a VM's state goes in or out. Beside its other sockets, and no longer than their paths, which fit. */
export const stateSocket = ({ controlSocket }: Pick<Generation, "controlSocket">): string =>
  join(dirname(controlSocket), basename(controlSocket).replace("ctl", "sav"));

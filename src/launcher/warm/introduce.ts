/** Makes a guest that goes on from a saved state another than the rest: they share random numbers, clock and nonce until they are told. */
import { randomBytes } from "node:crypto";
import { CLONE_LINE } from "../../appliance/contract.js";
import type { Attempt } from "../start/attempt.js";
import { tellGuest, type TellOptions } from "../change/guest-control.js";

/** Returns when the guest was told; it writes its ready line with the nonce once it has taken all. Throws as tellGuest. */
export async function introduce({ generation }: Attempt, nonce: string, options: TellOptions): Promise<void> {
  const seed = randomBytes(32).toString("hex");
  const time = (Date.now() / 1000).toFixed(3);
  await tellGuest(generation, `${CLONE_LINE} ${seed} ${time} ${nonce}`, options);
}

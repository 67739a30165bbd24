/** A failure that leaves a VM: Pulumi keeps what is told of it in the state, prints the reasons, and calls update in the next `up`. */
import { describeError } from "../launcher/index.js";
import type { State } from "./inputs.js";

/** What the SDK's plugin takes for an initialization error, by these very fields. */
export class InitFailure extends Error {
  readonly reasons: readonly string[];

  /** `properties` are stored as the outputs: plain JSON, the provider's text included. `told` has the reason as it may be told. */
  constructor(
    readonly id: string,
    readonly properties: State,
    cause: unknown,
    told = (text: string): string => text,
  ) {
    const reason = `${told(describeError(cause))}\nThe state holds ${id} as it is: \`pulumi up\` mends it, \`pulumi destroy\` removes it.`;
    super(reason, { cause });
    this.reasons = [reason];
  }
}

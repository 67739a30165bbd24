/** What a connection tells everyone that waits for something on it. */
import type { MicroVmError } from "../errors.js";
import type { QmpMessage } from "./framing.js";

export interface Listener {
  /** `length` is that of the message's line, in characters. */
  message: (message: QmpMessage, length: number) => void;
  end: (how: End) => void;
}

export interface End {
  failure: MicroVmError;
  /** Whether it was our own `close`. */
  closed: boolean;
}

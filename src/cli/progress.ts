/** What a long operation is doing, on stderr: plain lines, and on a terminal the seconds that the last one takes. */
import { note, painted } from "./output.js";

/** As much of a stream as is needed to draw on it. */
export interface Screen {
  isTTY?: boolean;
  columns?: number;
  hasColors?(): boolean;
  write(text: string): unknown;
}

export interface Steps extends Disposable {
  /** Says what begins now, and thereby that what was said before is over; a warning ends nothing. */
  readonly tell: (text: string) => void;
}

/** Dispose of it before anything else is written. */
export function showSteps(screen: Screen = process.stderr): Steps {
  return screen.isTTY && process.env["TERM"] !== "dumb" ? onTerminal(screen) : plain;
}

const plain: Steps = { tell: note, [Symbol.dispose]: () => undefined };

/** Back to the line's begin, and the line empty. */
const fresh = "\r\u001B[K";

function onTerminal(screen: Screen): Steps {
  let current: { text: string; since: number } | undefined;
  const seconds = (since: number) => `  ${((performance.now() - since) / 1000).toFixed(1)} s`;
  const draw = (): void => {
    if (!current) return;
    const time = seconds(current.since);
    // A line that wraps could not be drawn over. A terminal that does not know its width says 0.
    const room = (screen.columns || 80) - time.length - 1;
    screen.write(`${fresh}${current.text.slice(0, room)}${painted(screen, "dim", time)}`);
  };
  const finish = (): void => {
    if (current) screen.write(`${fresh}${current.text}${painted(screen, "dim", seconds(current.since))}\n`);
    current = undefined;
  };
  const timer = setInterval(draw, 100).unref();
  return {
    tell(text) {
      if (text.startsWith("warning: ")) {
        screen.write(`${fresh}${painted(screen, "yellow", text)}\n`);
      } else {
        finish();
        current = { text, since: performance.now() };
      }
      draw();
    },
    [Symbol.dispose]() {
      clearInterval(timer);
      finish();
    },
  };
}

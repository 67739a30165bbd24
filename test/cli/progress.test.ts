/** Progress as a terminal shows it, and where there is none. */
import { setTimeout as sleep } from "node:timers/promises";
import { showSteps, type Screen } from "../../src/cli/progress.js";

/** What a terminal would show of the writes: each line as it was drawn last. */
function screen(options: Partial<Screen> = {}) {
  let written = "";
  const lines = () => written.split("\n").map((line) => line.split("\r\u001B[K").at(-1));
  return {
    lines,
    raw: () => written,
    screen: { isTTY: true, columns: 40, write: (text: string) => (written += text), ...options },
  };
}

test("the last line has its seconds, and those before it keep theirs", async () => {
  const { lines, screen: terminal } = screen();
  {
    using steps = showSteps(terminal);
    steps.tell("starting QEMU 7.2.22 (tcg)");
    expect(lines()).toEqual(["starting QEMU 7.2.22 (tcg)  0.0 s"]);
    steps.tell("warning: the guest's API is open to all");
    steps.tell("waiting");
    await sleep(250);
    expect(lines()[0]).toBe("warning: the guest's API is open to all");
    expect(lines()[1]).toMatch(/^starting QEMU 7\.2\.22 \(tcg\) {2}0\.\d s$/);
    expect(lines()[2]).toMatch(/^waiting {2}0\.[1-9] s$/);
  }
  expect(lines()).toHaveLength(4);
  expect(lines()[3]).toBe("");
});

test("a line that is too long for the terminal is cut until it is over", () => {
  const { lines, screen: terminal } = screen({ columns: 20 });
  const text = "a step that takes many words";
  {
    using steps = showSteps(terminal);
    steps.tell(text);
    expect(lines()[0]).toHaveLength(19);
  }
  expect(lines()[0]).toBe(`${text}  0.0 s`);
});

test("colours are for terminals that show them", () => {
  for (const [hasColors, expected] of [
    [true, "\u001B[33mwarning: x\u001B[39m"],
    [false, "warning: x"],
  ] as const) {
    const { lines, screen: terminal } = screen({ hasColors: () => hasColors });
    using steps = showSteps(terminal);
    steps.tell("warning: x");
    expect(lines()[0]).toBe(expected);
  }
});

import Sequencer from "@jest/test-sequencer";

/** What takes minutes begins first, so that no worker is left alone with it at the end. A fresh clone has no times to go by, only sizes of files. */
const longest = [/\/test\/(chaos|e2e|package)\//, /\.integration\.test\.ts$/];

export default class LongestFirst extends Sequencer {
  /** @param {{ path: string }[]} tests */
  sort(tests) {
    const rank = ({ path }) => {
      const found = longest.findIndex((pattern) => pattern.test(path));
      return found === -1 ? longest.length : found;
    };
    return super.sort(tests).sort((a, b) => rank(a) - rank(b));
  }
}

/**
 * One launch to the first answered query, and down again, for each message: in plain JavaScript, so that the processor time is Node's and the
 * launcher's alone, as for its users.
 */
import { statSync } from "node:fs";
import { dirname, join } from "node:path";
import { performance } from "node:perf_hooks";
import { launch } from "../../dist/launcher/index.js";

process.on("message", ({ rvfPath, vector }) => void measure(rvfPath, vector).then(told, failed));

const told = (measured) => process.send({ measured });
const failed = (error) => process.send({ failure: String(error?.stack ?? error) });

async function measure(rvfPath, vector) {
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  const vm = await launch({ rvfPath, apiPort: 0, enableKvm: false });
  try {
    const launched = performance.now();
    const { user, system } = process.cpuUsage(cpuBefore);
    await vm.query(vector, 1);
    const answered = performance.now();
    const { consoleLog } = await vm.status();
    const { mtimeMs } = statSync(join(dirname(consoleLog), "ready"));
    const { rung, millis: shutdown } = await vm.shutdown();
    if (rung !== "powerdown") throw new Error(`The guest did not hear its power button: ${rung}.`);
    const sinceReadyLine = (time) => performance.timeOrigin + time - mtimeMs;
    return {
      ours: answered - start,
      launched: sinceReadyLine(launched),
      answered: sinceReadyLine(answered),
      cpu: (user + system) / 1000,
      shutdown,
    };
  } finally {
    await vm.destroy();
  }
}

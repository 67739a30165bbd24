/** `npm run test:unit`: the tests that need neither QEMU nor Pulumi's CLI. */
import { runJest } from "./jest.js";
import { main } from "./steps.js";

await main(async () => {
  const { success } = await runJest([...process.argv.slice(2), "--selectProjects", "unit"]);
  return success ? 0 : 1;
});

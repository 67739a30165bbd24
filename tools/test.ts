/** `npm test`: everything, from a fresh clone: real parts, checks, all tests. Arguments are Jest's and choose tests: those alone are run. */
import { checks } from "./checks.js";
import { testGuest } from "./guest.js";
import { runJest } from "./jest.js";
import { ensureParts } from "./setup/index.js";
import { main, runSteps } from "./steps.js";

await main(async () => {
  const env = await ensureParts(["qemu", "package", "pulumi", "appliance", "rvf", "zstd", "aarch64"]);
  const args = process.argv.slice(2);
  if (args.length === 0)
    await runSteps([...checks, { title: "Guest's tests", run: testGuest }], { concurrent: 2 });
  const { passed, failed, success } = await runJest(args, env);
  console.log(`${passed} passed, ${failed} failed`);
  return success && passed > 0 ? 0 : 1;
});

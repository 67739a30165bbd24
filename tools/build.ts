/** `npm run build`: the package in dist/, as it is published. */
import { ensureParts } from "./setup/index.js";
import { main } from "./steps.js";

await main(async () => {
  await ensureParts(["package"]);
});

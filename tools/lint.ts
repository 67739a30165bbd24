/** `npm run lint`: every check, two at a time. */
import { checks } from "./checks.js";
import { main, runSteps } from "./steps.js";

await main(async () => await runSteps(checks, { concurrent: 2 }));

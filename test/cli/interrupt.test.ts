import { spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";

test("a second signal ends the command at once, whichever it is", async () => {
  const program = `
    import { interruptible } from ${JSON.stringify(resolve("src/cli/interrupt.ts"))};
    await interruptible(async (signal) => {
      signal.addEventListener("abort", () => console.log("cleans up"));
      console.log("works");
      await new Promise((done) => setTimeout(done, 1e6));
    });`;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, NODE_OPTIONS: "" },
    timeout: 50_000,
    killSignal: "SIGKILL",
  });
  const said = async () => String((await once(child.stdout, "data"))[0]);
  expect(await said()).toBe("works\n");
  child.kill("SIGINT");
  expect(await said()).toBe("cleans up\n");
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  expect(await ended).toEqual([null, "SIGTERM"]);
}, 60_000);

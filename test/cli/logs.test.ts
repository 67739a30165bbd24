import { writeRecord } from "../../src/launcher/record/write.js";
import { recordWith } from "../support/record.js";
import { privateState } from "../support/state.js";
import { run } from "./in-process.js";

privateState();

test.each(["creating", "stopping"] as const)(
  "-f ends for a VM whose launch or stop was interrupted (%s): nobody goes on with it",
  async (phase) => {
    await writeRecord(recordWith({ vmId: phase, name: phase, phase }));
    expect(await run("logs", "-f", phase)).toEqual({ status: 0, stdout: "", stderr: "" });
  },
);

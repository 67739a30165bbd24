import { writeRecord } from "../../src/launcher/record.js";
import { parseSpec } from "../../src/launcher/spec.js";
import { privateState } from "../support/state.js";
import { run } from "./in-process.js";

privateState();

test.each(["creating", "stopping"] as const)(
  "-f ends for a VM whose launch or stop was interrupted (%s): nobody goes on with it",
  async (phase) => {
    await writeRecord({
      format: 2,
      vmId: phase,
      name: phase,
      owner: null,
      createdAt: new Date().toISOString(),
      phase,
      spec: parseSpec({ rvfPath: "/db.rvf" }),
    });
    expect(await run("logs", "-f", phase)).toEqual({ status: 0, stdout: "", stderr: "" });
  },
);

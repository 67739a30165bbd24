import { jest } from "@jest/globals";
import { MicroVmError } from "../../src/errors.js";
import { InitFailure } from "../../src/provider/init-failure.js";
import type { Inputs, State } from "../../src/provider/inputs.js";
import { newsOf, speaking } from "../../src/provider/words.js";

const inputs = {
  owner: { project: "p", stack: "s", resource: "urn:pulumi:s::p::t::db" },
  bindAddress: "10.9.8.7",
  apiPort: 4711,
  secretInputs: ["bindAddress", "apiPort"],
} as unknown as Inputs;
const late = new MicroVmError("Timeout", "http://10.9.8.7:4711 did not answer", { evidence: "4711 of db" });

test("a failure tells its code and evidence, and no secret input", async () => {
  const fail = speaking(async (_: string, __: Inputs) => await Promise.reject(late));
  const told = "Timeout: http://[secret]:[secret] did not answer\n  | [secret] of db";
  await expect(fail("db-1", inputs)).rejects.toThrow(told);
});

test("a failure that leaves a VM keeps what the state holds, and tells no secret input", async () => {
  const state = { ...inputs, vmId: "db-1" } as unknown as State;
  const fail = speaking(async (_: Inputs) => await Promise.reject(new InitFailure("db-1", state, late)));
  const error = (await fail(inputs).catch((reason: unknown) => reason)) as InitFailure;
  expect(error).toMatchObject({ id: "db-1", properties: state });
  expect(error.reasons.join()).toContain("Timeout: http://[secret]:[secret] did not answer");
  expect(error.reasons.join() + error.message).not.toMatch(/4711|10\.9\.8\.7/);
});

test("news are told behind the resource's name, without a secret input", () => {
  const printed = jest.spyOn(console, "log").mockImplementation(() => {});
  try {
    newsOf(inputs)("answers on port 4711", "news");
    newsOf(inputs)("a step");
    expect(printed.mock.calls).toEqual([["db: answers on port [secret]"]]);
  } finally {
    printed.mockRestore();
  }
});

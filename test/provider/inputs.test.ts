import { outputsOf, specOf, type Inputs } from "../../src/provider/inputs.js";
import { sampleInputs, sampleStatus } from "./samples.js";

test("the spec is the inputs that the launcher knows, and only those that were given", () => {
  const inputs = { ...sampleInputs, sshPort: null, qemuBinary: undefined } as unknown as Inputs;
  expect(specOf(inputs)).toStrictEqual(sampleStatus.spec);
});

test("outputs survive JSON, also of a VM that has next to nothing", () => {
  const { boundSshPort: _, ...withoutSsh } = sampleStatus;
  for (const status of [sampleStatus, withoutSsh]) {
    const outputs = outputsOf(status);
    expect(JSON.parse(JSON.stringify(outputs))).toStrictEqual(outputs);
  }
  expect(outputsOf(withoutSsh).boundSshPort).toBeNull();
});

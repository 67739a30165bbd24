/** Booting is reliable: an emulated guest with ACPI that is not told the clock's rate would hang in every third boot. */
import { launch } from "../../src/launcher/index.js";
import { sampleQuery } from "../../tools/sample-rvf.js";
import { sampleRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";

privateState();
const boots = 20;

test(`${boots} boots under TCG, two at a time, all answer the same`, async () => {
  const rvfPath = await sampleRvf();
  const answers: string[] = [];
  const bootOne = async () => {
    await using vm = await launch({ rvfPath, apiPort: 0, enableKvm: false });
    answers.push(JSON.stringify(await vm.query(sampleQuery(1), 5)));
  };
  for (let pair = 0; pair < boots / 2; pair++) await Promise.all([bootOne(), bootOne()]);
  expect(answers).toHaveLength(boots);
  expect(new Set(answers).size).toBe(1);
  expect(await leftovers()).toEqual([]);
});

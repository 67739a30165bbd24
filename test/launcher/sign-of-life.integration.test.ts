/** Guests that never get to run: found out, started again, and told from those that are merely slow. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { launch, type VmSpecInput } from "../../src/launcher/index.js";
import { makeSampleRvf, sampleQuery } from "../../tools/sample-rvf.js";
import { appliancePath, sampleRvf } from "../support/rvf.js";
import { spinningKernel } from "../support/spinning-kernel.js";
import { leftovers, privateState } from "../support/state.js";

const state = privateState();
const hangs = (progress: string[]) => progress.filter((text) => text.startsWith("the guest hung")).length;

test("a guest that spins under emulation is started again in the first half of its time, and then left alone", async () => {
  const kernelPath = join(state.dir, "spin");
  await writeFile(kernelPath, spinningKernel());
  const progress: string[] = [];
  const spec: VmSpecInput = { rvfPath: await sampleRvf(), kernelPath, apiPort: 0, enableKvm: false };
  const launched = launch(
    { ...spec, readyTimeoutSeconds: 30 },
    { onProgress: (text) => progress.push(text) },
  );
  await expect(launched).rejects.toMatchObject({
    code: "Timeout",
    message: expect.stringMatching(
      /within 30 s: reached process, monitor; not reached console, ready line, HTTP$/,
    ) as string,
  });
  expect(hangs(progress)).toBeGreaterThan(0);
  expect(await leftovers()).toEqual([]);
});

test("a guest that is not told its clock's rate comes up all the same", async () => {
  const rvfPath = join(state.dir, "no-hint.rvf");
  // The launcher gives none where the RVF's own command line has one, and the kernel takes 0 for none.
  await makeSampleRvf(rvfPath, { image: appliancePath(), cmdline: "tsc_early_khz=0" });
  for (let boot = 0; boot < 4; boot++) {
    await using vm = await launch({ rvfPath, apiPort: 0, enableKvm: false, readyTimeoutSeconds: 120 });
    expect(await vm.query(sampleQuery(1), 5)).toHaveLength(5);
  }
});

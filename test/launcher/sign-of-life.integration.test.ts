/** Guests that never get to run: found out, started again, and told from those that are merely slow. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { launch, type VmSpecInput } from "../../src/launcher/index.js";
import { makeSampleRvf, sampleQuery } from "../../tools/sample-rvf.js";
import { appliancePath, sampleRvf } from "../support/rvf.js";
import { spinningKernel } from "../support/spinning-kernel.js";
import { leftovers, privateState } from "../support/state.js";

const state = privateState();

async function spinningGuest(): Promise<VmSpecInput> {
  const kernelPath = join(state.dir, "spin");
  await writeFile(kernelPath, spinningKernel());
  return { rvfPath: await sampleRvf(), kernelPath, apiPort: 0, enableKvm: false };
}

test("a guest that spins under emulation is started again", async () => {
  const interruption = new AbortController();
  const progress: string[] = [];
  // The time is a bound alone: a busy host needs many seconds to give the guest those that it is judged by.
  const launched = launch(
    { ...(await spinningGuest()), readyTimeoutSeconds: 240 },
    {
      signal: interruption.signal,
      onProgress: (text) => {
        progress.push(text);
        if (text.startsWith("the guest hung")) interruption.abort();
      },
    },
  );
  await expect(launched).rejects.toMatchObject({ code: "Cancelled" });
  expect(progress.at(-1)).toMatch(/^starting QEMU/);
  expect(await leftovers()).toEqual([]);
});

test("a guest that never speaks ends with what it reached", async () => {
  const launched = launch({ ...(await spinningGuest()), readyTimeoutSeconds: 15 });
  await expect(launched).rejects.toMatchObject({
    code: "Timeout",
    message: expect.stringMatching(
      /within 15 s: reached process, monitor; not reached console, ready line, HTTP$/,
    ) as string,
  });
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

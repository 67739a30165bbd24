/** A store that carries no kernel, booted with the appliance of the cache. */
import { createHash } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { takePrebuilt } from "../../../src/appliance/index.js";
import { dryRun, fingerprintsOf, launch, updateVm } from "../../../src/launcher/index.js";
import { makeSampleRvf, neighboursOnHost, sampleQuery } from "../../../tools/sample-rvf.js";
import { run } from "../../cli/in-process.js";
import { errorIn } from "../../cli/outcome.js";
import { appliancePath, expectNeighbours } from "../../support/rvf.js";
import { privateState } from "../../support/state.js";

const state = privateState();
let rvfPath: string;
beforeAll(async () => {
  rvfPath = join(state.dir, "plain.rvf");
  await makeSampleRvf(rvfPath);
  const from = appliancePath();
  const sha256 = createHash("sha256")
    .update(await readFile(from))
    .digest("hex");
  await takePrebuilt({ from, sha256 });
});

test("without a kernel the way out is named, by the input and by the command's option", async () => {
  const hint = expect.stringContaining('kernel: "appliance"') as string;
  await expect(launch({ rvfPath, apiPort: 0 })).rejects.toMatchObject({ code: "NoKernelSegment", hint });
  const { hint: shown } = errorIn(await run("run", rvfPath, "--json"));
  expect(shown).toContain("Boot it with the appliance: --appliance.");
});

test("it boots, answers as the store says, and knows its kernel; an update that changes nothing does nothing", async () => {
  const spec = { rvfPath, kernel: "appliance", apiPort: 0, enableKvm: false } as const;
  const { argv, kernelPath, initramfsPath } = await dryRun(spec);
  expect(argv).toEqual(expect.arrayContaining(["-kernel", kernelPath, "-initrd", initramfsPath]));
  await using vm = await launch(spec);
  const vector = sampleQuery(1);
  expectNeighbours(await vm.query(vector, 5), neighboursOnHost(rvfPath, vector, 5));
  expect(await vm.status()).toMatchObject({
    kernelIntegrity: `the appliance, from ${appliancePath()}, by its SHA-256`,
    kernelSha256: createHash("sha256")
      .update(await readFile(kernelPath))
      .digest("hex"),
  });
  expect(await updateVm(vm.vmId, spec)).toMatchObject({ pid: vm.pid });
  // What is booted next is another one when the choice is taken back.
  const { kernelFingerprint } = await fingerprintsOf({ kernel: "appliance" });
  await rm(join(state.dir, "cache/appliance"), { recursive: true });
  expect((await fingerprintsOf({ kernel: "appliance" })).kernelFingerprint).not.toBe(kernelFingerprint);
});

test.each([
  [{ kernelPath: "/boot/vmlinuz" }, "InvalidArgument", "kernelPath names another"],
  [{ verification: "strict" }, "KernelUntrusted", "the appliance carries nothing to verify"],
] as const)("with %j it is refused", async (other, code, words) => {
  const launched = launch({ rvfPath, kernel: "appliance", apiPort: 0, ...other });
  const message = expect.stringContaining(words) as string;
  await expect(launched).rejects.toMatchObject({ code, message, property: "kernel" });
});

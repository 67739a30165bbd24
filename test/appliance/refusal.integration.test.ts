/** A guest that cannot serve its store: its own reason is in the host's error. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import rvf from "@ruvector/rvf-node";
import { launch } from "../../src/launcher/index.js";
import { makeSampleRvf } from "../../tools/sample-rvf.js";
import { appliancePath } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";

const state = privateState();

test("a store of 32 MB in a machine of 64 is told to want more", async () => {
  const rvfPath = join(state.dir, "big.rvf");
  await makeSampleRvf(rvfPath, { count: 8000, dimension: 1024, image: appliancePath() });
  const reason =
    /^the guest gave up: out of memory: \d+ MB of usable memory are too little for this store; raise memoryMb/;
  await expect(launch({ rvfPath, apiPort: 0, enableKvm: false, memoryMb: 64 })).rejects.toMatchObject({
    code: "QemuExited",
    message: expect.stringMatching(reason) as string,
  });
  expect(await leftovers()).toEqual([]);
});

test("vectors with a bit flipped are told as the library in the guest tells them", async () => {
  const rvfPath = join(state.dir, "flipped.rvf");
  await makeSampleRvf(rvfPath, { count: 10 });
  const store = rvf.RvfDatabase.openReadonly(rvfPath);
  const { offset, payloadLength } = store.segments().find(({ segType }) => segType === "vec")!;
  store.close();
  const bytes = await readFile(rvfPath);
  bytes[offset + payloadLength]! ^= 1;
  await writeFile(rvfPath, bytes);
  const spec = { rvfPath, kernelPath: appliancePath(), apiPort: 0, enableKvm: false };
  await expect(launch(spec)).rejects.toMatchObject({
    code: "QemuExited",
    message: expect.stringMatching(
      /^the guest gave up: \/dev\/vda holds no readable RVF: .*InvalidChecksum/,
    ) as string,
  });
  expect(await leftovers()).toEqual([]);
});

import { inspectRvf, readKernel } from "../../../src/rvf/index.js";
import { bzImage, kernel, manifest, rvf, scratch, vec, witness } from "../build.js";

const files = scratch();
const refusal = (code: string, message: RegExp): object => ({
  code,
  message: expect.stringMatching(message) as string,
});

describe("the newest manifest", () => {
  test("may be followed by a witness, padding or a root page", async () => {
    const page = Buffer.alloc(4096);
    page.write("0MVR", 0, "latin1");
    for (const tail of [Buffer.alloc(0), Buffer.alloc(448), page]) {
      const bytes = Buffer.concat([await rvf(kernel(), manifest, witness), tail]);
      expect(await inspectRvf(files.file(bytes))).toMatchObject({
        kernel: { segmentId: 1 },
        warnings: [expect.stringMatching(/fold/)],
      });
    }
  });

  test("is not one that stands in a payload", async () => {
    const nested = await rvf(kernel({ image: bzImage(0x41) }), manifest);
    const empty = await rvf(manifest);
    for (const image of [nested, empty, Buffer.concat([bzImage(), nested])]) {
      const path = files.file(await rvf(vec(), kernel({ image }), manifest, witness));
      expect(await readKernel(path)).toMatchObject({ segmentId: 2, image: { size: image.length } });
    }
  });

  test("is not a copy of the file's own beginning, even where the real one was cut off", async () => {
    const start = await rvf(kernel(), manifest, vec());
    const image = Buffer.concat([bzImage(), start]);
    const whole = await rvf(kernel(), manifest, vec(), kernel({ image, cmdline: "x".repeat(900) }), manifest);
    const cut = whole.subarray(0, whole.length - 700);
    await expect(readKernel(files.file(cut))).rejects.toMatchObject(refusal("RvfInvalid", /cut short/));
  });

  test("is found past a damaged header of a vector segment", async () => {
    const bytes = await rvf(
      kernel(),
      manifest,
      { ...vec(5000), damage: (b) => b.fill(0xff, 0, 24) },
      manifest,
    );
    const report = await inspectRvf(files.file(bytes));
    expect(report).toMatchObject({ kernel: { segmentId: 1 } });
    expect(report.warnings).toEqual([
      expect.stringMatching(/1 of the manifest's segments .* segment 3 \(vec\)/),
      expect.stringMatching(/fold/),
    ]);
  });

  test("is found though a damaged length reaches over the kernel into it", async () => {
    const whole = await rvf(
      kernel({ cmdline: "old" }),
      manifest,
      vec(),
      kernel({ cmdline: "new" }),
      manifest,
    );
    const damage = (bytes: Buffer): unknown => bytes.writeUInt32LE(whole.length - 2432 - 64 - 150, 16);
    const { payload, type } = vec();
    const bytes = await rvf(
      kernel({ cmdline: "old" }),
      manifest,
      { type, payload, damage },
      kernel({ cmdline: "new" }),
      manifest,
    );
    expect((await readKernel(files.file(bytes))).cmdline).toBe("new");
  });

  test("is found past a torn write that a later one was appended to", async () => {
    const torn = (await rvf(manifest, vec(4000))).subarray(0, 1000);
    const rest = await rvf(vec(5000), witness);
    const entries = [{ id: 1n, offset: torn.length, length: 5000, type: 1 }];
    const end = await rvf({ manifest: { entries, epoch: 9 } });
    const report = await inspectRvf(files.file(Buffer.concat([torn, rest, end])));
    expect(report).toMatchObject({ store: { epoch: 9 } });
    expect(report.warnings).toEqual([expect.stringMatching(/damaged at byte 128/)]);
  });

  test("is in doubt within a segment that the file ends in: the older one is not taken for it", async () => {
    const torn = (await rvf(kernel(), manifest, vec(9000))).subarray(0, 3000);
    const entries = [{ id: 1n, offset: torn.length, length: 100, type: 1 }];
    const rest = Buffer.concat([await rvf(vec(100)), await rvf({ manifest: { entries } })]);
    await expect(readKernel(files.file(Buffer.concat([torn, rest])))).rejects.toMatchObject(
      refusal("RvfInvalid", /newest manifest, or data that looks like one/),
    );
  });

  test("is the last whole one where only vectors are cut off, with a warning", async () => {
    const bytes = (await rvf(kernel(), manifest, vec(5000), manifest)).subarray(0, 4000);
    const report = await inspectRvf(files.file(bytes));
    expect(report.kernel?.segmentId).toBe(1);
    expect(report.warnings[0]).toMatch(/ends within segment 3 \(vec\)/);
  });

  test("whose vectors were cut off before a kernel could follow is no store without a kernel", async () => {
    const bytes = (await rvf(manifest, vec(5000), kernel(), manifest)).subarray(0, 4000);
    await expect(readKernel(files.file(bytes))).rejects.toMatchObject(
      refusal("RvfInvalid", /cut short, and what is left holds no kernel/),
    );
  });
});

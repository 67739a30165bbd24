/** The saved states in the cache: which one is sound, and which ones go. */
import { appendFile, chmod, mkdir, mkdtemp, readdir, rename, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  listStates,
  makeRoom,
  placeToSave,
  pruneStates,
  recallState,
  removeStates,
} from "../../../src/launcher/warm/saved-states.js";
import { stampOf } from "../../../src/launcher/host/stamp.js";

let dir: string;
let rvfPath: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "saved-states-"));
  process.env["MICROVM_CACHE_DIR"] = join(dir, "cache");
  rvfPath = join(dir, "db.rvf");
  await writeFile(rvfPath, "vectors");
});
afterEach(() => rm(dir, { recursive: true }));

const keyOf = (digit: string) => digit.repeat(64);
const vm = () => ({ rvfPath, memoryMb: 16, vcpus: 1, qemuVersion: "7.2.22" });
const folder = (digit: string) => join(dir, "cache/warm", keyOf(digit));

/** Saves one of 1 MB, which was used last so many minutes ago. */
async function saved(digit: string, minutesAgo = 0): Promise<void> {
  await using place = await placeToSave(16);
  await writeFile(place.files.memory, Buffer.alloc(1e6, 1));
  await writeFile(place.files.state, "state");
  await place.keep({ key: keyOf(digit), sources: { [rvfPath]: await stampOf(rvfPath) } }, vm());
  const time = new Date(Date.now() - minutesAgo * 60_000);
  await utimes(join(folder(digit), "description.json"), time, time);
}

const keys = async () => (await listStates()).map(({ key }) => key[0]);

test("what was kept is found, and told as the one that was used last", async () => {
  await saved("a", 2);
  await saved("b", 1);
  expect(await keys()).toEqual(["b", "a"]);
  expect(await recallState(keyOf("a"))).toEqual({
    files: expect.objectContaining({ memory: join(folder("a"), "memory") }) as object,
  });
  expect(await listStates()).toMatchObject([
    { key: keyOf("a"), ...vm(), useless: undefined },
    { key: keyOf("b") },
  ]);
  expect(await recallState(keyOf("c"))).toBeUndefined();
});

test.each([
  ["its memory was changed", () => appendFile(join(folder("a"), "memory"), "x")],
  ["it was changed", () => writeFile(join(folder("a"), "state"), "stats")],
  ["it is damaged", () => rm(join(folder("a"), "memory"))],
  ["it is damaged", () => rm(join(folder("a"), "description.json"))],
  ["it is damaged", () => writeFile(join(folder("a"), "description.json"), "{}")],
  ["it is open to other users", () => chmod(folder("a"), 0o755)],
])("one is of no use: %s", async (useless, hurt) => {
  await saved("a");
  await hurt();
  expect(await recallState(keyOf("a"))).toEqual({ useless });
});

test("a copy of one is none: nobody knows what became of it on its way", async () => {
  await saved("a");
  await rename(join(folder("a"), "memory"), join(dir, "moved"));
  await writeFile(join(folder("a"), "memory"), Buffer.alloc(1e6, 1));
  expect(await recallState(keyOf("a"))).toMatchObject({ useless: "its memory was changed" });
});

test("those go that were not used for longest, as far as the limit asks for; the newest stays", async () => {
  for (const [i, digit] of ["a", "b", "c"].entries()) await saved(digit, 10 - i);
  expect((await makeRoom(2.5e6)).map(({ key }) => key[0])).toEqual(["a"]);
  expect(await keys()).toEqual(["c", "b"]);
  await makeRoom(0);
  expect(await keys()).toEqual(["c"]);
});

test("what is of no use goes by prune: of an RVF that changed, damaged, left by a launch that died", async () => {
  await saved("a");
  await appendFile(rvfPath, "more");
  await saved("b");
  await saved("c");
  await rm(join(folder("c"), "description.json"));
  const dead = join(dir, "cache/warm/saving.1.1.no-such-boot.0.id");
  await mkdir(dead);
  await using living = await placeToSave(16);
  expect((await pruneStates()).map(({ key }) => key[0]).sort()).toEqual(["a", "c"]);
  expect(await keys()).toEqual(["b"]);
  expect(await readdir(join(dir, "cache/warm"))).toHaveLength(2);
  await writeFile(living.files.state, "");
});

test("each is removed by the beginning of its key", async () => {
  await saved("a");
  await saved("b");
  await expect(removeStates(["a", "f"])).rejects.toMatchObject({ code: "InvalidArgument" });
  expect((await removeStates(["aaa"])).map(({ key }) => key)).toEqual([keyOf("a")]);
  expect(await keys()).toEqual(["b"]);
});

test("one that is not kept leaves nothing; where the disk has no room, that is said", async () => {
  {
    await using place = await placeToSave(16);
    await writeFile(place.files.state, "");
  }
  expect(await readdir(join(dir, "cache/warm"))).toEqual([]);
  await expect(placeToSave(2 ** 40)).rejects.toMatchObject({
    code: "Io",
    message: expect.stringContaining("no room") as string,
  });
});

import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { recallKvm, rememberKvm, verdictFolder } from "../../../src/launcher/host/kvm-verdict.js";
import { hostBootId } from "../../../src/launcher/host/process.js";

let dir: string;
let qemu: { binary: string };
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "verdict-"));
  process.env["MICROVM_CACHE_DIR"] = join(dir, "cache");
  qemu = { binary: join(dir, "qemu") };
  await writeFile(qemu.binary, "");
});
afterEach(() => rm(dir, { recursive: true }));

test("a verdict counts for a day, for that QEMU and such guests", async () => {
  await rememberKvm(qemu, "x86_64", { works: false, reason: "QEMU was killed by SIGABRT" });
  const verdict = (await recallKvm(qemu, "x86_64"))!;
  expect(verdict).toMatchObject({ works: false, reason: "QEMU was killed by SIGABRT" });
  expect(verdict.expires.getTime() - verdict.at.getTime()).toBe(24 * 60 * 60 * 1000);
  expect(await recallKvm(qemu, "aarch64")).toBeUndefined();
  expect(await recallKvm({ binary: process.execPath }, "x86_64")).toBeUndefined();
});

test("the last boot's word counts", async () => {
  await rememberKvm(qemu, "x86_64", { works: false, reason: "silence" });
  await rememberKvm(qemu, "x86_64", { works: true, reason: "a guest answered under it" });
  expect(await recallKvm(qemu, "x86_64")).toMatchObject({ works: true });
});

test("after another boot of the host nothing is known", async () => {
  await rememberKvm(qemu, "x86_64", { works: true, reason: "a guest answered under it" });
  const [name] = await readdir(verdictFolder());
  const file = join(verdictFolder(), name!);
  const text = await readFile(file, "utf8");
  expect(text).toContain(hostBootId());
  await writeFile(file, text.replace(hostBootId(), "00000000-0000-4000-8000-000000000000"));
  expect(await recallKvm(qemu, "x86_64")).toBeUndefined();
});

test("without its folder it is forgotten", async () => {
  await rememberKvm(qemu, "x86_64", { works: false, reason: "silence" });
  await rm(verdictFolder(), { recursive: true });
  expect(await recallKvm(qemu, "x86_64")).toBeUndefined();
});

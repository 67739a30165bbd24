/** The commands that write: embed, sign and keygen, as a user types them. */
import * as fs from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { cpio } from "../../src/appliance/cpio.js";
import { embedKernel, inspectRvf } from "../../src/rvf/index.js";
import { bzImage, manifest, rvf, vec } from "../rvf/build.js";
import { untold } from "../support/docs.js";
import { command, json, microvm, root, start } from "./command.js";
import { run } from "./in-process.js";
import { errorIn } from "./outcome.js";

import.meta.jest.setTimeout(120_000);
const dir = fs.mkdtempSync(join(tmpdir(), "microvm-embed-"));
afterAll(() => fs.rmSync(dir, { recursive: true }));
const at = (name: string): string => join(dir, name);
const sizeOf = (name: string): number => fs.statSync(at(name)).size;

beforeAll(async () => {
  fs.writeFileSync(at("db.rvf"), await rvf(vec(), manifest));
  fs.writeFileSync(at("bzImage"), bzImage());
  fs.writeFileSync(at("long"), bzImage());
  fs.truncateSync(at("long"), 200 * 2 ** 20);
  await embedKernel(at("db.rvf"), { image: at("long"), out: at("long.rvf") });
});

test("from a key to a signed kernel", async () => {
  const made = await microvm("keygen", "-o", at("mine"));
  expect(made.status).toBe(0);
  const fingerprint = /^fingerprint: ([0-9a-f]{32})$/m.exec(made.stdout)?.[1];
  expect(made.stdout).toContain(`microvm sign FILE --key ${at("mine.key")} -o OUT`);
  expect(fs.statSync(at("mine.key")).mode & 0o777).toBe(0o600);

  const embed = [
    "embed",
    at("db.rvf"),
    "--image",
    at("bzImage"),
    "--cmdline",
    "quiet",
    "-m",
    "64",
    "-p",
    "81",
  ];
  const words = await microvm(...embed, "-o", at("plain.rvf"));
  expect(words).toMatchObject({ status: 0, stderr: "" });
  expect(words.stdout).toMatch(/^kernel: +bzImage, 2048 bytes, x86_64$/m);
  expect(words.stdout).toMatch(new RegExp(`^size: +${sizeOf("plain.rvf")} bytes$`, "m"));
  const embedded = await json(...embed, "--key", at("mine.key"), "-o", at("signed.rvf"));
  expect(await untold(embedded, "`embed`")).toEqual([]);
  expect(embedded).toMatchObject({
    out: at("signed.rvf"),
    arch: "x86_64",
    signer: fingerprint,
    warnings: [],
  });
  const signed = await json("sign", at("plain.rvf"), "--key", at("mine.key"), "-o", at("later.rvf"));
  expect(await untold(signed, "`sign`")).toEqual([]);
  expect(signed).toMatchObject({
    out: at("later.rvf"),
    signer: fingerprint,
    bytes: sizeOf("later.rvf"),
  });
  const again = await run("sign", at("plain.rvf"), "--key", at("mine.key"), "-o", at("again.rvf"));
  expect(again.stdout).toMatch(
    new RegExp(`^size: +${sizeOf("again.rvf")} bytes; the former kernel stays in it, unused$`, "m"),
  );

  const trustedKeys = [fs.readFileSync(at("mine.pub"), "utf8")];
  for (const name of ["signed.rvf", "later.rvf"])
    expect(await inspectRvf(at(name), { trustedKeys })).toMatchObject({
      kernel: { cmdline: "quiet", header: { minMemoryMb: 64, apiPort: 81 } },
      integrity: { verdict: "signed" },
    });
});

test("what embed says of kernel and initramfs is what inspect says", async () => {
  fs.writeFileSync(at("initramfs"), cpio([{ kind: "directory", path: "dev", mode: 0o755 }]));
  const args = ["--image", at("bzImage"), "--initramfs", at("initramfs"), "-o", at("both.rvf")];
  const sizes = (text: string) =>
    [...text.matchAll(/^(kernel|initramfs): .*?(\d+ bytes)/gm)].map((one) => one.slice(1));
  const embedded = sizes((await run("embed", at("db.rvf"), ...args)).stdout);
  expect(embedded).toEqual([
    ["kernel", "2048 bytes"],
    ["initramfs", `${sizeOf("initramfs")} bytes`],
  ]);
  expect(sizes((await run("inspect", at("both.rvf"))).stdout)).toEqual(embedded);
});

test.each([
  ["a private key", "taken.key", "taken.pub"],
  ["a public key", "taken.pub", "taken.key"],
])("keygen never writes over %s", async (_, there, other) => {
  fs.writeFileSync(at(there), "mine");
  const outcome = await microvm("keygen", "-o", at("taken"), "--json");
  expect(outcome.status).toBe(2);
  expect(errorIn(outcome).message).toContain("There is something at");
  expect(fs.readFileSync(at(there), "utf8")).toBe("mine");
  expect(fs.existsSync(at(other))).toBe(false);
  fs.rmSync(at(there));
});

test.each([
  ["the private key", 1],
  ["the public key", 2],
])("keygen leaves nothing when the disk is full at %s", async (_, failing) => {
  const there = fs.readdirSync(dir).sort();
  const handle = await open(at("db.rvf"));
  const prototype = Object.getPrototypeOf(handle) as {
    writeFile: (this: FileHandle, text: unknown) => Promise<void>;
  };
  await handle.close();
  const { writeFile } = prototype;
  let writes = 0;
  prototype.writeFile = async function (this: FileHandle, text) {
    if (++writes < failing) return await writeFile.call(this, text);
    await this.write(String(text).slice(0, 20));
    throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC", errno: -28 });
  };
  try {
    const outcome = await run("keygen", "-o", at("full"));
    expect(outcome.status).toBe(1);
    expect(outcome.stderr).toContain("ENOSPC");
  } finally {
    prototype.writeFile = writeFile;
  }
  expect(fs.readdirSync(dir).sort()).toEqual(there);
  expect((await run("keygen", "-o", at("full"))).status).toBe(0);
  for (const name of ["full.key", "full.pub"]) fs.rmSync(at(name));
});

test.each([
  ["no image", ["embed", at("db.rvf"), "-o", at("no")], "--image"],
  ["no output", ["embed", at("db.rvf"), "--image", at("bzImage")], "--output"],
  ["no key", ["sign", at("db.rvf"), "-o", at("no")], "--key"],
  [
    "an output that is there",
    ["embed", at("db.rvf"), "--image", at("bzImage"), "-o", at("db.rvf")],
    "is the input itself",
  ],
])("wrong usage has status 2: %s", async (_, args, words) => {
  const outcome = await microvm(...args, "--json");
  expect(outcome).toMatchObject({ status: 2, stdout: "" });
  expect(errorIn(outcome)).toMatchObject({
    code: "InvalidArgument",
    message: expect.stringContaining(words) as string,
  });
  expect(fs.existsSync(at("no"))).toBe(false);
});

test.each([
  ["embed, Ctrl-C", ["embed", at("db.rvf"), "--image", at("long")], "SIGINT", 130],
  ["sign, Ctrl-C", ["sign", at("long.rvf"), "--key", at("mine.key")], "SIGINT", 130],
  ["sign, its terminal closed", ["sign", at("long.rvf"), "--key", at("mine.key")], "SIGHUP", 129],
] as const)("%s in the middle: nothing is left, and the shell is told", async (_, args, signal, status) => {
  const there = fs.readdirSync(dir).sort();
  const running = start(...args, "-o", at("no"), "--json");
  const deadline = Date.now() + 60_000;
  while (!fs.readdirSync(dir).some((name) => name.endsWith(".partial"))) {
    if (Date.now() > deadline) throw new Error("It never began to write.");
    await sleep(2);
  }
  running.kill(signal);
  const { exitCode, stderr } = await running;
  expect(exitCode).toBe(status);
  expect(stderr).toContain('"Cancelled"');
  expect(fs.readdirSync(dir).sort()).toEqual(there);
});

test("a file that may not grow leaves nothing", async () => {
  const there = fs.readdirSync(dir).sort();
  const script = `trap '' XFSZ; ulimit -f 1024; exec "$@"`;
  const args = [...command, "embed", at("db.rvf"), "--image", at("long"), "-o", at("no"), "--json"];
  const outcome = await execa("sh", ["-c", script, "sh", ...args], { cwd: root, reject: false });
  expect(outcome.exitCode).toBe(1);
  expect(outcome.stderr).toContain("larger than allowed");
  expect(fs.readdirSync(dir).sort()).toEqual(there);
});

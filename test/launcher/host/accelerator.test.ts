import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  acceleratorChoices,
  choose,
  hardwareObstacle,
  kvmAvailable,
  type Evidence,
} from "../../../src/launcher/host/accelerator.js";
import { architectures, type Arch } from "../../../src/launcher/host/arch.js";
import type { Host } from "../../../src/launcher/host/host.js";
import { rememberKvm } from "../../../src/launcher/host/kvm-verdict.js";

const hostArch = process.arch === "x64" ? "x86_64" : "aarch64";
const foreign = architectures.find((arch) => arch !== hostArch)!;
const qemu = {
  binary: "/usr/bin/qemu",
  version: "7.2.22",
  machines: ["microvm"],
  accelerators: ["tcg", "kvm"],
  sandbox: true,
  pvpanic: true,
};

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "accelerator-"));
  process.env["MICROVM_CACHE_DIR"] = join(dir, "cache");
});
afterAll(() => rm(dir, { recursive: true }));

const verdict = (works: boolean, reason: string) => ({
  works,
  reason,
  at: new Date("2026-11-24T03:05:59Z"),
  expires: new Date("2026-11-25T03:05:59Z"),
});

describe("the choice by what is known", () => {
  test.each<[string, Omit<Evidence, "accelerator" | "requiresKvm">, [string, RegExp][]]>([
    [
      "nothing",
      {},
      [
        ["kvm", /^KVM is tried first: nothing on this host speaks against it$/],
        ["tcg", /^KVM failed on this host$/],
      ],
    ],
    ["an obstacle", { obstacle: { reason: "there is no /dev/kvm" } }, [["tcg", /^there is no \/dev\/kvm$/]]],
    [
      "that it worked",
      { verdict: verdict(true, "a guest answered under it") },
      [
        ["kvm", /^KVM works on this host: a guest answered under it, seen 2026-11-24 03:05 UTC$/],
        ["tcg", /^KVM failed on this host$/],
      ],
    ],
    [
      "that it failed: why, until when, and how to forget it",
      { verdict: verdict(false, "QEMU aborted") },
      [
        [
          "tcg",
          /^KVM failed on this host at 2026-11-24 03:05 UTC: QEMU aborted; it is tried again after 2026-11-25 03:05 UTC, or once \/.+\/cache\/accelerator is removed$/,
        ],
      ],
    ],
  ])("%s", (_, known, expected) => {
    const choices = choose({ accelerator: "kvm", requiresKvm: false, ...known });
    expect(choices.map(({ accelerator }) => accelerator)).toEqual(expected.map(([name]) => name));
    for (const [at, [, words]] of expected.entries()) expect(choices[at]!.reason).toMatch(words);
  });

  test("a kernel that requires KVM has no other choice", () => {
    expect(choose({ accelerator: "kvm", requiresKvm: true })).toMatchObject([{ accelerator: "kvm" }]);
    const refused = (known: Partial<Evidence>) => () =>
      choose({ accelerator: "kvm", requiresKvm: true, ...known });
    const error = (words: RegExp, hint: RegExp) =>
      expect.objectContaining({
        code: "KvmRequired",
        message: expect.stringMatching(words) as string,
        hint: expect.stringMatching(hint) as string,
        property: "enableKvm",
      }) as Error;
    expect(refused({ obstacle: { reason: "it is off", hint: "Switch it on." } })).toThrow(
      error(/requires KVM: it is off$/, /^Switch it on\.$/),
    );
    expect(refused({ verdict: verdict(false, "QEMU aborted") })).toThrow(
      error(/QEMU aborted; it is tried again after .+ is removed$/, /kernelPath/),
    );
  });
});

test("KVM is not tried when it is not wanted", async () =>
  expect(await acceleratorChoices({ arch: hostArch, qemu, enableKvm: false, requiresKvm: false })).toEqual([
    { accelerator: "tcg", reason: "enableKvm is false" },
  ]));

test("where nothing speaks against it KVM is tried first, then TCG", async () => {
  const obstacle = await hardwareObstacle("kvm", hostArch);
  const choices = await acceleratorChoices({ arch: hostArch, qemu, enableKvm: true, requiresKvm: false });
  expect(choices.map(({ accelerator }) => accelerator)).toEqual(
    obstacle === undefined ? ["kvm", "tcg"] : ["tcg"],
  );
  expect(await kvmAvailable()).toBe(obstacle === undefined);
});

test("a boot that failed under KVM keeps the next launch of that QEMU from trying it", async () => {
  const binary = join(dir, "qemu");
  await writeFile(binary, "");
  await rememberKvm({ binary }, hostArch, { works: false, reason: "QEMU aborted" });
  const question = {
    arch: hostArch,
    qemu: { ...qemu, binary },
    enableKvm: true,
    requiresKvm: false,
  } as const;
  const obstacle = await hardwareObstacle("kvm", hostArch);
  const [first, ...others] = await acceleratorChoices(question);
  expect(others).toEqual([]);
  expect(first).toEqual({
    accelerator: "tcg",
    reason: obstacle?.reason ?? (expect.stringContaining("QEMU aborted") as string),
  });
});

const mac: Host = { platform: "darwin", arch: "arm64" };
const macQemu = { ...qemu, accelerators: ["tcg", "hvf"] };

describe("by host, guest and build", () => {
  test.each<[string, Host, Arch, typeof qemu, string[], RegExp]>([
    ["HVF on macOS, by the same rule", mac, "aarch64", macQemu, ["hvf", "tcg"], /^HVF is tried first/],
    ["another guest on macOS", mac, "x86_64", macQemu, ["tcg"], /^the guest is x86_64, the host arm64$/],
    ["a macOS build without HVF", mac, "aarch64", qemu, ["tcg"], /was built without HVF$/],
    ["another guest", process, foreign, qemu, ["tcg"], new RegExp(`^the guest is ${foreign}, the host `)],
    [
      "a build without KVM",
      process,
      hostArch,
      macQemu,
      ["tcg"],
      /^\/usr\/bin\/qemu \(7\.2\.22\) was built without KVM$/,
    ],
    [
      "another system",
      { platform: "freebsd", arch: "x64" },
      "x86_64",
      qemu,
      ["tcg"],
      /^KVM is Linux only, this is freebsd$/,
    ],
  ])("%s", async (_, host, arch, binary, expected, words) => {
    const question = { arch, qemu: binary, enableKvm: true, requiresKvm: false };
    const choices = await acceleratorChoices(question, host);
    expect(choices.map(({ accelerator }) => accelerator)).toEqual(expected);
    expect(choices[0]!.reason).toMatch(words);
  });

  test("what requires KVM is not run under HVF", () =>
    expect(
      acceleratorChoices({ arch: "aarch64", qemu: macQemu, enableKvm: true, requiresKvm: true }, mac),
    ).rejects.toMatchObject({ code: "KvmRequired" }));
});

test.each([
  ["is not wanted", { arch: hostArch, enableKvm: false }, "enableKvm is false"],
  ["cannot be had", { arch: foreign, enableKvm: true }, foreign],
] as const)("a kernel that requires KVM is refused where KVM %s", async (_, host, reason) =>
  expect(acceleratorChoices({ ...host, qemu, requiresKvm: true })).rejects.toMatchObject({
    code: "KvmRequired",
    property: "enableKvm",
    message: expect.stringContaining(reason) as string,
  }),
);

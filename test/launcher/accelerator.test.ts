import { acceleratorChoices, hardwareObstacle, kvmAvailable } from "../../src/launcher/accelerator.js";
import { architectures } from "../../src/launcher/arch.js";

const hostArch = process.arch === "x64" ? "x86_64" : "aarch64";
const foreign = architectures.find((arch) => arch !== hostArch)!;
const qemu = {
  binary: "/usr/bin/qemu",
  version: "7.2.22",
  machines: ["microvm"],
  accelerators: ["tcg", "kvm"],
  sandbox: true,
};

test("KVM is not tried when it is not wanted", async () =>
  expect(await acceleratorChoices({ arch: hostArch, qemu, enableKvm: false, requiresKvm: false })).toEqual([
    { accelerator: "tcg", reason: "enableKvm is false" },
  ]));

test("a guest of another architecture is emulated", async () =>
  expect(await acceleratorChoices({ arch: foreign, qemu, enableKvm: true, requiresKvm: false })).toEqual([
    { accelerator: "tcg", reason: expect.stringContaining(foreign) as string },
  ]));

test("where nothing speaks against it KVM is tried first, then TCG", async () => {
  const obstacle = await hardwareObstacle("kvm", hostArch);
  const choices = await acceleratorChoices({ arch: hostArch, qemu, enableKvm: true, requiresKvm: false });
  expect(choices.map(({ accelerator }) => accelerator)).toEqual(
    obstacle === undefined ? ["kvm", "tcg"] : ["tcg"],
  );
  expect(await kvmAvailable()).toBe(obstacle === undefined);
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

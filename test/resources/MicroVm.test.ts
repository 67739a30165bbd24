import * as pulumi from "@pulumi/pulumi";
import { MicroVm, type MicroVmArgs } from "../../src/index.js";
import { providerText, typeToken } from "../../src/resources/constants.js";
import { outputsOf } from "../../src/provider/inputs.js";
import { specKeys } from "../../src/launcher/index.js";
import { sampleStatus } from "../provider/samples.js";

interface Sent extends Omit<pulumi.runtime.MockResourceArgs, "inputs"> {
  inputs: Record<string, unknown>;
}
const sent: Sent[] = [];

const vmOutputs = outputsOf(sampleStatus);

/** Pulumi's own mocks: the engine as a function, which is told what a program registers. */
async function asEngine({ preview = false } = {}): Promise<void> {
  sent.length = 0;
  await pulumi.runtime.setMocks(
    {
      newResource: (args: Sent) => {
        sent.push(args);
        return { id: `${args.name}-id`, state: preview ? args.inputs : { ...args.inputs, ...vmOutputs } };
      },
      call: () => ({}),
    },
    "project",
    "stack",
    preview,
  );
}

const valueOf = <T>(output: pulumi.Output<T>): Promise<T> =>
  new Promise((resolve) => output.apply((value) => resolve(value)));

/** Registration goes on behind the constructor; the URN is there once the engine has answered. */
async function registered(vm: MicroVm): Promise<Sent> {
  await valueOf(vm.urn);
  return sent.find(({ type }) => type === typeToken)!;
}

const args: Required<MicroVmArgs> = {
  rvfPath: "./db.rvf",
  memoryMb: 256,
  vcpus: 2,
  apiPort: 0,
  sshPort: 2222,
  bindAddress: "0.0.0.0",
  enableKvm: false,
  qemuBinary: "/usr/bin/qemu-system-x86_64",
  extraArgs: ["-name", "db"],
  allowUnsafeArgs: true,
  kernel: "appliance",
  kernelPath: "./bzImage",
  initramfsPath: "./initramfs",
  verification: "strict",
  trustedKeys: [],
  readyTimeoutSeconds: 90,
  firstOutputTimeoutSeconds: 5,
  shutdownTimeoutSeconds: 20,
  warmStart: true,
  updateStrategy: "stopFirst",
  drainTimeoutSeconds: 3,
};

test("every input is sent under the resource's type, with the provider's text and the owner", async () => {
  await asEngine();
  const { type, name, inputs, custom } = await registered(new MicroVm("db", args));
  expect({ type, name, custom }).toEqual({ type: typeToken, name: "db", custom: true });
  expect(inputs).toEqual({
    ...args,
    owner: { project: "project", stack: "stack", resource: "db" },
    __provider: providerText,
  });
});

test("an input left out is not sent: its default is the provider's", async () => {
  await asEngine();
  const { inputs } = await registered(new MicroVm("db", { rvfPath: "./db.rvf", memoryMb: undefined }));
  expect(Object.keys(inputs).sort()).toEqual(["__provider", "owner", "rvfPath"]);
});

test("the resource's inputs are the launcher's", () => {
  expect(Object.keys(args).sort()).toEqual([...specKeys].sort());
});

test("what the engine does not tell the provider is sent too: time limits, what replaces it, and which inputs are secret", async () => {
  await asEngine();
  const secret = {
    apiPort: pulumi.secret(8080),
    extraArgs: ["-name", pulumi.secret("db")],
    vcpus: pulumi.output(2),
  };
  const options = { customTimeouts: { create: "5m", delete: "1m" }, replaceOnChanges: ["vcpus"] };
  const { inputs } = await registered(new MicroVm("db", { rvfPath: "./db.rvf", ...secret }, options));
  expect(inputs).toMatchObject({
    customTimeouts: { create: "5m", delete: "1m" },
    replaceOnChanges: ["vcpus"],
    secretInputs: ["apiPort", "extraArgs"],
  });
});

test("inputs may be outputs of other resources", async () => {
  await asEngine();
  const vm = new MicroVm("db", { rvfPath: pulumi.output("./db.rvf"), extraArgs: [pulumi.output("-name")] });
  const { inputs } = await registered(vm);
  expect(inputs).toMatchObject({ rvfPath: "./db.rvf", extraArgs: ["-name"] });
});

test("the program's own arguments are left as they are", async () => {
  await asEngine();
  const own = Object.freeze({ rvfPath: "./db.rvf", extraArgs: Object.freeze(["-name", "db"]) as string[] });
  await registered(new MicroVm("db", own));
  expect(own).toEqual({ rvfPath: "./db.rvf", extraArgs: ["-name", "db"] });
});

test("two resources of one name below different parents have different owners", async () => {
  await asEngine();
  const parent = (type: string) => new pulumi.ComponentResource(`test:${type}`, "parent");
  const vms = ["a", "b"].map((type) => new MicroVm("db", { rvfPath: "./db.rvf" }, { parent: parent(type) }));
  await Promise.all(vms.map(registered));
  const owners = sent
    .filter(({ type }) => type === typeToken)
    .map(({ inputs }) => (inputs["owner"] as { resource: string }).resource);
  expect(owners.sort()).toEqual(
    ["a", "b"].map((type) => `urn:pulumi:stack::project::test:${type}::parent::db`),
  );
});

const outputNames = Object.keys(vmOutputs) as (keyof typeof vmOutputs)[];

test.each(outputNames)("after up, %s is what the provider returned", async (name) => {
  await asEngine();
  const vm = new MicroVm("db", { rvfPath: "./db.rvf" });
  expect(await valueOf<unknown>(vm[name])).toEqual(vmOutputs[name]);
});

test("at preview every output is there and unknown", async () => {
  await asEngine({ preview: true });
  const vm = new MicroVm("db", { rvfPath: "./db.rvf" });
  await registered(vm);
  for (const name of outputNames) {
    const output = vm[name] as unknown as { isKnown: Promise<boolean> };
    expect([name, await output.isKnown]).toEqual([name, false]);
  }
});

test("the resource declares exactly the outputs that the provider returns", async () => {
  await asEngine();
  const vm = new MicroVm("db", { rvfPath: "./db.rvf" });
  const declared = Object.entries(vm)
    .filter(([, value]) => pulumi.Output.isInstance(value))
    .map(([name]) => name)
    .filter((name) => !["urn", "id", "__provider", "owner", "rvfPath"].includes(name));
  expect(declared.sort()).toEqual([...outputNames].sort());
  await registered(vm);
});

/** A resource more in what `pulumi stack export` wrote; the rest of it, known or not, stays as it is. */
import { parseExport, stackIn, withMicroVm } from "../../src/cli/deployment.js";
import { typeToken } from "../../src/resources/constants.js";

const urn = (type: string, name: string) => `urn:pulumi:dev::shop::${type}::${name}`;
const root = { urn: urn("pulumi:pulumi:Stack", "shop-dev"), custom: false, type: "pulumi:pulumi:Stack" };
const provider = {
  ...{ urn: urn("pulumi:providers:pulumi-nodejs", "default"), custom: true, id: "0-1-2" },
  type: "pulumi:providers:pulumi-nodejs",
};
const exported = (...resources: object[]) =>
  parseExport(
    JSON.stringify({
      version: 3,
      deployment: { manifest: { magic: "x" }, resources, metadata: {} },
      extra: 1,
    }),
  );
const vm = { name: "db", id: "db-1", inputs: { memoryMb: 128 }, outputs: { pid: 7 } };

test("the resource comes last, below its stack and the stack's own provider", () => {
  const before = exported(root, provider);
  const { file, urn: added } = withMicroVm(before, vm);
  expect(added).toBe(urn(typeToken, "db"));
  expect(file).toEqual({
    ...before,
    deployment: {
      ...before.deployment,
      resources: [
        root,
        provider,
        {
          ...{ urn: added, custom: true, type: typeToken, id: "db-1" },
          ...{ inputs: vm.inputs, outputs: vm.outputs },
          ...{ parent: root.urn, provider: `${provider.urn}::0-1-2` },
        },
      ],
    },
  });
});

test("a stack without dynamic resources gets the provider too", () => {
  const { resources } = withMicroVm(exported(root), vm).file.deployment;
  const [, made, added] = resources;
  expect(made).toMatchObject({ urn: provider.urn, custom: true, inputs: {}, outputs: {} });
  expect(added).toMatchObject({ provider: `${provider.urn}::${made!.id}` });
});

test.each([
  ["another resource of that name", { urn: urn(typeToken, "db"), type: typeToken, id: "db-2" }],
  ["that VM under another name", { urn: urn(typeToken, "other"), type: typeToken, id: "db-1" }],
])("%s is refused", (_, present) => {
  expect(() => withMicroVm(exported(root, present), vm)).toThrow(`the stack has it already: ${present.urn}`);
});

test.each(["", "[]", "{}", '{"version":9,"deployment":{}}', '{"version":3,"deployment":{"resources":[1]}}'])(
  "what is no export is refused with how to make one: %s",
  (text) => {
    const refusal = errorOf(() => parseExport(text));
    expect(refusal).toMatchObject({
      code: "InvalidArgument",
      hint: "`pulumi stack export --file stack.json` writes one.",
    });
  },
);

test("an export of an empty stack does not say whose it is", () => {
  expect(() => stackIn(parseExport('{"version":3,"deployment":{}}'))).toThrow(
    "the stack has no resources yet",
  );
});

function errorOf(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return error;
  }
}

/** What `pulumi stack export` writes and `pulumi stack import` takes, as far as one resource has to be added to it. Pure. */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import { MicroVmError } from "../errors.js";
import { typeToken } from "../resources/constants.js";

const resourceSchema = z.looseObject({ urn: z.string(), type: z.string(), id: z.string().optional() });
const exportSchema = z.looseObject({
  version: z.union([z.literal(3), z.literal(4)]),
  deployment: z.looseObject({ resources: z.array(resourceSchema).default([]) }),
});

export type Exported = z.infer<typeof exportSchema>;

/** The stack's name and its project's, and the resource that all others are below. */
export interface Stack {
  stack: string;
  project: string;
  urn: string;
}

/** Throws InvalidArgument for anything but a stack's export. */
export function parseExport(text: string): Exported {
  try {
    return exportSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new MicroVmError(
      "InvalidArgument",
      "the stack's file is not one that `pulumi stack export` writes",
      {
        hint: "`pulumi stack export --file stack.json` writes one.",
        cause,
      },
    );
  }
}

/** Throws InvalidArgument where nothing says whose export it is. */
export function stackIn({ deployment }: Exported): Stack {
  const root = deployment.resources.find(({ type }) => type === "pulumi:pulumi:Stack");
  const [, stack, project] = /^urn:pulumi:([^:]+)::([^:]+)::/.exec(root?.urn ?? "") ?? [];
  if (root && stack && project) return { stack, project, urn: root.urn };
  throw new MicroVmError(
    "InvalidArgument",
    "the stack has no resources yet, so its file does not say its name",
    {
      hint: "Run `pulumi up` once, with a program that makes nothing, then export it again.",
    },
  );
}

export interface Addition {
  name: string;
  id: string;
  inputs: Record<string, unknown>;
  outputs: Record<string, unknown>;
}

/** The same with a MicroVm more. Throws InvalidArgument where the name, or the VM, is there already. */
export function withMicroVm(exported: Exported, { name, ...vm }: Addition): { urn: string; file: Exported } {
  const { stack, project, urn: parent } = stackIn(exported);
  const { resources } = exported.deployment;
  const urnOf = (type: string, called: string) => `urn:pulumi:${stack}::${project}::${type}::${called}`;
  const urn = urnOf(typeToken, name);
  const present = resources.find((one) => one.urn === urn || (one.type === typeToken && one.id === vm.id));
  if (present) throw new MicroVmError("InvalidArgument", `the stack has it already: ${present.urn}`);

  // Every resource names its provider, which the engine makes with the first of its kind.
  const providerType = "pulumi:providers:pulumi-nodejs";
  const providerUrn = urnOf(providerType, "default");
  const own = {
    urn: providerUrn,
    custom: true,
    id: randomUUID(),
    type: providerType,
    inputs: {},
    outputs: {},
  };
  const there = resources.find((one) => one.urn === providerUrn);
  const provider = `${providerUrn}::${(there ?? own).id}`;
  const added = { urn, custom: true, type: typeToken, ...vm, parent, provider };
  const all = [...resources, ...(there ? [] : [own]), added];
  return { urn, file: { ...exported, deployment: { ...exported.deployment, resources: all } } };
}

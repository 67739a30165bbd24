import type { Command } from "commander";
import { writeFile } from "node:fs/promises";
import { isDeepStrictEqual } from "node:util";
import {
  findRecord,
  giveVm,
  MicroVmError,
  specKeys,
  statusOfRecord,
  withDefaults,
  type VmRecord,
  type VmSpec,
} from "../launcher/index.js";
import { outputNames, providerText } from "../resources/constants.js";
import { parseExport, stackIn, withMicroVm } from "./deployment.js";
import { readInputFile } from "./input-file.js";
import { print, type JsonOption } from "./output.js";

interface AdoptOptions extends JsonOption {
  stackFile: string;
  name: string;
  output: string;
  force?: boolean;
}

interface Adoption {
  vmId: string;
  urn: string;
  /** The file for `pulumi stack import`. */
  out: string;
  /** The line that the program needs. */
  program: string;
}

/**
 * `microvm adopt ID`: brings a VM under a stack's management. Pulumi cannot import what a dynamic provider manages, so the
 * resource is added to the stack's export, complete with what the provider would have stored.
 */
export function addAdopt(program: Command): void {
  program
    .command("adopt")
    .description("bring a VM under the management of a Pulumi stack")
    .argument("<id>", "id or name")
    .requiredOption("--stack-file <file>", "the stack, as `pulumi stack export` wrote it")
    .requiredOption("--name <name>", "the resource's name in the program")
    .requiredOption("-o, --output <file>", "the file to write, for `pulumi stack import`; there must be none")
    .option("--force", "take it from the stack that has had it")
    .option("--json", "print JSON")
    .action(async (id: string, options: AdoptOptions) => {
      print(await adopt(id, options), options, describe);
    });
}

async function adopt(id: string, { stackFile, name, output, force }: AdoptOptions): Promise<Adoption> {
  const exported = parseExport(
    await readInputFile("stack's file", stackFile, `\`pulumi stack export --file ${stackFile}\` writes it.`),
  );
  const { project, stack } = stackIn(exported);
  const owner = { project, stack, resource: name };
  const { vmId } = await findRecord(id);
  // What is wrong with the stack's file is found before the VM is given away.
  withMicroVm(exported, { name, id: vmId, inputs: {}, outputs: {} });
  const record = await giveVm(vmId, owner, { force });
  const { urn, file } = withMicroVm(exported, { name, id: vmId, ...(await stateOf(record)) });
  await writeNew(output, `${JSON.stringify(file, null, 4)}\n`);
  return { vmId, urn, out: output, program: programOf(name, record.spec) };
}

/** What the provider would have stored of the VM. */
async function stateOf(record: VmRecord) {
  const status = await statusOfRecord(record);
  const inputs = {
    ...withDefaults(record.spec),
    owner: record.owner,
    // Of the files that it booted from, so that a change since then is seen.
    contentFingerprint: record.generation?.contentFingerprint,
    __provider: providerText,
  };
  const outputs = Object.fromEntries(outputNames.map((name) => [name, status[name] ?? null]));
  return { inputs, outputs: { ...inputs, ...outputs } };
}

async function writeNew(path: string, text: string): Promise<void> {
  await writeFile(path, text, { flag: "wx", mode: 0o600 }).catch((cause: unknown) => {
    throw new MicroVmError("Io", `${path} cannot be written: ${(cause as Error).message}`, { cause });
  });
}

/** With the inputs that are not the defaults. */
function programOf(name: string, spec: VmSpec): string {
  const defaults = withDefaults({ rvfPath: spec.rvfPath });
  const given = specKeys.filter((key) => key === "rvfPath" || !isDeepStrictEqual(spec[key], defaults[key]));
  const args = given.map((key) => `  ${key}: ${JSON.stringify(spec[key])},\n`).join("");
  return `new MicroVm(${JSON.stringify(name)}, {\n${args}});`;
}

const describe = ({ vmId, urn, out, program }: Adoption): string =>
  `${vmId} is ${urn} in ${out}.
The program declares it:

${program}

and the stack takes it up:

pulumi stack import --file ${out}`;

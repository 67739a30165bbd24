import type { Command } from "commander";
import { signKernel, type SignReport } from "../rvf/index.js";
import { interruptible } from "./interrupt.js";
import { readPrivateKey } from "./input-file.js";
import { fields, print, type JsonOption } from "./output.js";

interface SignOptions extends JsonOption {
  key: string;
  output: string;
}

/** `microvm sign FILE --key KEY -o OUT`: a copy of an RVF with its kernel signed. */
export function addSign(program: Command): void {
  program
    .command("sign")
    .description("write a copy of an RVF with its kernel signed")
    .argument("<file>", "the RVF file; it is not changed")
    .requiredOption("--key <file>", "the private key (microvm keygen)")
    .requiredOption("-o, --output <file>", "the file to write; there must be none")
    .option("--json", "print JSON")
    .action(async (file: string, options: SignOptions) => {
      const privateKey = await readPrivateKey(options.key);
      const report = await interruptible((signal) =>
        signKernel(file, { privateKey, out: options.output, signal }),
      );
      print(report, options, describe);
    });
}

const describe = (report: SignReport): string =>
  [
    fields([
      ["written", report.out],
      ["size", `${report.bytes} bytes; the former kernel stays in it, unused`],
      ["signed by", report.signer],
      ["before", report.integrity],
    ]),
    ...report.warnings.map((warning) => `warning: ${warning}`),
  ].join("\n");

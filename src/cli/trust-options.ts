/** The options that say what is demanded of an RVF's kernel. */
import { readFileSync } from "node:fs";
import { InvalidArgumentError, Option, type Command } from "commander";
import { MicroVmError } from "../errors.js";
import { keyHint, unread } from "./input-file.js";
import { parsePublicKey, type Trust, type Verification } from "../rvf/index.js";

export interface TrustOptions {
  verification?: Verification;
  trustedKey: string[];
}

export function addTrustOptions(command: Command): Command {
  return addTrustedKeys(
    command.addOption(
      new Option("--verification <policy>", "what is demanded of the kernel (default: lenient)").choices([
        "lenient",
        "strict",
        "signed",
      ]),
    ),
  );
}

/** For a command that demands nothing. */
export const addTrustedKeys = (command: Command): Command =>
  command.addOption(
    new Option("--trusted-key <file>", "a public key (PEM) whose signature counts; repeatable")
      .argParser(readKey)
      .default([], "none"),
  );

export const trustFrom = ({ verification, trustedKey }: TrustOptions): Trust & { trustedKeys: string[] } => ({
  ...(verification && { verification }),
  trustedKeys: trustedKey,
});

function readKey(file: string, earlier: string[]): string[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw unread("key", file, error, keyHint);
  }
  try {
    parsePublicKey(text);
    return [...earlier, text];
  } catch (error) {
    if (!(error instanceof MicroVmError)) throw error;
    throw new InvalidArgumentError(`${error.message} ${error.hint ?? ""}`.trim());
  }
}

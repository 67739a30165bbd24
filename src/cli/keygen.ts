import { rm, writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { MicroVmError, systemErrorCode } from "../errors.js";
import { generateKeyPair } from "../rvf/index.js";
import { fields } from "./output.js";

/** `microvm keygen`: a key pair to sign kernels with and to verify them. */
export function addKeygen(program: Command): void {
  program
    .command("keygen")
    .description("make an Ed25519 key pair for sign and embed")
    .option("-o, --output <name>", "write <name>.key and <name>.pub; there must be none", "microvm")
    .action(async ({ output }: { output: string }) => {
      const [secret, open] = [`${output}.key`, `${output}.pub`];
      const pair = generateKeyPair();
      await writeNew(secret, pair.privateKey, 0o600);
      try {
        await writeNew(open, pair.publicKey, 0o644);
      } catch (error) {
        await rm(secret);
        throw error;
      }
      process.stdout.write(
        `${fields([
          ["private key", `${secret} (keep it secret)`],
          ["public key", open],
          ["fingerprint", pair.fingerprint],
        ])}\nSign a kernel: microvm sign FILE --key ${secret} -o OUT\nWhoever is to verify it trusts ${open}.\n`,
      );
    });
}

async function writeNew(path: string, text: string, mode: number): Promise<void> {
  try {
    await writeFile(path, text, { flag: "wx", mode });
  } catch (error) {
    if (systemErrorCode(error) === "EEXIST")
      throw new MicroVmError("InvalidArgument", `There is something at "${path}" already.`, {
        cause: error,
        hint: "Name another one with -o; a key that is lost cannot be made again.",
      });
    throw new MicroVmError(
      "Io",
      `"${path}" cannot be written (${systemErrorCode(error) ?? String(error)}).`,
      {
        cause: error,
      },
    );
  }
}

import { open, rm } from "node:fs/promises";
import type { Command } from "commander";
import { MicroVmError, systemErrorCode } from "../errors.js";
import { generateKeyPair } from "../rvf/index.js";
import { fields, print, type JsonOption } from "./output.js";

/** `microvm keygen`: a key pair to sign kernels with and to verify them. */
export function addKeygen(program: Command): void {
  program
    .command("keygen")
    .description("make an Ed25519 key pair for sign and embed")
    .option("-o, --output <name>", "write <name>.key and <name>.pub; there must be none", "microvm")
    .option("--json", "print JSON")
    .action(async ({ output, ...options }: { output: string } & JsonOption) => {
      if (/(^|\/)$/.test(output))
        throw new MicroVmError("InvalidArgument", `--output: ${JSON.stringify(output)} names no file`, {
          hint: "Both files are called by it: `-o release` makes release.key and release.pub.",
        });
      const [secret, shared] = [`${output}.key`, `${output}.pub`];
      const pair = generateKeyPair();
      await writeNew(secret, pair.privateKey, 0o600);
      try {
        await writeNew(shared, pair.publicKey, 0o644);
      } catch (error) {
        await rm(secret);
        throw error;
      }
      print({ privateKey: secret, publicKey: shared, fingerprint: pair.fingerprint }, options, describe);
    });
}

interface KeyFiles {
  privateKey: string;
  publicKey: string;
  fingerprint: string;
}

const describe = ({ privateKey, publicKey, fingerprint }: KeyFiles): string =>
  [
    fields([
      ["private key", `${privateKey} (keep it secret)`],
      ["public key", publicKey],
      ["fingerprint", fingerprint],
    ]),
    `Sign a kernel: microvm sign FILE --key ${privateKey} -o OUT`,
    `Whoever is to verify it trusts ${publicKey}.`,
  ].join("\n");

/** Writes a file that was not there; what was made of it is gone again if that fails. */
async function writeNew(path: string, text: string, mode: number): Promise<void> {
  try {
    const file = await open(path, "wx", mode);
    try {
      await file.writeFile(text);
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    } finally {
      await file.close();
    }
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

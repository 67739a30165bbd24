import type { Command } from "commander";
import { MicroVmError } from "../errors.js";
import { verifyRvf, type Point, type VerifyReport } from "../rvf/index.js";
import { print, type JsonOption } from "./output.js";
import { addTrustOptions, trustFrom, type TrustOptions } from "./trust-options.js";

/** `microvm verify FILE`: everything the file says of itself, checked; exit status 1 if it is not to be used. */
export function addVerify(program: Command): void {
  addTrustOptions(program.command("verify"))
    .description("check an RVF's hashes and signatures point by point")
    .argument("<file>", "the RVF file")
    .option("--json", "print JSON")
    .action(async (file: string, options: TrustOptions & JsonOption) => {
      const report = await verifyRvf(file, trustFrom(options));
      print(report, options, describe);
      if (report.refusal) throw new MicroVmError(report.refusal.code, report.refusal.message);
    });
}

const marks: Record<Point["outcome"], string> = { good: "ok  ", weak: "weak", bad: "BAD " };

const describe = ({ points, refusal, verification, integrity }: VerifyReport): string =>
  [
    ...points.map(({ point, outcome, words }) => `${marks[outcome]}  ${point}: ${words}`),
    refusal === null
      ? `accepted under "${verification}": ${integrity?.verdict ?? "no kernel"}`
      : `REFUSED under "${verification}"`,
  ].join("\n");

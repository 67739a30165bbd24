import type { Command } from "commander";
import { vmsDir } from "../paths.js";
import { describeError, listRecords, statusOfRecord } from "../launcher/index.js";
import { note, print, table, type JsonOption } from "./output.js";

/** `microvm ls`: every VM recorded on this host, also those of Pulumi stacks. */
export function addLs(program: Command): void {
  program
    .command("ls")
    .description("list the VMs on this host")
    .option("--json", "print JSON")
    .action(async (options: JsonOption) => {
      // A record that cannot be read may be that of a VM that runs.
      const records = await listRecords((error) => note(describeError(error)));
      const vms = await Promise.all(records.map(statusOfRecord));
      print(vms, options, () =>
        vms.length === 0
          ? `no VMs in ${vmsDir()}`
          : table([
              ["ID", "NAME", "STATUS", "PID", "URL", "MEMORY", "STACK"],
              ...vms.map(({ vmId, name, status, pid, url, spec, owner }) => [
                vmId,
                name,
                status,
                pid ? String(pid) : "-",
                url,
                `${spec.memoryMb} MiB`,
                owner ? `${owner.project}/${owner.stack}` : "-",
              ]),
            ]),
      );
    });
}

/** The C floor: an initramfs whose /init does next to nothing before it answers. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cpio } from "../../src/appliance/cpio.js";
import { run, type Report } from "../../tools/setup/command.js";
import { fromRepository } from "../../tools/setup/repository.js";
import type { Question } from "../ask.js";

/** Compiles it and writes the initramfs into the folder; returns its path. Throws SetupError where the compiler fails. */
export async function makeFloor(folder: string, { id }: Question, report: Report): Promise<string> {
  const [binary, initramfs] = [join(folder, "floor"), join(folder, "floor.cpio")];
  const body = JSON.stringify({ results: [{ id, distance: 0 }] });
  const head = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close`;
  const reply = `-DREPLY=${JSON.stringify(`${head}\r\n\r\n${body}`)}`;
  const how = [
    "-Os",
    "-static",
    "-nostdlib",
    "-ffreestanding",
    "-fno-stack-protector",
    "-fno-pie",
    "-no-pie",
  ];
  await run("gcc", [...how, "-s", reply, "-o", binary, fromRepository("bench/cold/floor.c")], { report });
  const init = await readFile(binary);
  await writeFile(initramfs, cpio([{ kind: "file", path: "init", mode: 0o755, data: init }]));
  return initramfs;
}

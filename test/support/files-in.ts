/** A generation's files, by the names that they have, in a folder of a test's own. */
import { basename, join } from "node:path";
import { generationFiles, type GenerationFiles } from "../../src/launcher/record/vm-folder.js";

export function filesIn(dir: string): GenerationFiles {
  const usual = Object.entries(generationFiles("vm", 1)).map(([key, path]) => [
    key,
    join(dir, basename(path)),
  ]);
  return { ...(Object.fromEntries(usual) as GenerationFiles), dir };
}

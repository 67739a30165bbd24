/** This repository on disk. */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** The absolute path of something in the repository; of its root without an argument. */
export const fromRepository = (path = ""): string => join(root, path);

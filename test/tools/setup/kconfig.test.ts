import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { pinnedSource } from "../../../src/appliance/micro-kernel.js";
import { ensureKconfig } from "../../../tools/setup/kconfig.js";
import { program, script, withOwnMachine } from "./programs.js";

const tools = ["gcc", "ld", "make", "flex", "bison", "bc", "lz4", "patch", "xz", "apt-cache"];
const cross = ["aarch64-linux-gnu-gcc", "aarch64-linux-gnu-ld"];

test("where apt has another source than the pinned one it is said, and nothing is left", async () =>
  await withOwnMachine(async (folder) => {
    for (const name of [...tools, ...cross]) await program(join(folder, "bin", name), "something");
    await script(join(folder, "bin", "apt-get"), "echo 'E: Version not found' >&2; exit 100");
    const { name, version } = await pinnedSource();
    await expect(ensureKconfig(() => {})).rejects.toMatchObject({
      name: "SetupError",
      message: expect.stringContaining(`${name} ${version} cannot be had: `) as string,
      cause: { evidence: "E: Version not found" },
    });
    expect(await readdir(join(folder, "tools"))).toEqual([]);
  }));

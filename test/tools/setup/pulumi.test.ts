import { join } from "node:path";
import { ensurePulumi } from "../../../tools/setup/pulumi.js";
import { program, withOwnMachine } from "./programs.js";

const report = () => {};
const cached = "tools/pulumi-3.200.0-built/bin";

async function install(folder: string, version: string): Promise<void> {
  await program(join(folder, "pulumi"), version);
  await program(join(folder, "pulumi-language-nodejs"), "");
}

test("the user's own CLI comes first", async () => {
  await withOwnMachine(async (folder) => {
    await install(join(folder, "bin"), "v3.150.0");
    await install(join(folder, cached), "v3.200.0");
    expect(await ensurePulumi(report)).toEqual({
      summary: `found 3.150.0, ${join(folder, "bin")}`,
      path: [join(folder, "bin")],
    });
  });
});

test.each([
  ["has no language host", "v3.150.0"],
  ["is of another major version", "v2.25.2"],
  ["is something else", "Pulumi?"],
])("one that %s is passed over for the one in the cache", async (why, version) => {
  await withOwnMachine(async (folder) => {
    await program(join(folder, "bin/pulumi"), version);
    if (why !== "has no language host") await program(join(folder, "bin/pulumi-language-nodejs"), "");
    await install(join(folder, cached), "v3.200.0");
    expect((await ensurePulumi(report)).path).toEqual([join(folder, cached)]);
  });
});

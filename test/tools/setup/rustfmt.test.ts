import { join } from "node:path";
import { ensureRustfmt } from "../../../tools/setup/rust.js";
import { program, script, withOwnMachine } from "./programs.js";

test("rustup without rustfmt, as its minimal profile leaves it: the component is added", async () => {
  await withOwnMachine(async (folder) => {
    const component = join(folder, "bin/rustfmt");
    const cargo = join(folder, "bin/cargo");
    await program(join(folder, "bin/cc"), "/usr/lib/libc.a");
    await program(join(folder, "bin/rustc"), "rustc 1.90.0");
    await script(cargo, `[ "$1" != fmt ] || [ -e ${component} ]`);
    await script(join(folder, "bin/rustup"), `[ "$*" = "component add rustfmt" ] && : > ${component}`);
    expect(await ensureRustfmt(() => {})).toBe(cargo);
  });
});

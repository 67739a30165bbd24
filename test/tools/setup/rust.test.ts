import { join } from "node:path";
import { ensureRust } from "../../../tools/setup/rust.js";
import { program, withOwnMachine } from "./programs.js";

test("a Rust that is too old, and no way to get another: told in one line", async () => {
  await withOwnMachine(async (folder) => {
    await program(join(folder, "bin/cc"), "/usr/lib/libc.a");
    await program(join(folder, "bin/cargo"), "cargo 1.63.0");
    await program(join(folder, "bin/rustc"), "rustc 1.63.0");
    await expect(ensureRust(() => {})).rejects.toMatchObject({
      message: "Rust 1.87 or newer could not be installed.",
      hint: "Install Rust 1.87 or newer: https://rustup.rs (with rustup already there: rustup update)",
    });
  });
});

import { readFile } from "node:fs/promises";
import * as contract from "../../src/appliance/contract.js";

/** What the guest has no part in. */
const HOST_ONLY = new Set(["SSH_PORT"]);

test("host and guest agree", async () => {
  const source = await readFile(new URL("../../guest/init/src/contract.rs", import.meta.url), "utf8");
  const constants = [...source.matchAll(/^pub const (\w+): \S+ = (.+);$/gm)];
  const guest = constants.map(([, name, value]): [string, unknown] => [name ?? "", JSON.parse(value ?? "")]);
  const host = Object.entries(contract).filter(([name]) => !HOST_ONLY.has(name));
  expect(Object.fromEntries(guest)).toEqual(Object.fromEntries(host));
});

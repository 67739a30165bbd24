import { whyStopFirst } from "../../../src/launcher/change/relaunch.js";

test.each<["beside" | "stopFirst", number, string | undefined]>([
  ["beside", 10_000, undefined],
  ["beside", 192, undefined],
  ["beside", 191, "this host has 191 MiB free, and two VMs at once would take 192 more"],
  ["stopFirst", 10_000, 'updateStrategy is "stopFirst"'],
])("%s with %i MiB free", (updateStrategy, freeMb, why) => {
  expect(whyStopFirst({ updateStrategy, memoryMb: 128 }, freeMb)).toBe(why);
});

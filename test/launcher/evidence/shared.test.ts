import { setTimeout as sleep } from "node:timers/promises";
import { shared } from "../../../src/launcher/evidence/shared.js";

test("who comes while a question is under way shares the next one, and none is put beside another", async () => {
  const share = shared<number>();
  let [put, underWay, most] = [0, 0, 0];
  const ask = async (): Promise<number> => {
    const number = ++put;
    most = Math.max(most, ++underWay);
    await sleep(20);
    underWay--;
    return number;
  };
  const first = share("a", ask);
  while (put === 0) await Promise.resolve();
  const late = Array.from({ length: 80 }, () => share("a", ask));
  expect(await Promise.all([first, ...late])).toEqual([1, ...late.map(() => 2)]);
  expect(most).toBe(1);
});

test("others' keys are their own, and a failure is told to those who shared it alone", async () => {
  const share = shared<string>();
  const failing = share("a", () => Promise.reject(new Error("no")));
  const other = share("b", () => Promise.resolve("b"));
  await expect(failing).rejects.toThrow("no");
  expect(await other).toBe("b");
  expect(await share("a", () => Promise.resolve("a"))).toBe("a");
});

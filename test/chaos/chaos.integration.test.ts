/** Every fault of the table once; `npm run chaos` inflicts hundreds at random. */
import { faults, runFaults } from "./run.js";

test(
  "after every fault the status is true, there is a way on, and nothing is left that no record names",
  async () => {
    const orders = faults.map(({ name }, seed) => ({ fault: name, seed }));
    const reports = await runFaults(orders, { worlds: 2 });
    expect(reports.filter(({ problems }) => problems.length > 0)).toEqual([]);
    expect(new Set(reports.map(({ fault }) => fault)).size).toBe(faults.length);
  },
  15 * 60_000,
);

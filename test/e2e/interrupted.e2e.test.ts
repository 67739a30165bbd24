/** What a user finds after `pulumi` was interrupted, at a handful of kill-points; `npm run kill-points` has hundreds. */
import { nameOf, type Life } from "../kill-points/points.js";
import { runLives } from "../kill-points/run.js";

const life: Life = [
  { operation: "create", victim: "plugin killed", moment: "it is recorded as the VM's", way: "up" },
  { operation: "update", victim: "Ctrl-C twice", moment: "its guest speaks", way: "up" },
  { operation: "delete", victim: "all killed", moment: "it is told to go", way: "destroy" },
  { operation: "create", victim: "plugin killed", moment: "its monitor is there", way: "destroy" },
  { operation: "update", victim: "CLI killed", moment: "QEMU is there", way: "up" },
];

test(
  "the next up or destroy finishes the work: never two VMs, never one that no state knows",
  async () => {
    const reports = await runLives([life], { worlds: 1 });
    expect(reports).toMatchObject(life.map((point) => ({ point: nameOf(point), reached: true, wrong: [] })));
  },
  15 * 60_000,
);

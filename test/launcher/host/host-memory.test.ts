/** What of the host's memory is at hand, by the files of control groups as both their versions have them. */
import { freemem, totalmem } from "node:os";
import { freeMemory, totalMemory } from "../../../src/launcher/host/host-memory.js";

const files = (texts: Record<string, string>) => (path: string) => texts[path] ?? "";

test("without a control group it is the host's", () => {
  expect(totalMemory(files({}))).toBe(totalmem());
  expect(totalMemory(files({ "/proc/self/cgroup": "0::/\n" }))).toBe(totalmem());
});

test("of several nested groups the one that leaves least counts, and its page cache as free", () => {
  const group = "/sys/fs/cgroup/system.slice";
  const said = files({
    "/proc/self/cgroup": "0::/system.slice/ci.service\n",
    [`${group}/ci.service/memory.max`]: "max\n",
    [`${group}/memory.max`]: "300000000\n",
    [`${group}/memory.current`]: "250000000\n",
    [`${group}/memory.stat`]: "anon 1\ninactive_file 100000000\nactive_file 7\n",
  });
  expect([totalMemory(said), freeMemory(said)]).toEqual([300_000_000, 150_000_000]);
});

test("groups of the first version, in which what is not limited has a limit beyond all memory", () => {
  const group = "/sys/fs/cgroup/memory/docker/4711";
  const said = files({
    "/proc/self/cgroup": "12:cpu:/docker/4711\n3:memory:/docker/4711\n0::/\n",
    [`${group}/memory.limit_in_bytes`]: "200000000\n",
    [`${group}/memory.usage_in_bytes`]: "210000000\n",
    [`${group}/memory.stat`]: "inactive_file 5\ntotal_inactive_file 0\n",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
  });
  expect([totalMemory(said), freeMemory(said)]).toEqual([200_000_000, 0]);
});

test("a group whose use cannot be read leaves nothing free", () => {
  const said = files({ "/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "300000000\n" });
  expect([totalMemory(said), freeMemory(said)]).toEqual([300_000_000, 0]);
});

test("a group that is larger than the host changes nothing", () => {
  const said = files({
    "/proc/self/cgroup": "0::/\n",
    "/sys/fs/cgroup/memory.max": "1000000000000000\n",
    "/sys/fs/cgroup/memory.current": "5\n",
  });
  expect(totalMemory(said)).toBe(totalmem());
  expect(freeMemory(said)).toBeLessThanOrEqual(freemem() * 1.5);
});

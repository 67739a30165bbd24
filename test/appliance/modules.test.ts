import fc from "fast-check";
import { loadOrder, moduleDepends, moduleName } from "../../src/appliance/modules.js";
import { codeOf } from "./code-of.js";

const modules = (graph: Record<string, string[]>) =>
  Object.entries(graph).map(([name, depends]) => ({ name, depends }));
const order = (graph: Record<string, string[]>) => loadOrder(modules(graph)).map(({ name }) => name);

describe("moduleName", () => {
  test.each([
    ["kernel/drivers/char/hw_random/virtio-rng.ko", "virtio_rng"],
    ["/x/kernel/drivers/net/virtio_net.ko.xz", "virtio_net"],
    ["virtio_ring", "virtio_ring"],
  ])("%s is %s", (file, name) => expect(moduleName(file)).toBe(name));
});

describe("loadOrder", () => {
  test("puts each module behind all that it needs, over several steps", () => {
    const net = { virtio_net: ["net_failover", "virtio_ring"], net_failover: ["failover"], failover: [] };
    expect(order({ ...net, virtio_ring: ["virtio"], virtio: [] })).toEqual([
      "failover",
      "net_failover",
      "virtio",
      "virtio_ring",
      "virtio_net",
    ]);
  });

  test("takes a dependency that is not among them for built in", () => {
    expect(order({ evdev: ["input_core"] })).toEqual(["evdev"]);
  });

  test("ends on a circle, with every module once", () => {
    expect(order({ a: ["b"], b: ["a"] }).sort()).toEqual(["a", "b"]);
  });

  test("holds for any graph without circles", () => {
    const names = [..."abcdefgh"];
    // A module needs only later letters, so there is no circle; the order of the list is free.
    const graphs = fc.tuple(...names.map((_, index) => fc.subarray(names.slice(index + 1))));
    fc.assert(
      fc.property(graphs, fc.shuffledSubarray(names, { minLength: 8 }), (needs, list) => {
        const graph = Object.fromEntries(list.map((name) => [name, needs[names.indexOf(name)] ?? []]));
        const ordered = order(graph);
        expect([...ordered].sort()).toEqual(names);
        for (const [name, depends] of Object.entries(graph))
          for (const need of depends) expect(ordered.indexOf(need)).toBeLessThan(ordered.indexOf(name));
      }),
    );
  });
});

describe("moduleDepends", () => {
  test.each([
    ["license=GPL\0depends=virtio-ring,virtio\0name=virtio_mmio\0", ["virtio_ring", "virtio"]],
    ["depends=\0", []],
  ])("reads .modinfo %j", (text, depends) => expect(moduleDepends(elf(text))).toEqual(depends));

  test.each([
    ["a module that does not name them", elf("license=GPL\0")],
    ["a long text", Buffer.alloc(4096, "no module ")],
    ["a few bytes", Buffer.alloc(3)],
    ["a cut module", elf("depends=\0").subarray(0, -64)],
  ])("refuses %s", (_, bytes) => {
    expect(codeOf(() => moduleDepends(bytes))).toBe("ApplianceBuild");
  });

  test("survives any bytes behind an ELF's head", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const file = Buffer.concat([Buffer.from("\x7fELF\x02\x01", "latin1"), bytes]);
        expect(codeOf(() => moduleDepends(file))).toBe("ApplianceBuild");
      }),
    );
  });
});

/** The smallest ELF64 with a section `.modinfo`: header, its data, the section names, two section headers. */
function elf(modinfo: string): Buffer {
  const data = Buffer.from(modinfo);
  const names = Buffer.from(".modinfo\0.shstrtab\0");
  const header = Buffer.alloc(64);
  header.write("\x7fELF\x02\x01", "latin1");
  header.writeBigUInt64LE(BigInt(64 + data.length + names.length), 0x28);
  header.writeUInt16LE(64, 0x3a);
  header.writeUInt16LE(2, 0x3c);
  header.writeUInt16LE(1, 0x3e);
  const section = (nameOffset: number, start: number, size: number): Buffer => {
    const bytes = Buffer.alloc(64);
    bytes.writeUInt32LE(nameOffset, 0);
    bytes.writeBigUInt64LE(BigInt(start), 0x18);
    bytes.writeBigUInt64LE(BigInt(size), 0x20);
    return bytes;
  };
  const sections = [section(0, 64, data.length), section(9, 64 + data.length, names.length)];
  return Buffer.concat([header, data, names, ...sections]);
}

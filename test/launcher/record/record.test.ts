import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { execa } from "execa";
import {
  findRecord,
  listRecords,
  readRecord,
  removeRecord,
  type Generation,
  type VmRecord,
} from "../../../src/launcher/record/record.js";
import { writeRecord } from "../../../src/launcher/record/write.js";
import { socketPaths, vmDir } from "../../../src/launcher/record/vm-folder.js";
import { parseSpec } from "../../../src/launcher/spec.js";
import { shortSocketDir } from "../../../src/paths.js";
import { generationWith, recordWith } from "../../support/record.js";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "record-"));
  process.env["MICROVM_STATE_DIR"] = dir;
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const generation = generationWith({ uuid: randomUUID() });

const record = (vmId: string, changes: Partial<VmRecord> = {}): VmRecord =>
  recordWith({
    vmId,
    name: vmId.split("-")[0]!,
    spec: parseSpec({ rvfPath: "/db.rvf", sshPort: 0, extraArgs: ["-d", "int"] }),
    ...changes,
  });

test.each([
  ["before its first boot", { phase: "creating" as const }],
  ["booting", { generation }],
  [
    "ready",
    {
      generation: {
        ...generation,
        pid: 7,
        startTicks: "9",
        hostBootId: "b",
        boundApiPort: 8080,
        boundSshPort: 22,
        bootMillis: 900,
      },
    },
  ],
  ["of a stack", { owner: { project: "p", stack: "s", resource: "db" } }],
])("a record comes back as it was written: %s", async (_, changes) => {
  await writeRecord(record("db-1", changes));
  expect(await readRecord("db-1")).toEqual(record("db-1", changes));
});

test("nobody else may look into a VM's folder, and no half-written file stays", async () => {
  await writeRecord(record("db-1"));
  await writeRecord(record("db-1", { phase: "stopping" }));
  expect((await stat(vmDir("db-1"))).mode & 0o777).toBe(0o700);
  expect((await stat(join(vmDir("db-1"), "record.json"))).mode & 0o777).toBe(0o600);
  expect(await readdir(vmDir("db-1"))).toEqual(["record.json"]);
});

test.each([
  ["a newer format", JSON.stringify({ ...record("db-1"), format: 3 }), "was written by a newer version"],
  ["another document", '{"hello":1}', "is damaged"],
  ["no JSON", "{", "is damaged"],
  ["nothing", "", "is damaged"],
])("%s is refused in words and left as it is", async (_, text, what) => {
  await mkdir(vmDir("db-1"), { recursive: true });
  const path = join(vmDir("db-1"), "record.json");
  await writeFile(path, text);
  await expect(readRecord("db-1")).rejects.toMatchObject({
    code: "Io",
    message: `the record of db-1 ${what}: ${path}`,
    hint: expect.stringContaining("`microvm kill db-1` ends its QEMU and removes its files") as string,
  });
  expect(await readFile(path, "utf8")).toBe(text);
});

test("a record of the first format is read as one of today's, with what it did not know left out", async () => {
  const { controlSocket: _, ...old } = generation;
  const launcher = { pid: 1, startTicks: "2", bootId: "b" };
  const text = JSON.stringify({ ...record("db-1", { generation: old as Generation }), format: 1, launcher });
  await mkdir(vmDir("db-1"), { recursive: true });
  await writeFile(join(vmDir("db-1"), "record.json"), text);
  const expected = record("db-1", { generation: { ...generation, controlSocket: generation.qmpSocket } });
  expect(await readRecord("db-1")).toEqual(expected);
});

test("what cannot be understood does not hide the others", async () => {
  await writeRecord(record("db-1"));
  await mkdir(vmDir("broken-1"), { recursive: true });
  await writeFile(join(vmDir("broken-1"), "record.json"), "{");
  await writeFile(vmDir("a-stray-file"), "");
  expect((await listRecords()).map((r) => r.vmId)).toEqual(["db-1"]);
  await expect(findRecord("broken-1")).rejects.toMatchObject({ code: "Io" });
});

test("all are listed where they are more than files may be open", async () => {
  const vmIds = Array.from({ length: 200 }, (_, i) => `db-${i}`);
  for (const vmId of vmIds) {
    await mkdir(vmDir(vmId), { recursive: true });
    await writeFile(join(vmDir(vmId), "record.json"), JSON.stringify(record(vmId)));
  }
  const program = `
    import { listRecords } from ${JSON.stringify(resolve("src/launcher/record/record.ts"))};
    const unread = [];
    console.log(JSON.stringify([(await listRecords((error) => unread.push(error))).length, unread.length]));`;
  const { stdout } = await execa(
    "/bin/sh",
    [
      ...["-c", 'ulimit -n 100; exec "$@"', "sh", process.execPath, "--import", "tsx"],
      ...["--input-type=module", "-e", program],
    ],
    { env: { NODE_OPTIONS: "" } },
  );
  expect(JSON.parse(stdout)).toEqual([200, 0]);
}, 60_000);

test("a record that is not there, a state folder that is not there", async () => {
  expect(await readRecord("none")).toBeUndefined();
  process.env["MICROVM_STATE_DIR"] = join(dir, "missing");
  expect(await listRecords()).toEqual([]);
});

test("a state folder that cannot be written is named, with what to set", async () => {
  await writeFile(join(dir, "file"), "");
  process.env["MICROVM_STATE_DIR"] = join(dir, "file");
  await expect(writeRecord(record("db-1"))).rejects.toMatchObject({
    code: "Io",
    hint: expect.stringContaining("MICROVM_STATE_DIR") as string,
  });
});

test("oldest first", async () => {
  await writeRecord(record("b-1", { createdAt: "2026-02-01T00:00:00.000Z" }));
  await writeRecord(record("a-1", { createdAt: "2026-03-01T00:00:00.000Z" }));
  await writeRecord(record("c-1", { createdAt: "2026-01-01T00:00:00.000Z" }));
  expect((await listRecords()).map((r) => r.vmId)).toEqual(["c-1", "b-1", "a-1"]);
});

test("a VM is found by its id, then by its name", async () => {
  await writeRecord(record("db-1"));
  await writeRecord(record("db-2", { name: "db-1" }));
  expect((await findRecord("db-1")).vmId).toBe("db-1");
  expect((await findRecord("db")).vmId).toBe("db-1");
});

test("a name of several VMs stands for none, and their ids are told", async () => {
  await writeRecord(record("db-1"));
  await writeRecord(record("db-2"));
  await expect(findRecord("db")).rejects.toMatchObject({
    code: "VmAmbiguous",
    message: "2 VMs are named db",
    hint: expect.stringMatching(/db-1, db-2$/) as string,
  });
  await expect(findRecord("nobody")).rejects.toMatchObject({ code: "VmNotFound" });
});

test("the sockets lie beside their VM, or in a short folder where that path is too long for one", () => {
  const near = (name: string) => join(process.env["MICROVM_STATE_DIR"]!, "vms", "db-1", "1", name);
  const allNear = () => ({
    qmpSocket: near("qmp.sock"),
    controlSocket: near("ctl.sock"),
    guestSocket: near("guest.sock"),
  });
  expect(socketPaths("db-1", 1)).toEqual(allNear());
  // 107 bytes are the most that can be bound to; "ä" has two.
  const room = 107 - Buffer.byteLength(near("guest.sock")) - 1;
  process.env["MICROVM_STATE_DIR"] = join(dir, "x".repeat(room));
  expect(Buffer.byteLength(near("guest.sock"))).toBe(107);
  expect(socketPaths("db-1", 1)).toEqual(allNear());
  for (const folder of ["x".repeat(room + 1), "ä".repeat(Math.ceil((room + 1) / 2))]) {
    process.env["MICROVM_STATE_DIR"] = join(dir, folder);
    expect(socketPaths("db-1", 3)).toEqual({
      qmpSocket: join(tmpdir(), "microvm-db-1", "3.qmp.sock"),
      controlSocket: join(tmpdir(), "microvm-db-1", "3.ctl.sock"),
      guestSocket: join(tmpdir(), "microvm-db-1", "3.guest.sock"),
    });
  }
});

test("a socket that fits nowhere is refused: its path would be cut", () =>
  expect(() => socketPaths("x".repeat(120), 1)).toThrow(
    expect.objectContaining({ code: "Io", hint: expect.stringContaining("TMPDIR") as string }) as Error,
  ));

test("removing takes every file, the short socket folder too, and may be repeated", async () => {
  const vmId = `gone-${randomUUID()}`;
  const gone = record(vmId, {
    generation: { ...generation, qmpSocket: join(shortSocketDir(vmId), "1.sock") },
  });
  await writeRecord(gone);
  await mkdir(join(vmDir(vmId), "1"));
  await writeFile(join(vmDir(vmId), "1", "console.log"), "text");
  await mkdir(shortSocketDir(vmId));
  await removeRecord(gone);
  await removeRecord(gone);
  await expect(stat(vmDir(vmId))).rejects.toMatchObject({ code: "ENOENT" });
  await expect(stat(shortSocketDir(vmId))).rejects.toMatchObject({ code: "ENOENT" });
});

test.each(["", "..", "a/b", "A", "a,b", "-a"])(
  "%j is no id: its folder is never named, nor removed",
  async (text) => {
    expect(() => vmDir(text)).toThrow(expect.objectContaining({ code: "InvalidArgument" }) as Error);
    await expect(removeRecord({ ...record("db-1"), vmId: text })).rejects.toMatchObject({
      code: "InvalidArgument",
    });
  },
);

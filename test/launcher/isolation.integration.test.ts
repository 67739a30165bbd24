/** What keeps a running VM apart: from other users of its host, from other machines, and QEMU from the host. */
import { chmod, copyFile, lstat, mkdir, readdir, readFile, readlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { launch, type MicroVmHandle } from "../../src/launcher/index.js";
import { connectQmp } from "../../src/qmp/index.js";
import { sampleQuery } from "../../tools/sample-rvf.js";
import { asNobody, testAsRoot } from "../support/nobody.js";
import { sampleRvf } from "../support/rvf.js";
import { privateState } from "../support/state.js";

const state = privateState();
const warnings: string[] = [];
let rvfPath: string;
/** Its socket lies beside its other files, its ports are open to this host. */
let near: MicroVmHandle;
/** Its state folder is too deep for a socket, its ports are open to all. */
let far: MicroVmHandle;

const folderOf = { near: "", far: "" };

/** Everything above the VMs' own folders is open to all, and so is every new file that does not say otherwise. */
beforeAll(async () => {
  folderOf.near = process.env["MICROVM_STATE_DIR"]!;
  folderOf.far = join(state.dir, "far", "x".repeat(120));
  const umask = process.umask(0);
  try {
    await chmod(state.dir, 0o755);
    for (const folder of Object.values(folderOf)) await mkdir(folder, { recursive: true });
    rvfPath = join(state.dir, "-drive,db.rvf");
    await copyFile(await sampleRvf(), rvfPath);
    near = await launch({ rvfPath, apiPort: 0, enableKvm: false, bindAddress: "127.0.0.2" });
    process.env["MICROVM_STATE_DIR"] = folderOf.far;
    const open = { rvfPath, apiPort: 0, sshPort: 0, enableKvm: false, bindAddress: "0.0.0.0" };
    far = await launch(open, { onProgress: (text) => text.startsWith("warning: ") && warnings.push(text) });
  } finally {
    process.umask(umask);
    process.env["MICROVM_STATE_DIR"] = folderOf.near;
  }
});
afterAll(async () => {
  process.env["MICROVM_STATE_DIR"] = folderOf.far;
  await far.destroy();
  process.env["MICROVM_STATE_DIR"] = folderOf.near;
});

/** The folders that hold a VM's files. */
const placesOf = (vm: MicroVmHandle): string[] =>
  vm === near
    ? [join(folderOf.near, "vms")]
    : [join(folderOf.far, "vms"), join(tmpdir(), `microvm-${vm.vmId}`)];

/** Everything in a folder and below, itself among it. */
async function below(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true });
  return [folder, ...entries.map((entry) => join(folder, entry))];
}

test("each of its files is for this user alone, also where a umask takes nothing away", async () => {
  expect([near, far].map(({ qmpSocket }) => dirname(qmpSocket))).toEqual([
    join(folderOf.near, "vms", near.vmId, "1"),
    placesOf(far)[1],
  ]);
  const paths = (await Promise.all([near, far].flatMap(placesOf).map(below))).flat();
  const names = paths.map((path) => path.slice(path.lastIndexOf("/") + 1));
  expect(names).toEqual(
    expect.arrayContaining(["record.json", "qmp.sock", "1.ctl.sock", "console.log", "ready", "argv.json"]),
  );
  for (const path of paths) {
    const stats = await lstat(path);
    // A link has no mode of its own; the VM's lock is one, and leads nowhere.
    const { mode, uid } = stats.isSymbolicLink() ? { ...stats, mode: 0 } : stats;
    expect({ path, others: mode & 0o077, uid }).toEqual({ path, others: 0, uid: process.getuid!() });
  }
});

testAsRoot("another user can neither list its files nor reach its monitor", async () => {
  const script = `
    const { readdirSync } = require("node:fs");
    const [sockets, folders] = JSON.parse(process.argv[1]);
    const told = folders.map((folder) => { try { return readdirSync(folder) } catch ({ code }) { return code } });
    const reach = (path) => new Promise((done) => require("node:net").connect(path)
      .once("connect", () => done("connected")).once("error", ({ code }) => done(code)));
    Promise.all(sockets.map(reach)).then((reached) => console.log(JSON.stringify([...told, ...reached])));`;
  const what = [[near.qmpSocket, far.qmpSocket], [near, far].flatMap(placesOf)];
  // What it may do above shows that it is the folders themselves that keep it out.
  expect(await asNobody("ls", [state.dir])).toContain("-drive,db.rvf");
  const answers = await asNobody(process.execPath, ["-e", script, JSON.stringify(what)]);
  expect(JSON.parse(answers)).toEqual(Array(5).fill("EACCES"));
});

test("its RVF is opened for reading alone", async () => {
  for (const { pid, qmpSocket } of [near, far]) {
    const opened = [];
    for (const fd of await readdir(`/proc/${pid}/fd`)) {
      if ((await readlink(`/proc/${pid}/fd/${fd}`)) !== rvfPath) continue;
      const [, flags] = /^flags:\s+(\d+)$/m.exec(await readFile(`/proc/${pid}/fdinfo/${fd}`, "utf8"))!;
      opened.push(parseInt(flags!, 8) & 0o3);
    }
    // open(2): O_RDONLY is 0 in the two lowest bits.
    expect(opened.length).toBeGreaterThan(0);
    expect(new Set(opened)).toEqual(new Set([0]));
    await using monitor = await connectQmp(qmpSocket);
    expect(await monitor.execute("query-block")).toEqual([
      expect.objectContaining({ inserted: expect.objectContaining({ file: rvfPath, ro: true }) as object }),
    ]);
  }
});

test("QEMU's sandbox is on in each of its threads", async () => {
  for (const thread of await readdir(`/proc/${near.pid}/task`)) {
    const status = await readFile(`/proc/${near.pid}/task/${thread}/status`, "utf8");
    // proc(5): 2 is SECCOMP_MODE_FILTER.
    expect(status).toMatch(/^Seccomp:\t2$/m);
  }
});

/** The addresses, in the kernel's hex, on which the process listens for TCP. */
async function listening(pid: number): Promise<string[]> {
  const links = await Promise.all(
    (await readdir(`/proc/${pid}/fd`)).map((fd) => readlink(`/proc/${pid}/fd/${fd}`)),
  );
  const sockets = ["tcp", "tcp6"].map((file) => readFile(`/proc/${pid}/net/${file}`, "utf8"));
  return (await Promise.all(sockets))
    .flatMap((text) => text.split("\n").map((line) => line.trim().split(/\s+/)))
    .filter((fields) => fields[3] === "0A" && links.includes(`socket:[${fields[9]}]`))
    .map((fields) => fields[1]!);
}

const hexPort = (port: number): string => port.toString(16).toUpperCase().padStart(4, "0");

test("it listens where it was told to and nowhere else", async () => {
  expect(await listening(near.pid)).toEqual([`0200007F:${hexPort(near.apiPort)}`]);
  expect((await listening(far.pid)).sort()).toEqual(
    [far.apiPort, far.sshPort!].map((port) => `00000000:${hexPort(port)}`).sort(),
  );
});

test("its URL is where it answers", async () => {
  expect(near.url).toBe(`http://127.0.0.2:${near.apiPort}`);
  expect(far.url).toBe(`http://127.0.0.1:${far.apiPort}`);
  expect((await near.status()).url).toBe(near.url);
  expect(await near.query(sampleQuery(1), 3)).toHaveLength(3);
  const answer = await fetch(`${far.url}/v1/health`);
  expect(await answer.json()).toEqual({ status: "ok" });
});

test("a launch that opens it to others warns of that", () =>
  expect(warnings).toEqual([
    "warning: the guest's API is open on 0.0.0.0 and has no authentication: whoever reaches that address can query it",
  ]));

/** Where a VM's files lie, and files of the user's own instead of the RVF's. */
import { copyFile, mkdir, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { findQemu, launch, statusOf } from "../../src/launcher/index.js";
import { extractImage } from "../../src/rvf/index.js";
import { makeSampleRvf, neighboursOnHost, sampleQuery } from "../../tools/sample-rvf.js";
import { appliancePath, expectNeighbours, sampleRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";

const state = privateState();
const vector = sampleQuery(1);

test("spaces, commas and quotes in paths, and a state folder too deep for a socket", async () => {
  const shallow = process.env["MICROVM_STATE_DIR"];
  process.env["MICROVM_STATE_DIR"] = join(state.dir, "a, deep=on,path=", "x".repeat(120));
  try {
    const folder = join(state.dir, `a "b", c`);
    await mkdir(folder);
    const rvfPath = join(folder, "my,db.rvf");
    await copyFile(await sampleRvf(), rvfPath);
    const vm = await launch({ rvfPath, apiPort: 0, enableKvm: false });
    expect(vm.qmpSocket).toBe(join(tmpdir(), `microvm-${vm.vmId}`, "1.qmp.sock"));
    expectNeighbours(await vm.query(vector, 5), neighboursOnHost(rvfPath, vector, 5));
    expect(await vm.destroy()).toMatchObject({ rung: "powerdown" });
    expect(await leftovers([vm.vmId])).toEqual([]);
  } finally {
    process.env["MICROVM_STATE_DIR"] = shallow;
  }
});

test("a dash in front, line breaks and what shells and QEMU would take for their own, in every path at once", async () => {
  const usual = process.env["MICROVM_STATE_DIR"];
  const folder = join(state.dir, `-s,t"a'te $(id)\n-S`);
  process.env["MICROVM_STATE_DIR"] = folder;
  const at = (name: string) => join(folder, `-${name},readonly=off "'\`\n\\%s`);
  const here = process.cwd();
  try {
    await mkdir(folder);
    await makeSampleRvf(at("drive"), { count: 50, dimension: 4 });
    const { kernelPath, initramfsPath } = await extractImage(appliancePath());
    await copyFile(kernelPath, at("kernel"));
    await copyFile(initramfsPath!, at("initrd"));
    await symlink(await findQemu(), at("qemu"));
    // As a program names it, a path may begin with the dash.
    process.chdir(folder);
    await using vm = await launch({
      rvfPath: basename(at("drive")),
      kernelPath: basename(at("kernel")),
      initramfsPath: basename(at("initrd")),
      qemuBinary: at("qemu"),
      apiPort: 0,
      enableKvm: false,
    });
    expect(vm.qmpSocket).toBe(join(folder, "vms", vm.vmId, "1", "qmp.sock"));
    expect(await vm.status()).toMatchObject({
      state: "running",
      name: expect.not.stringContaining("\n") as string,
    });
    const query = sampleQuery(1, 4);
    expectNeighbours(await vm.query(query, 3), neighboursOnHost(at("drive"), query, 3));
  } finally {
    process.chdir(here);
    expect(await leftovers()).toEqual([]);
    process.env["MICROVM_STATE_DIR"] = usual;
  }
});

test("kernelPath and initramfsPath boot a store that carries no kernel", async () => {
  const rvfPath = join(state.dir, "plain.rvf");
  await makeSampleRvf(rvfPath, { count: 50, dimension: 4 });
  const { kernelPath, initramfsPath } = await extractImage(appliancePath());
  // The name tells nothing, the content all.
  await copyFile(initramfsPath!, join(state.dir, "own-initramfs"));
  await using vm = await launch({
    rvfPath,
    apiPort: 0,
    kernelPath,
    initramfsPath: join(state.dir, "own-initramfs"),
  });
  const query = sampleQuery(1, 4);
  expectNeighbours(await vm.query(query, 3), neighboursOnHost(rvfPath, query, 3));
  expect((await vm.status()).kernelIntegrity).toBe("a file of the user's own (kernelPath), not checked");
});

test("leaving an `await using` block destroys the VM; a kernelPath with its initramfs behind it boots too", async () => {
  const rvfPath = join(state.dir, "plain2.rvf");
  await makeSampleRvf(rvfPath, { count: 50, dimension: 4 });
  let vmId: string;
  {
    await using vm = await launch({ rvfPath, apiPort: 0, sshPort: 0, kernelPath: appliancePath() });
    vmId = vm.vmId;
    expect(vm.sshPort).toBeGreaterThan(0);
    expect(vm.sshPort).not.toBe(vm.apiPort);
    await vm.query(sampleQuery(1, 4), 1);
  }
  expect(await statusOf(vmId)).toBeUndefined();
  expect(await leftovers([vmId])).toEqual([]);
});

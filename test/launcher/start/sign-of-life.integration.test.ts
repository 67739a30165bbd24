/** Guests that never get to run: found out, started again, and told from those that are merely slow. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Accelerator } from "../../../src/launcher/host/cpu.js";
import { boot } from "../../../src/launcher/start/boot.js";
import { destroyVm, launch, type VmSpecInput } from "../../../src/launcher/index.js";
import { recallKvm } from "../../../src/launcher/host/kvm-verdict.js";
import { prepare } from "../../../src/launcher/plan/prepare.js";
import { findQemu } from "../../../src/launcher/host/qemu.js";
import { parseSpec } from "../../../src/launcher/spec.js";
import { sampleQuery } from "../../../tools/sample-rvf.js";
import { sampleRvf } from "../../support/rvf.js";
import { spinningKernel } from "../../support/spinning-kernel.js";
import { leftovers, privateState } from "../../support/state.js";

const state = privateState();

async function spinningGuest(words = ""): Promise<VmSpecInput> {
  const kernelPath = join(state.dir, `spin${words}`);
  await writeFile(kernelPath, spinningKernel(words));
  return { rvfPath: await sampleRvf(), kernelPath, apiPort: 0, enableKvm: false };
}

test("a guest that spins under emulation is started again", async () => {
  const interruption = new AbortController();
  const progress: string[] = [];
  // The time is a bound alone: a busy host needs many seconds to give the guest those that it is judged by.
  const launched = launch(
    { ...(await spinningGuest()), readyTimeoutSeconds: 240 },
    {
      signal: interruption.signal,
      onProgress: (text) => {
        progress.push(text);
        if (text.startsWith("the guest hung")) interruption.abort();
      },
    },
  );
  await expect(launched).rejects.toMatchObject({ code: "Cancelled" });
  expect(progress.at(-1)).toMatch(/^starting QEMU/);
  expect(await leftovers()).toEqual([]);
});

test("a guest that never speaks, and one that spoke once, end with what they reached", async () => {
  const launchFor15s = async (words: string) =>
    await launch({ ...(await spinningGuest(words)), readyTimeoutSeconds: 15 });
  const reached = (levels: string): unknown =>
    expect.objectContaining({
      code: "Timeout",
      message: expect.stringMatching(new RegExp(`within 15 s: ${levels}$`)) as string,
    });
  // Both only wait.
  const [silent, spoke] = await Promise.allSettled([launchFor15s(""), launchFor15s("hello")]);
  expect([silent, spoke]).toEqual([
    {
      status: "rejected",
      reason: reached("reached process, monitor; not reached console, ready line, HTTP"),
    },
    {
      status: "rejected",
      reason: reached("reached process, monitor, console; not reached ready line, HTTP"),
    },
  ]);
  expect(await leftovers()).toEqual([]);
});

/**
 * Boots where KVM takes its guests no further than firmware and the kernel's setup code go, as on some hosts, by a QEMU that
 * emulates just that when it is asked for KVM.
 */
async function bootWhereKvmHalts(vmId: string, accelerators: Accelerator[]) {
  const kernel = join(state.dir, "halts");
  await writeFile(kernel, spinningKernel("PPrroobbiinngg  EEDDDD"));
  const binary = join(state.dir, `qemu-for-${vmId}`);
  const script = `#!/bin/sh
case "$*" in *"-accel kvm"*)
  for word; do
    case "$last $word" in
      "-machine "*) word=microvm ;;
      "-accel "*) word=tcg ;;
      "-cpu "*) word=max ;;
      "-kernel "*) word=${kernel} ;;
    esac
    shift; set -- "$@" "$word"; last=$word
  done
esac
exec ${await findQemu()} "$@"
`;
  await writeFile(binary, script, { mode: 0o755 });
  const spec = parseSpec({ rvfPath: await sampleRvf(), apiPort: 0, firstOutputTimeoutSeconds: 3 });
  const preparation = await prepare(spec);
  const record = { format: 2, vmId, name: vmId, createdAt: new Date().toISOString(), owner: null } as const;
  return await boot(
    { ...record, phase: "creating", spec },
    {
      ...preparation,
      qemu: { ...preparation.qemu, binary },
      accelerators: accelerators.map((accelerator) => ({ accelerator, reason: "" })),
    },
    {},
  );
}

test("a guest that comes no further than firmware under KVM is started again emulated", async () => {
  const { generation } = await bootWhereKvmHalts("halts", ["kvm", "tcg"]);
  const reason = "the guest gave no sign of life within 3 s";
  expect(generation).toMatchObject({
    accelerator: "tcg",
    acceleratorReason: `KVM failed on this host: ${reason}`,
  });
  expect(await recallKvm({ binary: join(state.dir, "qemu-for-halts") }, "x86_64")).toMatchObject({
    works: false,
    reason,
  });
  await destroyVm("halts", { from: "sigkill" });
  expect(await leftovers()).toEqual([]);
});

test("where its kernel requires KVM, that ends the launch, with what the guest said", async () => {
  await expect(bootWhereKvmHalts("required", ["kvm"])).rejects.toMatchObject({
    code: "KvmRequired",
    message: "the RVF's kernel requires KVM: the guest gave no sign of life within 3 s",
    evidence: expect.stringContaining("the console's last lines") as string,
  });
  await destroyVm("required");
  expect(await leftovers()).toEqual([]);
});

test("a guest that hangs at its first start comes up at the next", async () => {
  const [binary, kernel, hung] = ["qemu-hangs", "spins-once", "hung"].map((name) => join(state.dir, name));
  await writeFile(kernel!, spinningKernel());
  const script = `#!/bin/sh
case "$*" in *" -kernel "*)
  test -e ${hung} || for word; do
    case "$last" in -kernel) word=${kernel}; : >${hung} ;; esac
    shift; set -- "$@" "$word"; last=$word
  done
esac
exec ${await findQemu()} "$@"
`;
  await writeFile(binary!, script, { mode: 0o755 });
  const spec = { rvfPath: await sampleRvf(), apiPort: 0, enableKvm: false, qemuBinary: binary };
  await using vm = await launch({ ...spec, readyTimeoutSeconds: 240 });
  expect(await vm.query(sampleQuery(1), 5)).toHaveLength(5);
  expect((await vm.status()).consoleLog).toMatch(/\/2\/console\.log$/);
}, 300_000);

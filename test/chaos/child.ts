/** The launching process of `launcher.ts`: makes one call, tells how it goes, and ends. */
import type { Order, Word } from "./launcher.js";

const order = JSON.parse(process.argv[2]!) as Order;
if (order.clock) shiftClock(order.clock);
const { attach, createVm, destroyVm, updateVm } = await import("../../src/launcher/index.js");

const tell = (word: Word | "begun"): void => void process.send?.(word);
const onProgress = (progress: string): void => tell({ progress });

async function obey({ does, vmId = "", spec, name, owner }: Order) {
  if (does === "create") return await createVm(spec!, { onProgress, name, owner });
  if (does === "update") return await updateVm(vmId, spec!, { onProgress });
  if (does === "destroy") return await destroyVm(vmId, { onProgress });
  return await (await attach(vmId)).shutdown();
}

tell("begun");
try {
  tell({ done: await obey(order) });
} catch (error) {
  const { code, message } = error as { code?: string; message: string };
  tell({ failed: { code, message } });
}
process.disconnect();

/** As when somebody sets the host's clock: what is read of it jumps, the monotonic clock does not. */
function shiftClock({ offByMs, afterMs }: NonNullable<Order["clock"]>): void {
  const Real = Date;
  const start = performance.now();
  const now = (): number => Real.now() + (performance.now() - start >= afterMs ? offByMs : 0);
  globalThis.Date = new Proxy(Real, {
    construct: (target, args: [], self) =>
      Reflect.construct(target, args.length ? args : [now()], self) as Date,
    get: (target, key, self) => (key === "now" ? now : (Reflect.get(target, key, self) as unknown)),
  });
}

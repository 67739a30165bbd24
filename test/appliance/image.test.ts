import { joinImage } from "../../src/appliance/image.js";
import { codeOf } from "./code-of.js";

const initramfs = Buffer.from([0x1f, 0x8b, 8, 0]);

/** A kernel by its setup header only: `setupSectors` and `units` of 16 bytes behind them. */
function bzImage(setupSectors: number, units: number): Buffer {
  const kernel = Buffer.alloc(((setupSectors || 4) + 1) * 512 + units * 16, 0xcc);
  kernel[0x1f1] = setupSectors;
  kernel.writeUInt32LE(units, 0x1f4);
  kernel.write("HdrS", 0x202);
  kernel.writeUInt16LE(0x20f, 0x206);
  return kernel;
}

function certificate(length: number, stored = length): Buffer {
  const bytes = Buffer.alloc(stored, 0x30);
  bytes.writeUInt32LE(length, 0);
  bytes.writeUInt16LE(0x0200, 4);
  bytes.writeUInt16LE(0x0002, 6);
  return bytes;
}

test.each([0, 1, 39])("follows an unsigned kernel of %i setup sectors at once", (sectors) => {
  const kernel = bzImage(sectors, 100);
  expect(joinImage(kernel, initramfs)).toEqual(Buffer.concat([kernel, initramfs]));
});

test.each([
  [1472, 1472, 1472],
  [1469, 1469, 1472],
  [1469, 1472, 1472],
])("follows a signature of length %i in %i bytes after %i", (length, stored, offset) => {
  const kernel = bzImage(1, 10);
  const image = joinImage(Buffer.concat([kernel, certificate(length, stored)]), initramfs);
  expect(image.subarray(kernel.length + offset)).toEqual(initramfs);
  expect(image.subarray(0, kernel.length)).toEqual(kernel);
});

test.each([
  ["a cut kernel", bzImage(1, 10).subarray(0, -1)],
  ["nothing", Buffer.alloc(0)],
  ["an ELF", Buffer.concat([Buffer.from("\x7fELF"), Buffer.alloc(4096)])],
  ["a kernel with something unknown behind it", Buffer.concat([bzImage(1, 10), Buffer.alloc(16)])],
  ["a kernel with a signature and more", Buffer.concat([bzImage(1, 10), certificate(16), initramfs])],
])("refuses %s", (_, kernel) => {
  expect(codeOf(() => joinImage(kernel, initramfs))).toBe("ApplianceBuild");
});

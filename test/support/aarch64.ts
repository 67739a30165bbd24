/** An aarch64 guest that serves: Debian's arm64 kernel, as the set-up has got it, and a busybox for the rest. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  GUEST_ADDRESS,
  GUEST_PREFIX,
  MODULE_ORDER,
  NONCE_KEY,
  PORT_KEY,
  READY_LINE,
  READY_PORT,
} from "../../src/appliance/contract.js";
import { cpio, type CpioEntry } from "../../src/appliance/cpio.js";

const folder = (): string => {
  const path = process.env["MICROVM_TEST_ARM64"];
  if (path) return path;
  throw new Error(
    "MICROVM_TEST_ARM64 names no folder. `npm test` makes one and sets it; for Jest alone it is tools/debian-arm64 " +
      "in the product's cache folder.",
  );
};

/** A plain Image: without an initramfs it panics for want of a root file system. */
export const arm64Kernel = (): string => join(folder(), "Image");

/** Tells what of QEMU's devices it found by what it serves: the disk's first bytes, and whether its ready port is there. */
const init = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
while read -r module; do insmod /lib/modules/$module; done < ${MODULE_ORDER}
ip link set lo up
ip link set eth0 up
ip addr add ${GUEST_ADDRESS}/${GUEST_PREFIX} dev eth0
value() { sed -n "s/.*\\b$1=\\([^ ]*\\).*/\\1/p" /proc/cmdline; }
head -c 4 /dev/vda > /www/disk
nproc > /www/cpus
httpd -p "$(value ${PORT_KEY})" -h /www
for port in /sys/class/virtio-ports/*; do
  if [ "$(cat $port/name)" = ${READY_PORT} ]; then
    echo "${READY_LINE} $(value ${NONCE_KEY.replace(".", "\\.")})" > /dev/\${port##*/}
  fi
done
echo "the guest serves on $(uname -m)"
while true; do sleep 1000; done
`;

/** Writes the initramfs that makes that kernel serve. */
export async function writeArm64Initramfs(path: string): Promise<void> {
  const directory = (path: string): CpioEntry => ({ kind: "directory", path, mode: 0o755 });
  const file = (path: string, data: string | Buffer, mode = 0o644): CpioEntry => ({
    ...{ kind: "file", path, mode },
    data: Buffer.from(data),
  });
  const order = await readFile(join(folder(), "modules", "order"), "utf8");
  const modules = ["order", ...order.trim().split("\n")].map(async (name) =>
    file(`lib/modules/${name}`, await readFile(join(folder(), "modules", name))),
  );
  const archive = cpio([
    ...["bin", "dev", "proc", "sys", "lib", "lib/modules", "www", "www/v1"].map(directory),
    { kind: "character-device", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
    file("bin/busybox", await readFile(join(folder(), "busybox")), 0o755),
    file("init", init, 0o755),
    file("www/v1/health", '{"status":"ok"}'),
    ...(await Promise.all(modules)),
  ]);
  await writeFile(path, archive);
}

import { readFile } from "node:fs/promises";
import { harmlessOptions, isOwned, unsafeArgs } from "../../../src/launcher/plan/extra-args.js";

test.each([
  ["nothing", []],
  ["a CPU model", ["-cpu", "max,-avx"]],
  ["two dashes", ["--cpu", "max"]],
  ["QEMU's log", ["-d", "int,guest_errors", "-dfilter", "0x1000+0x10"]],
  ["a name, even one that looks like an option", ["-name", "-netdev"]],
  ["tracing to stderr", ["-trace", "virtio_*", "-trace", "enable=vm_state_notify"]],
  ["text for the guest's firmware", ["-fw_cfg", "name=opt/org.test,string=a,,b=c"]],
  [
    "text for the guest's DMI tables",
    ["-smbios", "type=11,value=io.systemd,,file=x", "-smbios", "type=1,serial=7"],
  ],
  ["a balloon", ["-device", "virtio-balloon-device,deflate-on-oom=on,id=b0"]],
  ["a panic device", ["-device", "pvpanic"]],
  ["flags", ["-mem-prealloc", "-mem-prealloc", "-overcommit", "mem-lock=off"]],
  ["clocks", ["-rtc", "base=2020-01-01,clock=vm", "-seed", "1", "-msg", "timestamp=on"]],
])("harmless: %s", (_, args) => expect(unsafeArgs(args)).toEqual([]));

const network = "would give the guest a network besides its restricted one";
const control = "could let others into QEMU's monitor, the console or the guest's memory";
const files = "could open files of the host";
const device = "could add a device that reaches beyond the VM";
const own = "would change what the launcher has set, and tells of the VM";
const unknown = "is not known to leave the VM's isolation as it is";

test.each([
  [["-netdev", "user,id=n1"], network],
  [["--netdev", "user,id=n1"], network],
  [["-nic", "user"], network],
  [["-net", "nic"], network],
  [["-device", "virtio-net-device,netdev=net0"], device],
  [["-device", "virtio-balloon-device,driver=e1000"], device],
  [["-device", "virtio-balloon-device,id=a,,,driver=e1000"], device],
  [["-device", '{"driver":"vfio-pci"}'], device],
  [["-device", ""], device],
  [["-monitor", "stdio"], control],
  [["-mon", "chardev=c"], control],
  [["-qmp-pretty", "tcp::4444,server"], control],
  [["-chardev", "socket,id=c,host=0.0.0.0,port=1"], control],
  [["-serial", "telnet::4444,server"], control],
  [["-parallel", "tcp::4444"], control],
  [["-debugcon", "tcp::4444"], control],
  [["-gdb", "tcp::1234"], control],
  [["-s"], control],
  [["-vnc", ":0"], control],
  [["-spice", "port=1"], control],
  [["-vga", "std"], control],
  [["-nographic"], control],
  [["-display", "vnc=:0"], control],
  [["-drive", "file=/etc/shadow,format=raw"], files],
  [["-blockdev", "driver=file,node-name=x,filename=/etc/shadow"], files],
  [["-hda", "/dev/sda"], files],
  [["-cdrom", "/etc/shadow"], files],
  [["-pflash", "/tmp/x"], files],
  [["-fsdev", "local,id=f,path=/,security_model=none"], files],
  [["-virtfs", "local,path=/,mount_tag=r,security_model=none"], files],
  [["-object", "rng-random,id=r,filename=/etc/shadow"], files],
  [["-object", "memory-backend-file,id=m,size=1M,mem-path=/x"], files],
  [["-mem-path", "/dev/shm"], files],
  [["-D", "/tmp/log"], files],
  [["-trace", "file=/tmp/log"], files],
  [["-trace", "enable=x,file=/tmp/log"], files],
  [["-trace", "events=/etc/shadow"], files],
  [["-fw_cfg", "name=opt/x,file=/etc/shadow"], files],
  [["-fw_cfg", "name=opt/x,string=a,,,file=/etc/shadow"], files],
  [["-smbios", "file=/etc/shadow"], files],
  [["-smbios", "type=11,path=/etc/shadow"], files],
  [["-kernel", "/boot/other"], own],
  [["-append", "init=/bin/sh"], own],
  [["-machine", "dumpdtb=/tmp/x"], own],
  [["-global", "virtio-net-device.netdev=x"], own],
  [["-set", "device.x.y=z"], own],
  [["-loadvm", "x"], own],
  [["-writeconfig", "/tmp/x"], own],
  [["-sandbox", "off"], "could change how QEMU is confined"],
  [["-run-with", "user=root"], "could change how QEMU is confined"],
  [["-plugin", "/tmp/x.so"], "could change how QEMU is confined"],
  [["-action", "reboot=reset"], "would change how the VM ends, by which the launcher tells why"],
  [["-new-in-qemu-20", "x"], unknown],
  [["-constructor"], unknown],
  [["-cpu=max"], unknown],
  [["---cpu", "max"], unknown],
  [["-"], unknown],
  [["/etc/shadow"], "is no option: QEMU would take it for a disk image of the host"],
])("%j is refused by what it would undo", (args, what) =>
  expect(unsafeArgs(args)).toEqual([`${args.join(" ")} ${what}`]),
);

test("each is told, and what stands between them is not", () =>
  expect(unsafeArgs(["-nic", "user", "-name", "x", "-s", "-cpu", "max", "disk.img", "-vnc"])).toEqual([
    `-nic user ${network}`,
    `-s ${control}`,
    "disk.img is no option: QEMU would take it for a disk image of the host",
    `-vnc ${control}`,
  ]));

test.each(["-S", "--S", "-qmp", "--pidfile", "-uuid", "-daemonize", "-readconfig"])(
  "%s is up to the launcher, whatever is allowed",
  (arg) => expect(isOwned(arg)).toBe(true),
);

test.each(["S", "-s", "---S", "-qmp-pretty", "qmp"])("%s is not the launcher's", (arg) =>
  expect(isOwned(arg)).toBe(false),
);

test("docs/security.md lists what is allowed", async () => {
  const text = await readFile(new URL("../../../docs/security.md", import.meta.url), "utf8");
  const table = text.slice(text.indexOf("| argument"), text.indexOf("Any other is refused"));
  expect([...table.matchAll(/`-([\w-]+)/g)].map(([, name]) => name).sort()).toEqual(
    [...harmlessOptions].sort(),
  );
});

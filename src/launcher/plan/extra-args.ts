/**
 * Which arguments of the user's own leave a VM's isolation as it is. The list is of what is allowed, because one of what is
 * not would be open to every option that a newer QEMU brings. Pure.
 */

/** QEMU options by which a VM would slip from the launcher's hands: they detach it, hold it up or keep it from ending. */
const ownedOptions = [
  ...["daemonize", "pidfile", "qmp", "runas", "uuid"],
  ...["S", "incoming", "preconfig", "no-shutdown", "readconfig"],
];

const anything = /^/;

/** In a list of `key=value` pairs QEMU doubles the commas that belong to a value. */
const value = "=(?:[^,]|,,)*";

/** Pairs with these keys alone. */
const only = (...keys: string[]): RegExp => {
  const pair = `(?:${keys.join("|")})${value}`;
  return new RegExp(`^${pair}(?:,${pair})*$`);
};

/** Devices of these kinds, whatever their properties; a later `driver=` would make another one of them. */
const devices = (...kinds: string[]): RegExp =>
  new RegExp(`^(?:${kinds.join("|")})(?:,(?!driver=)[^,=]+${value})*$`);

/** Options that open nothing on the host, with what their value may be; null where they take none. */
const harmless = new Map<string, RegExp | null>([
  ["cpu", anything],
  ["d", anything],
  ["device", devices("virtio-balloon-device", "pvpanic")],
  ["dfilter", anything],
  // `file` in these three is a file of the host.
  ["fw_cfg", only("name", "string")],
  ["smbios", only(..."type value manufacturer product version serial uuid sku family asset".split(" "))],
  ["trace", /^(?:enable=)?[^,=]+$/],
  ["mem-prealloc", null],
  ["msg", anything],
  ["name", anything],
  ["overcommit", anything],
  ["rtc", anything],
  ["seed", anything],
]);

/** The names of the options that are allowed with at least some values. */
export const harmlessOptions: readonly string[] = [...harmless.keys()];

/** What an option would undo, for the words of its refusal. */
const dangers: readonly [options: string, what: string][] = [
  ["netdev nic net", "would give the guest a network besides its restricted one"],
  [
    "monitor mon qmp-pretty chardev serial parallel debugcon gdb s vnc spice display nographic vga",
    "could let others into QEMU's monitor, the console or the guest's memory",
  ],
  [
    "drive blockdev hda hdb hdc hdd fda fdb cdrom pflash mtdblock sd fsdev virtfs iscsi tpmdev object add-fd " +
      "mem-path D L bios option-rom acpitable dtb fw_cfg smbios trace dump-vmstate",
    "could open files of the host",
  ],
  ["device", "could add a device that reaches beyond the VM"],
  [
    "kernel initrd append machine M accel enable-kvm m smp global set writeconfig boot loadvm snapshot",
    "would change what the launcher has set, and tells of the VM",
  ],
  ["sandbox chroot run-with plugin", "could change how QEMU is confined"],
  ["action watchdog-action no-reboot", "would change how the VM ends, by which the launcher tells why"],
];

const dangerOf = (option: string): string =>
  dangers.find(([options]) => options.split(" ").includes(option))?.[1] ??
  "is not known to leave the VM's isolation as it is";

/** As QEMU reads it: one dash or two, then the name and nothing else. */
const optionOf = (arg: string): string => arg.replace(/^--?/, "");

/** Whether the argument is up to the launcher, whatever is allowed. */
export const isOwned = (arg: string): boolean => arg.startsWith("-") && ownedOptions.includes(optionOf(arg));

/** Of each argument that could undo the isolation: itself and what it could do, as one sentence. Empty where none can. */
export function unsafeArgs(args: readonly string[]): string[] {
  const found: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (!arg.startsWith("-")) {
      found.push(`${arg} is no option: QEMU would take it for a disk image of the host`);
      continue;
    }
    const option = optionOf(arg);
    const rule = harmless.get(option);
    if (rule === null) continue;
    const next = args[i + 1];
    const given = rule !== undefined || !next?.startsWith("-") ? next : undefined;
    if (given !== undefined) i++;
    if (rule?.test(given ?? "")) continue;
    found.push(`${given === undefined ? arg : `${arg} ${given}`} ${dangerOf(option)}`);
  }
  return found;
}

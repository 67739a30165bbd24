/** The moments of an operation at which something is done to it. Each is told by what is seen from outside, none by time. */
import type { Parties } from "./parties.js";
import type { Sight } from "./sight.js";

export interface Now {
  parties: Parties;
  sight: Sight;
  /** Before the command began. */
  before: Sight;
}

export type Moments = Record<string, (now: Now) => boolean>;

/** It was given nothing to do yet. */
export const UNASKED = "the plugin is there";

const begins: Moments = { [UNASKED]: ({ parties }) => parties.plugin !== undefined };

/** Of a generation that boots in the VM's own place. */
const isRecorded: Moments = {
  "it is recorded": ({ sight, before }) => (sight.record?.generation?.number ?? 0) > before.newest,
};

/** Of a generation that boots, whether the VM had others before or not. */
const boots: Moments = {
  "QEMU is there": ({ sight, before }) => sight.newest > before.newest && sight.has("qemu.pid"),
  "its monitor is there": ({ sight, before }) => sight.newest > before.newest && sight.has("qmp.sock"),
  "its guest speaks": ({ sight, before }) => sight.newest > before.newest && sight.has("console.log"),
  "its guest is ready": ({ sight, before }) => sight.newest > before.newest && sight.has("ready"),
  "it is recorded as the VM's": ({ sight, before }) =>
    sight.record?.phase === "ready" && sight.record.generation!.number > before.newest,
};

/** The engine writes its intention down before, and then whatever came of it. */
const isSaved = ({ sight: { record, state } }: Now): boolean =>
  record?.generation?.pid !== undefined && new RegExp(`"pid": ?${record.generation.pid}\\b`).test(state);

const isSavedAnew: Moments = {
  "it is saved": (now) => now.sight.newest > now.before.newest && isSaved(now),
};

const isAnother = ({ sight: { record }, before }: Now): boolean =>
  record !== undefined && record.vmId !== before.record!.vmId;

/** Of a VM that takes another's place in the state. */
const ofAnother: Moments = {
  "the new one is recorded": isAnother,
  "the new one's guest is ready": (now) => isAnother(now) && now.sight.has("ready"),
  "the new one is saved": (now) => isAnother(now) && isSaved(now),
};

const isRemoved: Moments = {
  "the old one is removed": ({ sight, before }) => !sight.vmIds.includes(before.record!.vmId),
};

export const momentsOf = {
  create: { ...begins, ...isRecorded, ...boots, "it is saved": isSaved },
  /** The new one boots beside the old one. */
  update: {
    ...begins,
    "it is recorded as the next": ({ sight }) => sight.record?.next !== undefined,
    ...boots,
    "the old one drains": ({ sight }) => sight.record?.former !== undefined,
    "the old one is gone": ({ sight: { record }, before }) =>
      record?.former === undefined &&
      record?.next === undefined &&
      (record?.generation?.number ?? 0) > before.newest,
    ...isSavedAnew,
  },
  stopFirst: {
    ...begins,
    "the old one is told to go": ({ sight }) => sight.record?.phase === "stopping",
    ...isRecorded,
    ...boots,
    ...isSavedAnew,
  },
  ports: {
    ...begins,
    "it is recorded": ({ sight, before }) =>
      sight.record?.generation?.boundApiPort !== before.record?.generation?.boundApiPort,
    "it is saved": ({ sight }) =>
      new RegExp(`"boundApiPort": ?${sight.record?.generation?.boundApiPort}\\b`).test(sight.state),
  },
  /** The old one goes before the new one is made. */
  replace: {
    ...begins,
    "the old one is told to go": ({ sight }) => sight.record?.phase === "stopping",
    ...isRemoved,
    ...ofAnother,
  },
  replaceBeside: { ...begins, ...ofAnother, ...isRemoved },
  delete: {
    ...begins,
    "it is told to go": ({ sight }) => sight.record?.phase === "stopping",
    "it is off": ({ sight }) => sight.has("exit-status"),
    "it is removed": ({ sight }) => !sight.hasFolder,
    "it is saved": ({ sight, before }) => !sight.state.includes(before.record!.vmId),
  },
} satisfies Record<string, Moments>;

export type Operation = keyof typeof momentsOf;

/** The shell that stays above QEMU and does what must go on when whoever started it is gone: exit status, console, evidence. */

/**
 * Of the guest's console the keeper holds at least this much once it has said it, and less than four times as much, in two files: the current
 * one and the one before it. Thousands of boots of a quiet guest, or the last minutes of one that floods an emulated UART; a
 * hundred VMs are 1.6 GB at worst.
 */
export const consoleFileBytes = 4 << 20;

/** What dd copies at once at most. Small, because it counts reads, and a UART's mostly bring single bytes. */
const blockBytes = 512;

/** The file that holds the console from before `path`, which has grown too large. */
export const formerConsole = (path: string): string => `${path}.1`;

/**
 * Copies the console from the pipe on descriptor 4 into files until the last writer is gone. What cannot be written (full
 * disk, folder removed) is read nevertheless, since a guest whose console nobody reads stands still. Only what POSIX says
 * of dd, because busybox's and macOS's know less than GNU's: it ends after `count` reads, of which it tells as
 * "FULL+PARTIAL records in", perhaps behind a warning. Fewer mean that the pipe has ended.
 */
const reader = `
while
  said=$(LC_ALL=C dd bs=${blockBytes} count=${consoleFileBytes / blockBytes} 2>&1 >>"$console") ||
    said=$(LC_ALL=C dd bs=${blockBytes} count=${consoleFileBytes / blockBytes} 2>&1 >/dev/null)
  said=\${said%% records in*}
  [ $((\${said##*[!0-9+]})) -eq ${consoleFileBytes / blockBytes} ]
do
  [ $(wc -c <"$console") -lt ${consoleFileBytes} ] || mv -f "$console" "${formerConsole("$console")}"
done`;

/** How often the kernel has killed for want of memory in this control group, by cgroup v2 and v1; nothing where neither tells. */
const outOfMemoryKills = `grep -hs "^oom_kill " \
"/sys/fs/cgroup$(sed -n "s/^0:://p" /proc/self/cgroup)/memory.events" \
"/sys/fs/cgroup/memory$(sed -n "s/^[0-9]*:memory://p" /proc/self/cgroup)/memory.oom_control"`;

/**
 * For `sh -c`, with the parameters 0 exit status, 1 stderr, 2 console, 3 its pipe, 4 QEMU's pid file, and then QEMU and its
 * arguments. All its files are for this user alone.
 *
 * The pipe is opened for both sides before QEMU is there, so that nobody ever waits in open(2), and the keeper keeps its
 * writing end until QEMU has ended: then, however it went, the reader finds the end of the pipe, and the exit status
 * stands only beside a complete console. Should the keeper be killed, the reader goes on until QEMU's end; should the
 * reader be killed, QEMU's writes fail and the guest goes on.
 *
 * The out-of-memory killer leaves no trace but in the kernel's log, which mostly only root can read, and in the control group's count, which
 * does not say whom it hit and therefore counts only where the log is closed.
 */
export const keeper = `umask 077
exec >>"$1" 2>&1
console=$2 pipe=$3 pidfile=$4
shift 4
mkfifo "$pipe" || { echo $? >"$0"; exit; }
exec 3<>"$pipe" 4<"$pipe" 5>"$pipe" 3>&-
{${reader}
} <&4 5>&- 2>/dev/null &
exec 4<&-
kills() { ${outOfMemoryKills} 2>/dev/null; }
before=$(kills)
"$@" 5>&-
code=$?
exec 5>&-
wait
if [ $code -eq 137 ]; then
  if kernel=$(dmesg 2>/dev/null); then
    printf "%s\\n" "$kernel" | grep "illed process $(cat "$pidfile") "
  elif [ "$before" != "$(kills)" ]; then
    echo "out of memory: $before, then $(kills) in QEMU's control group"
  fi
fi
rm -f "$pipe"
echo $code >"$0"
`;

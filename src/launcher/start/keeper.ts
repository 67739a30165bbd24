/** The shell that stays above QEMU and does what must go on when whoever started it is gone: exit status, what it and its guest say, evidence. */

/**
 * Of the guest's console the keeper holds at least this much once it has said it, and less than four times as much, in two files: the current
 * one and the one before it. Thousands of boots of a quiet guest, or the last minutes of one that floods an emulated UART; a
 * hundred VMs are 1.6 GB at worst.
 */
export const consoleFileBytes = 4 << 20;

/** What is kept of the guest's channel at most. */
export const wordsBytes = 64 << 10;

/** What dd copies at once at most. Small, because it counts reads, and a UART's mostly bring single bytes. */
const blockBytes = 512;

/** The file that holds the console from before `path`, which has grown too large. */
export const formerConsole = (path: string): string => `${path}.1`;

/**
 * `keep FILE` copies standard input into files until the last writer is gone. What cannot be written (full disk, folder
 * removed) is read nevertheless, since a guest whose console nobody reads stands still. Only what POSIX says of dd,
 * because busybox's and macOS's know less than GNU's: it ends after `count` reads, of which it tells as "FULL+PARTIAL
 * records in", perhaps behind a warning. Fewer mean that the pipe has ended.
 */
const keep = `keep() {
  while
    said=$(LC_ALL=C dd bs=${blockBytes} count=${consoleFileBytes / blockBytes} 2>&1 >>"$1") ||
      said=$(LC_ALL=C dd bs=${blockBytes} count=${consoleFileBytes / blockBytes} 2>&1 >/dev/null)
    said=\${said%% records in*}
    [ $((\${said##*[!0-9+]})) -eq ${consoleFileBytes / blockBytes} ]
  do
    [ $(wc -c <"$1") -lt ${consoleFileBytes} ] || mv -f "$1" "${formerConsole("$1")}"
  done
}`;

/** Of the guest's channel the first words are kept, as many as are ever read of it: whatever follows is a hostile guest's. */
const keepFirst = `dd bs=${blockBytes} count=${wordsBytes / blockBytes} >"$ready"; cat >/dev/null`;

/**
 * `kills` tells how often the kernel has killed for want of memory in this control group, by cgroup v2 and v1; nothing where neither does.
 * Without a program of its own, since QEMU waits for it.
 */
export const outOfMemoryKills = `kills() {
  while IFS=: read -r _ controllers group; do
    case $controllers in
      "") events=/sys/fs/cgroup$group/memory.events ;;
      memory) events=/sys/fs/cgroup/memory$group/memory.oom_control ;;
      *) continue ;;
    esac
    [ ! -r "$events" ] || while read -r event count; do
      [ "$event" != oom_kill ] || echo "$event $count"
    done <"$events"
  done </proc/self/cgroup
} 2>/dev/null`;

/**
 * The log's line about QEMU's end. Its process ids are those of the host's first namespace (whose inode is PROC_PID_INIT_INO,
 * include/linux/proc_ns.h), and may have been others' before QEMU was started. Fails where the log cannot be asked or knows nothing.
 */
const outOfMemoryLine = `[ "$(readlink /proc/self/ns/pid)" = "pid:[4026531836]" ] && log=$(dmesg 2>/dev/null) && {
    printf "%s\\n" "$log" | awk -F"[][]" -v since="$since" -v whom="illed process $(cat "$pidfile" 2>/dev/null) " '
      $2 + 0 >= since + 0 && index($0, whom) { sub(/^[^]]*] */, ""); print "out of memory: " $0; told = 1 }
      END { exit !told }'
  }`;

/**
 * The earliest that the kernel's log may call now, in seconds. Its clock stands still in a host's sleep as ours does, but starts at another moment
 * of the boot and is not corrected, as ours is by up to 500 millionths (the kernel's own discipline for NTP, adjtimex(2)). That a killed process
 * had QEMU's number within that time before is next to impossible. Of a clock that was put right by more the control group's count tells.
 */
export const logTime = (): string => (Number(process.hrtime.bigint()) * 1e-9 * (1 - 500e-6) - 1).toFixed(6);

/**
 * A child that a wrapper around QEMU leaves behind holds its stderr, and the guest's channel, for as long as it likes: their readers, who
 * take the pipes away at the end, are looked for so many times, every 10 ms. QEMU's own words are through long before.
 */
const strangersTries = 50;

/**
 * For `sh -c`, with the parameters 0 exit status, 1 QEMU's output, 2 console, 3 the guest's channel, 4 to 6 the pipes through which
 * these three come, 7 QEMU's pid file, 8 `logTime`, and then QEMU and its arguments. All its files are for this user alone.
 *
 * Each pipe is opened for both sides before QEMU is there, so that nobody ever waits in open(2), and the keeper keeps its
 * writing end until QEMU has ended: then, however it went, the reader finds the end of the pipe, and the exit status
 * stands only beside a complete console. Should the keeper be killed, the readers go on until QEMU's end; should a
 * reader be killed, QEMU's writes fail and the guest goes on. QEMU would try a failed write to the guest's channel again without
 * pause, so it holds that pipe open for reading itself. From QEMU's end to its own the keeper holds the reading end of the console's pipe,
 * by which whoever waits for the exit status sees that it is coming (ending.ts).
 *
 * The out-of-memory killer leaves no trace but in the kernel's log, which mostly only root can read, and in the control group's count, which
 * does not say whom it hit and is told of only where the log says nothing.
 */
export const keeper = `umask 077
exec >>"$1" 2>&1
stderr=$1 console=$2 ready=$3 stderrpipe=$4 consolepipe=$5 readypipe=$6 pidfile=$7 since=$8
shift 8
${keep}
${outOfMemoryKills}
mkfifo "$stderrpipe" "$consolepipe" "$readypipe" || { echo $? >"$0"; exit; }
exec 3<>"$consolepipe" 4<"$consolepipe" 5>"$consolepipe" 3>&-
{ keep "$console"; } <&4 5>&- 2>/dev/null &
reader=$!
exec 3<>"$stderrpipe" 4<"$stderrpipe" 6>"$stderrpipe" 3>&-
{ keep "$stderr"; rm -f "$stderrpipe"; } <&4 5>&- 6>&- 2>/dev/null &
exec 7<>"$readypipe" 4<"$readypipe"
{ ${keepFirst}; rm -f "$readypipe"; } <&4 5>&- 6>&- 7>&- 2>/dev/null &
exec 4<&-
before=$(kills)
"$@" >&6 2>&6 5>&- 6>&-
code=$?
exec 8<"$consolepipe" 5>&- 6>&- 7>&-
wait $reader
tries=0
while { [ -p "$stderrpipe" ] || [ -p "$readypipe" ]; } && [ $((tries += 1)) -le ${strangersTries} ]; do sleep 0.01; done
exec >>"$stderr" 2>&1
if [ $code -eq 137 ]; then
  ${outOfMemoryLine} || [ "$before" = "$(kills)" ] ||
    echo "perhaps out of memory: $before, then $(kills) in QEMU's control group"
fi
rm -f "$stderrpipe" "$readypipe"
echo $code >"$0"
rm -f "$consolepipe"
`;

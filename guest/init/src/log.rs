//! One line of text for whoever reads the console. Nothing here can fail: PID 1 goes on without a console.

use std::io::{Write, stderr};
use std::os::fd::AsRawFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;

/// How long the last lines may take to the host.
const LIMIT: Duration = Duration::from_millis(200);
const STEP: Duration = Duration::from_millis(1);

/// For a guest's console, which stands still while nobody on the host takes what it prints: lines are then lost, and
/// nobody waits.
pub fn never_wait() {
    let _ = fcntl(stderr(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
}

/// Writes `microvm: <text>` to stderr, which the kernel has opened as the console for PID 1.
pub fn line(text: &str) {
    // Not eprintln!, which panics when the write fails.
    let _ = stderr().write_all(format!("microvm: {}\n", text.replace('\n', " ")).as_bytes());
}

/// The console takes what is printed a few bytes at a time, and what it has not taken yet would go with the machine.
pub fn let_out() {
    let deadline = Instant::now() + LIMIT;
    while unsent() > 0 && Instant::now() < deadline {
        sleep(STEP);
    }
}

nix::ioctl_read_bad!(bytes_unsent, libc::TIOCOUTQ, libc::c_int);

/// 0 where stderr is no console.
fn unsent() -> libc::c_int {
    let mut bytes = 0;
    // SAFETY: the kernel writes the one integer.
    unsafe { bytes_unsent(stderr().as_raw_fd(), &mut bytes) }.map_or(0, |_| bytes)
}

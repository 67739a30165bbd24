//! One line of text for whoever reads the console. Nothing here can fail: PID 1 goes on without a console.

use std::io::{Write, stderr};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

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

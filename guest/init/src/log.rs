//! One line of text for whoever reads the console. Nothing here can fail: PID 1 goes on without a console.

use std::io::Write;

/// Writes `microvm: <text>` to stderr, which the kernel has opened as the console for PID 1.
pub fn line(text: &str) {
    // Not eprintln!, which panics when the write fails.
    let _ = std::io::stderr().write_all(format!("microvm: {}\n", text.replace('\n', " ")).as_bytes());
}

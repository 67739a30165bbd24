//! The control port: a virtio-serial port on which the host tells a running guest what to do, a line each.

use std::fs::File;
use std::io::{Read, Result};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep};

use crate::clone::Identity;
use crate::contract::{CLONE_LINE, CONTROL_PORT, DRAIN_LINE};
use crate::{log, port};

/// The port gets its name a moment after the driver is loaded. A host may do without it.
const LIMIT: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(5);

/// The longest line, in bytes.
const LINE_BYTES: usize = 4096;

#[derive(Debug, PartialEq)]
pub enum Order {
    Drain,
    Clone(Identity),
}

impl Order {
    fn parse(line: &str) -> Option<Order> {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            [DRAIN_LINE] => Some(Order::Drain),
            [CLONE_LINE, seed, time, nonce] => Identity::parse(seed, time, nonce).map(Order::Clone),
            _ => None,
        }
    }
}

pub struct Control {
    port: File,
    change: Signal,
    lines: Lines,
}

impl Control {
    /// Waits for the port to turn up.
    pub async fn open() -> Result<Control> {
        let deadline = Instant::now() + LIMIT;
        let port = loop {
            match port::open(CONTROL_PORT, File::options().read(true)) {
                Err(_) if Instant::now() < deadline => sleep(STEP).await,
                outcome => break outcome?,
            }
        };
        let change = signal(SignalKind::io())?;
        send_changes(&port)?;
        Ok(Control { port, change, lines: Lines::default() })
    }

    /// The host's next order. What is none is logged and passed over.
    pub async fn next(&mut self) -> Order {
        loop {
            let mut bytes = [0; 512];
            while let Some(line) = self.lines.next() {
                match Order::parse(&line) {
                    Some(order) => return order,
                    // Its words are not repeated, since a seed may be among them.
                    None => log::line("a line from the host is not understood"),
                }
            }
            match self.port.read(&mut bytes) {
                Ok(length @ 1..) => self.lines.push(&bytes[..length]),
                // Nothing for now; the end is read while no client is connected on the host.
                _ => drop(self.change.recv().await),
            }
        }
    }
}

/// Has the kernel send SIGIO whenever something happens to the port. To poll it is no way: as long as no client is
/// connected on the host, it is always readable and hung up.
fn send_changes(port: &File) -> Result<()> {
    // SAFETY: takes two numbers.
    Errno::result(unsafe { libc::fcntl(port.as_raw_fd(), libc::F_SETOWN, libc::getpid()) })?;
    fcntl(port, FcntlArg::F_SETFL(OFlag::O_ASYNC | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// Makes lines of what comes in pieces.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    /// A line without end is forgotten in part, so that it takes no memory; it is no order anyway.
    fn push(&mut self, bytes: &[u8]) {
        self.0.truncate(LINE_BYTES);
        self.0.extend_from_slice(bytes);
    }

    /// The first whole line, without its end.
    fn next(&mut self) -> Option<String> {
        let end = self.0.iter().position(|byte| *byte == b'\n')?;
        let line = self.0.drain(..=end).take(end).collect::<Vec<_>>();
        Some(String::from_utf8_lossy(&line).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_orders() {
        assert_eq!(Order::parse("drain"), Some(Order::Drain));
        assert_eq!(Order::parse(" drain\r"), Some(Order::Drain));
        let seed = "0f".repeat(32);
        let clone = Order::parse(&format!("clone {seed} 1.5 n0"));
        assert_eq!(clone, Identity::parse(&seed, "1.5", "n0").map(Order::Clone));
        assert_ne!(clone, None);
        for line in ["", "drained", "drain now", "DRAIN", "\0", "clone", "clone 00 1 n0"] {
            assert_eq!(Order::parse(line), None, "{line:?}");
        }
    }

    #[test]
    fn makes_lines_of_pieces() {
        let mut lines = Lines::default();
        let mut taken = Vec::new();
        for piece in ["dra", "in\n", "\ndrain\nd", "rain", "\n\u{e4}"] {
            lines.push(piece.as_bytes());
            taken.extend(std::iter::from_fn(|| lines.next()));
        }
        assert_eq!(taken, ["drain", "", "drain", "drain"]);
    }

    #[test]
    fn a_line_without_end_takes_no_memory_and_the_next_one_counts() {
        let mut lines = Lines::default();
        for _ in 0..1000 {
            lines.push(&[b'x'; 512]);
        }
        assert!(lines.0.len() <= LINE_BYTES + 512);
        lines.push(b"\ndrain\n");
        assert_ne!(lines.next(), None);
        assert_eq!(lines.next().as_deref(), Some("drain"));
    }
}

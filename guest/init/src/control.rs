//! The control port: a virtio-serial port on which the host tells a running guest what to do, a line each.

use std::fs::File;
use std::io::{Read, Result};
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
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
    changes: Changes,
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
        let changes = Changes::of(&port)?;
        Ok(Control { port, changes, lines: Lines::default() })
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
                _ => self.changes.next().await,
            }
        }
    }
}

/// Tells when something happens to the port, and not how it stands: as long as no client is connected on the host, it is
/// always readable and hung up. An epoll of its own for that, because the runtime takes a hang-up for the end.
struct Changes {
    epoll: Epoll,
    happened: AsyncFd<OwnedFd>,
}

impl Changes {
    fn of(port: &File) -> Result<Changes> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(port, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 0))?;
        let own = epoll.0.try_clone()?;
        // SAFETY: it owns its descriptor.
        let happened = unsafe { AsyncFd::register_with_interest(own, Interest::READABLE) }?;
        Ok(Changes { epoll, happened })
    }

    /// Ends when something has happened since the last one.
    async fn next(&self) {
        match self.happened.readable().await {
            Ok(mut ready) => {
                // What happens from here on counts as the next change.
                ready.clear_ready();
                let _ = self.epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::ZERO);
            }
            // The runtime is about to end.
            Err(_) => std::future::pending().await,
        }
    }
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

//! Makes one of several guests that go on from one saved state another than the rest: they share all that the kernel
//! drew random numbers from, and their clocks stand at the moment of saving.
//!
//! Of random numbers this program itself holds only the seeds of its hash tables, which guard no secret.

use std::fs::File;
use std::io::{Error, Result};
use std::os::fd::AsRawFd;

use nix::libc::c_int;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};

/// The kernel's random numbers.
pub const RANDOM: &str = "/dev/urandom";

const SEED_BYTES: usize = 32;

#[derive(Debug, PartialEq)]
pub struct Identity {
    seed: [u8; SEED_BYTES],
    /// Since 1970, in seconds and nanoseconds.
    time: (i64, i64),
    /// For the ready line.
    pub nonce: String,
}

impl Identity {
    /// `seed` in hexadecimal digits, `time` in seconds since 1970 with or without a fraction.
    pub fn parse(seed: &str, time: &str, nonce: &str) -> Option<Identity> {
        Some(Identity { seed: bytes(seed)?, time: seconds(time)?, nonce: nonce.to_owned() })
    }

    /// `random` is RANDOM. May be done again: a seed is only ever added to what the kernel has.
    pub fn take(&self, random: &File) -> Result<()> {
        let (added, size) = (SEED_BYTES * 8, SEED_BYTES);
        let pool = Pool { entropy_bits: added as c_int, size: size as c_int, bytes: self.seed };
        // SAFETY: the kernel reads as many bytes as the structure says that it holds.
        unsafe { add_entropy(random.as_raw_fd(), &pool) }?;
        // SAFETY: takes no argument.
        unsafe { reseed(random.as_raw_fd()) }?;
        let (seconds, nanoseconds) = self.time;
        clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::new(seconds, nanoseconds)).map_err(Error::from)
    }
}

/// `struct rand_pool_info` with a buffer of our size.
#[repr(C)]
struct Pool {
    entropy_bits: c_int,
    size: c_int,
    bytes: [u8; SEED_BYTES],
}

// The size in this number is that of the two integers alone.
nix::ioctl_write_ptr_bad!(add_entropy, nix::request_code_write!(b'R', 0x03, 2 * size_of::<c_int>()), Pool);
nix::ioctl_none!(reseed, b'R', 0x07);

fn bytes(hex: &str) -> Option<[u8; SEED_BYTES]> {
    let mut bytes = [0; SEED_BYTES];
    let well_formed = hex.len() == 2 * SEED_BYTES && hex.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !well_formed {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

fn seconds(text: &str) -> Option<(i64, i64)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if ![whole, fraction].iter().all(|digits| digits.bytes().all(|digit| digit.is_ascii_digit())) {
        return None;
    }
    let nanoseconds = format!("{fraction:0<9}")[..9].parse().ok()?;
    Some((whole.parse().ok()?, nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_seed() {
        let seed: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(bytes(&seed), Some(std::array::from_fn(|at| at as u8)));
        assert_eq!(bytes(&"fF".repeat(32)), Some([0xff; 32]));
        for seed in ["", "00", &"0".repeat(63), &"0".repeat(66), &"+f".repeat(32), &"\u{e9}".repeat(32)] {
            assert_eq!(bytes(seed), None, "{seed}");
        }
    }

    #[test]
    fn reads_a_time() {
        assert_eq!(seconds("1700000000"), Some((1_700_000_000, 0)));
        assert_eq!(seconds("1700000000.25"), Some((1_700_000_000, 250_000_000)));
        assert_eq!(seconds("1.0000000019"), Some((1, 1)));
        for time in ["", ".5", "-1", "1.-5", "1e9", "1.5.5", "99999999999999999999", "\u{662}"] {
            assert_eq!(seconds(time), None, "{time}");
        }
    }
}

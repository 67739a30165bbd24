//! Devices turn up a moment after their driver is loaded.

use std::thread::sleep;
use std::time::{Duration, Instant};

const STEP: Duration = Duration::from_millis(5);

/// Tries until it works or the time is up; the last error then.
pub fn retry<T, E>(limit: Duration, mut attempt: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let deadline = Instant::now() + limit;
    loop {
        match attempt() {
            Err(_) if Instant::now() < deadline => sleep(STEP),
            outcome => return outcome,
        }
    }
}

//! The end of the VM: the power button, powering off, and giving up.

use std::fs::{File, OpenOptions, read_dir};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use nix::libc::O_NONBLOCK;
use nix::sys::reboot::{RebootMode, reboot};
use nix::unistd::sync;

use crate::contract::FATAL_LINE;
use crate::{log, modules, net, port};

/// `struct input_event` of a 64-bit kernel: a time of 16 bytes, u16 type, u16 code, i32 value.
const EVENT_BYTES: usize = 24;
const EV_KEY: u16 = 1;
const KEY_POWER: u16 = 116;

/// Every input device that can be opened; without ACPI there is no button and the list is empty.
pub fn buttons() -> Vec<File> {
    let Ok(entries) = read_dir("/dev/input") else { return Vec::new() };
    let events = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("event"));
    let open = |path| OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path);
    events.filter_map(|entry| open(entry.path()).ok()).collect()
}

/// Takes all waiting events from a device; true when the power button went down among them.
pub fn pressed(mut button: &File) -> bool {
    let mut event = [0; EVENT_BYTES];
    let mut pressed = false;
    while matches!(button.read(&mut event), Ok(EVENT_BYTES)) {
        pressed |= is_power_press(&event);
    }
    pressed
}

fn is_power_press(event: &[u8; EVENT_BYTES]) -> bool {
    let half = |at: usize| u16::from_ne_bytes([event[at], event[at + 1]]);
    let value = i32::from_ne_bytes([event[20], event[21], event[22], event[23]]);
    half(16) == EV_KEY && half(18) == KEY_POWER && value == 1
}

/// Tells the host why this guest cannot serve, then powers off.
pub fn fatal(reason: &str) -> ! {
    if let Err(error) = port::write_line(&format!("{FATAL_LINE} {reason}")) {
        log::line(&format!("no fatal line: {error}"));
    }
    log::line(&format!("{FATAL_LINE} {reason}"));
    off()
}

/// Ends QEMU. Without ACPI a power-off would only halt an x86 CPU, while QEMU's `-no-reboot` makes a reboot an end. On
/// aarch64 the machine's firmware, PSCI, is always there to do it.
pub fn off() -> ! {
    sync();
    log::let_out();
    // A Linux that goes down while something is sent may spin for ever instead. Ours has a patch (guest/kernel/broken-queue.patch).
    if modules::are_there() {
        net::down();
    }
    let can = cfg!(target_arch = "aarch64") || Path::new("/sys/firmware/acpi/tables").exists();
    let _ = reboot(if can { RebootMode::RB_POWER_OFF } else { RebootMode::RB_AUTOBOOT });
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: u16, code: u16, value: i32) -> [u8; EVENT_BYTES] {
        let mut event = [0xAA; EVENT_BYTES];
        event[16..18].copy_from_slice(&kind.to_ne_bytes());
        event[18..20].copy_from_slice(&code.to_ne_bytes());
        event[20..24].copy_from_slice(&value.to_ne_bytes());
        event
    }

    #[test]
    fn only_the_power_key_going_down_counts() {
        assert!(is_power_press(&event(EV_KEY, KEY_POWER, 1)));
        assert!(!is_power_press(&event(EV_KEY, KEY_POWER, 0)));
        assert!(!is_power_press(&event(EV_KEY, 115, 1)));
        assert!(!is_power_press(&event(0, KEY_POWER, 1)));
    }
}

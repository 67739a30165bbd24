//! The guest's virtio-serial ports, and the ready port among them, on which this guest tells its host what it has come to.

use std::fs::{File, OpenOptions, read_dir, read_to_string};
use std::io::{Error, ErrorKind, Result, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use nix::libc::O_NONBLOCK;

use crate::contract::READY_PORT;
use crate::wait;

/// The port gets its name, and the host's end opens, a moment after the driver is loaded.
const LIMIT: Duration = Duration::from_secs(2);

/// Writes one line. Without the port, or when the host never takes the line, this is an error and never a hang.
pub fn write_line(text: &str) -> Result<()> {
    let line = format!("{}\n", text.replace('\n', " ").trim_end());
    wait::retry(LIMIT, || ready()?.write_all(line.as_bytes()))
}

/// Opened once, by one process at a time: a guest that goes on from a saved state has its next line to write as soon as it
/// can.
fn ready() -> Result<&'static File> {
    static READY: OnceLock<File> = OnceLock::new();
    match READY.get() {
        Some(port) => Ok(port),
        None => open(READY_PORT, OpenOptions::new().write(true)).map(|port| READY.get_or_init(|| port)),
    }
}

/// Opens the port of that name so that no read or write ever waits.
pub fn open(name: &str, options: &mut OpenOptions) -> Result<File> {
    options.custom_flags(O_NONBLOCK).open(find(name)?)
}

fn find(wanted: &str) -> Result<PathBuf> {
    for entry in read_dir("/sys/class/virtio-ports")? {
        let entry = entry?;
        if read_to_string(entry.path().join("name")).is_ok_and(|name| name.trim_end() == wanted) {
            return Ok(Path::new("/dev").join(entry.file_name()));
        }
    }
    Err(Error::new(ErrorKind::NotFound, format!("no virtio-serial port is named {wanted}")))
}

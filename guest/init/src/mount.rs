//! The kernel's own file systems.

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

const TABLE: [(&str, &str); 3] = [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")];

pub fn all() -> Result<(), String> {
    for (kind, target) in TABLE {
        match mount(Some(kind), target, Some(kind), MsFlags::MS_NOSUID, None::<&str>) {
            // A kernel with DEVTMPFS_MOUNT has been here before.
            Ok(()) | Err(Errno::EBUSY) => {}
            Err(error) => return Err(format!("{target} cannot be mounted: {error}")),
        }
    }
    Ok(())
}

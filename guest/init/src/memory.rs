//! The machine's memory.

use nix::unistd::{SysconfVar, sysconf};

/// What the kernel has left for programs, in megabytes.
pub fn megabytes() -> usize {
    let value = |name| sysconf(name).ok().flatten().unwrap_or(0) as usize;
    (value(SysconfVar::_PHYS_PAGES) * value(SysconfVar::PAGE_SIZE)) >> 20
}

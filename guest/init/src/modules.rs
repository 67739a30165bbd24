//! Loads the kernel modules that the builder of the initramfs put beside the list, in the list's order.

use std::fs::{File, read_to_string};
use std::path::Path;

use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};

use crate::contract::MODULE_ORDER;
use crate::log;

/// Whether the kernel is a distribution's: the micro kernel has everything built in, and comes with an empty list.
pub fn are_there() -> bool {
    any_in(Path::new(MODULE_ORDER))
}

fn any_in(list: &Path) -> bool {
    list.metadata().is_ok_and(|list| list.len() > 0)
}

/// A module that cannot be loaded is logged only: whether its device is missed shows where the device is needed.
pub fn load() {
    let list = Path::new(MODULE_ORDER);
    let Ok(names) = read_to_string(list) else { return };
    for name in names.lines() {
        if let Err(error) = load_one(&list.with_file_name(name)) {
            log::line(&format!("module {name}: {error}"));
        }
    }
}

fn load_one(path: &Path) -> std::io::Result<()> {
    match finit_module(File::open(path)?, c"", ModuleInitFlags::empty()) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_there_where_the_list_names_one() {
        let list = std::env::temp_dir().join(format!("modules-{}", std::process::id()));
        assert!(!any_in(&list));
        std::fs::write(&list, "").unwrap();
        assert!(!any_in(&list));
        std::fs::write(&list, "virtio.ko\n").unwrap();
        assert!(any_in(&list));
        std::fs::remove_file(&list).unwrap();
    }
}

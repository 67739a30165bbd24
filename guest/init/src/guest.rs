//! The order of events in the guest.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use crate::cmdline::Settings;
use crate::{log, modules, mount, net, power, server, supervise};

const DISK: &str = "/dev/vda";

/// Brings the guest up and serves until the VM ends. Never returns, because the end of PID 1 is a kernel panic.
pub fn run() -> ! {
    log::never_wait();
    // Tells a kernel that did not come up from an init that did not.
    log::line("started");
    match serve() {
        Ok(()) => power::off(),
        Err(reason) => power::fatal(&reason),
    }
}

fn serve() -> Result<(), String> {
    mount::all()?;
    modules::load();
    let settings = Settings::of_this_boot()?;
    net::up()?;
    supervise::run(|| {
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, settings.port));
        server::run(Path::new(DISK), address, Some(&settings.nonce))
    })
}

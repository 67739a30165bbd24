//! PID 1 of the appliance: brings the guest up, serves the RVF on the first disk, and powers off when asked to.
//! Under any other PID it is the same server as a plain program: `init --serve FILE --listen ADDRESS:PORT`.

mod caught;
mod clone;
mod cmdline;
mod connections;
mod contract;
mod control;
mod error;
mod guest;
mod http;
mod log;
mod memory;
mod modules;
mod mount;
mod net;
mod port;
mod power;
mod server;
mod store;
mod supervise;
mod wait;

use std::process::ExitCode;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// For kill(2): every process but the caller.
const EVERY_OTHER: i32 = -1;

fn main() -> ExitCode {
    let guest = std::process::id() == 1;
    std::panic::set_hook(Box::new(move |panic| {
        // The server is a child with another PID, so this ends the VM for a fault of PID 1 itself only.
        if guest && std::process::id() == 1 {
            // It holds the ready port, on which the reason is told.
            let _ = kill(Pid::from_raw(EVERY_OTHER), Signal::SIGKILL);
            power::fatal(&format!("init failed: {panic}"));
        }
        log::line(&panic.to_string());
    }));
    if guest {
        guest::run();
    }
    match on_host() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            log::line(&reason);
            ExitCode::FAILURE
        }
    }
}

fn on_host() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--serve", file, "--listen", address] => {
            let address = address.parse().map_err(|error| format!("--listen {address}: {error}"))?;
            server::run(file.as_ref(), address, None)
        }
        _ => Err("usage: init --serve FILE --listen ADDRESS:PORT".into()),
    }
}

//! Runs the server as a child and watches it. PID 1 itself stays small and idle: what the server can die of (memory
//! that is not there, a fault in a library) then ends the VM with a reason instead of a kernel panic.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pause, pipe};

use crate::caught::caught;
use crate::{log, memory, power};

/// How long the server may take to finish the requests it has, once the button is pressed.
const GRACE: Duration = Duration::from_secs(3);

/// Returns when the server has ended on request; the reason when it ended otherwise.
pub fn run(serve: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let mut child_ended = SigSet::empty();
    child_ended.add(Signal::SIGCHLD);
    child_ended.thread_block().map_err(failed)?;
    let signals =
        SignalFd::with_flags(&child_ended, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).map_err(failed)?;
    let (reason, reason_in) = pipe().map_err(failed)?;
    // SAFETY: this process has one thread, so the child finds no lock held.
    let server = match unsafe { fork() }.map_err(failed)? {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let served = || caught(serve).unwrap_or_else(|words| Err(format!("the server failed: {words}")));
            let outcome = child_ended.thread_unblock().map_err(failed).and_then(|()| served());
            let mut reason = File::from(reason_in);
            if let Err(text) = outcome {
                let _ = reason.write_all(text.as_bytes());
                std::process::exit(1);
            }
            // Only PID 1 asks for this end. It hears of it so and powers off: to take a process apart before costs the kernel some milliseconds.
            drop(reason);
            loop {
                pause();
            }
        }
    };
    drop(reason_in);
    let buttons = power::buttons();
    if buttons.is_empty() {
        log::line("no power button");
    }
    let reason = File::from(reason);
    let ended = watch(server, &reason, &signals, &buttons);
    // To close one Linux waits some ticks of its clock until nobody can be at it any more: a quarter of the way down.
    std::mem::forget(buttons);
    match ended {
        None => Ok(()),
        Some(status) => Err(describe(status, reason)),
    }
}

/// None when the power button was pressed and the server has done its work or had its time; else how the server ended.
fn watch(server: Pid, reason: &File, signals: &SignalFd, buttons: &[File]) -> Option<WaitStatus> {
    let mut deadline: Option<Instant> = None;
    loop {
        if let Some(status) = reap(server) {
            return if deadline.is_some() { None } else { Some(status) };
        }
        let timeout = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            None => PollTimeout::NONE,
            Some(Duration::ZERO) => return None,
            Some(left) => PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX),
        };
        let watched = std::iter::once(signals.as_fd()).chain(buttons.iter().map(File::as_fd));
        // The server closes its end when it has served to the end, and stays: the only sign of it.
        let watched = watched.chain(deadline.map(|_| reason.as_fd()));
        let mut watched: Vec<PollFd> = watched.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let _ = poll(&mut watched, timeout);
        if deadline.is_some() && watched.last().is_some_and(|last| last.any() == Some(true)) {
            return None;
        }
        while let Ok(Some(_)) = signals.read_signal() {}
        if buttons.iter().filter(|button| power::pressed(button)).count() > 0 && deadline.is_none() {
            log::line("power button pressed");
            let _ = kill(server, Signal::SIGTERM);
            deadline = Some(Instant::now() + GRACE);
        }
    }
}

/// Takes every child that has ended, orphans too, as is PID 1's duty; the server's end when it is among them.
fn reap(server: Pid) -> Option<WaitStatus> {
    let mut end = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(status) if status.pid() == Some(server) => end = Some(status),
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return end,
            Ok(_) | Err(_) => {}
        }
    }
}

fn describe(status: WaitStatus, mut reason: File) -> String {
    let mut text = String::new();
    let _ = reason.read_to_string(&mut text);
    match status {
        _ if !text.is_empty() => text,
        WaitStatus::Signaled(_, Signal::SIGKILL | Signal::SIGABRT, _) => {
            format!(
                "out of memory: {} MB of usable memory are too little for this store; raise memoryMb",
                memory::megabytes()
            )
        }
        other => format!("the server ended unexpectedly: {other:?}"),
    }
}

fn failed(error: Errno) -> String {
    format!("the server cannot be started: {error}")
}

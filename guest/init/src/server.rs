//! Opens the store, listens, and serves until SIGTERM.

use std::convert::Infallible;
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};

use crate::clone::RANDOM;
use crate::connections::{Answer, Connections, IDLE};
use crate::contract::{DRAINED_LINE, READY_LINE};
use crate::control::{Control, Order};
use crate::http::Api;
use crate::store::Store;
use crate::{log, port};

/// How long requests under way may take after SIGTERM; a client that never finishes its request must not hold it up.
const END: Duration = Duration::from_secs(2);

/// How long it takes to take in what waits in the listener's queue.
const SETTLE: Duration = Duration::from_millis(50);

/// Serves `path` on `address`. A guest's host, where there is one, is told once the store is open and the server
/// listens, with the nonce; from then on it may give orders.
pub fn run(path: &Path, address: SocketAddr, nonce: Option<&str>) -> Result<(), String> {
    let terminate = terminate().map_err(|error| format!("no signals: {error}"))?;
    let store = Store::open(path)?;
    let runtime =
        Builder::new_current_thread().enable_all().build().map_err(|error| format!("no runtime: {error}"))?;
    let outcome = runtime.block_on(serve(store, address, nonce, terminate));
    // A scan that outlives the end must not be waited for, nor must memory be given back that goes with the process.
    std::mem::forget(runtime);
    outcome
}

/// Readable once this process is asked to end. The threads to come leave the signal alone too.
fn terminate() -> nix::Result<SignalFd> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;
    SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

async fn serve(
    store: Store,
    address: SocketAddr,
    nonce: Option<&str>,
    terminate: SignalFd,
) -> Result<(), String> {
    // SAFETY: it owns its descriptor.
    let terminate = unsafe { AsyncFd::register_with_interest(terminate, Interest::READABLE) };
    let terminate = terminate.map_err(|error| format!("no signals: {error}"))?;
    let about = format!("{} vectors of {} dimensions", store.total_vectors(), store.dimension());
    let listener =
        TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let address = listener.local_addr().map_err(|error| format!("cannot listen: {error}"))?;
    let api = Api::new(store);
    let answer: Answer = Arc::new(move |request| Box::pin(api.clone().reply(request)));
    let (connections, mut accepting) = Connections::serve(listener, answer);
    log::line(&format!("serving {about} on {address}"));
    if let Some(nonce) = nonce {
        tell(&format!("{READY_LINE} {nonce}"));
    }
    tokio::select! {
        _ = terminate.readable() => {}
        ended = &mut accepting => return Err(format!("the HTTP server ended: {ended:?}")),
        Err(reason) = obey(Arc::clone(&connections)), if nonce.is_some() => return Err(reason),
    }
    accepting.abort();
    connections.close(Duration::ZERO);
    let _ = timeout(END, connections.gone()).await;
    Ok(())
}

/// Does what the host says. Ends only when this guest must.
async fn obey(connections: Arc<Connections>) -> Result<Infallible, String> {
    let mut control = match Control::open().await {
        Ok(control) => control,
        Err(error) => {
            log::line(&format!("the host can give no orders: {error}"));
            return std::future::pending().await;
        }
    };
    // Opened before it is wanted: a clone is to become another as soon as it can.
    let random = File::open(RANDOM).map_err(|error| format!("no random numbers: {error}"))?;
    loop {
        match control.next().await {
            Order::Drain => drop(tokio::spawn(drain(Arc::clone(&connections)))),
            Order::Clone(identity) => {
                // One that repeats another's random numbers must not be taken for ready.
                identity
                    .take(&random)
                    .map_err(|error| format!("this clone has no identity of its own: {error}"))?;
                tell(&format!("{READY_LINE} {}", identity.nonce));
                log::line("a clone of a saved VM");
            }
        }
    }
}

async fn drain(connections: Arc<Connections>) {
    connections.close(IDLE);
    // Connections that the host has taken in, but that have not come here yet, get as long.
    sleep(IDLE).await;
    loop {
        connections.gone().await;
        // When the last ones go, those come in that waited because there were too many.
        sleep(SETTLE).await;
        if connections.is_empty() {
            break;
        }
    }
    tell(DRAINED_LINE);
}

fn tell(line: &str) {
    if let Err(error) = port::write_line(line) {
        log::line(&format!("the host was not told {line:?}: {error}"));
    }
}

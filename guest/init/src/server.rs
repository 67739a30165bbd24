//! Opens the store, listens, and serves until SIGTERM.

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use crate::connections::{Connections, IDLE};
use crate::contract::{DRAINED_LINE, READY_LINE};
use crate::control::{Control, Order};
use crate::store::Store;
use crate::{http, log, port};

/// How long requests under way may take after SIGTERM; a client that never finishes its request must not hold it up.
const END: Duration = Duration::from_secs(2);

/// How long it takes to take in what waits in the listener's queue.
const SETTLE: Duration = Duration::from_millis(50);

/// Serves `path` on `address`. A guest's host, where there is one, is told once the store is open and the server
/// answers, with the nonce; from then on it may give orders.
pub fn run(path: &Path, address: SocketAddr, nonce: Option<&str>) -> Result<(), String> {
    let runtime =
        Builder::new_current_thread().enable_all().build().map_err(|error| format!("no runtime: {error}"))?;
    let outcome = runtime.block_on(serve(path.to_owned(), address, nonce));
    // A scan that outlives the end must not be waited for.
    runtime.shutdown_background();
    outcome
}

async fn serve(path: PathBuf, address: SocketAddr, nonce: Option<&str>) -> Result<(), String> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| format!("no signals: {error}"))?;
    // In a task of its own because the library panics on some damaged files; the error then has its words.
    let store = spawn_blocking(move || Store::open(&path));
    let store = store.await.map_err(|error| format!("the RVF cannot be read: {error}"))??;
    let about = format!("{} vectors of {} dimensions", store.total_vectors(), store.dimension());
    let listener =
        TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let address = listener.local_addr().map_err(|error| format!("cannot listen: {error}"))?;
    let (connections, mut accepting) = Connections::serve(listener, http::router(store));
    if nonce.is_some() {
        ask_itself(address.port()).await.map_err(|error| format!("the server does not answer: {error}"))?;
    }
    log::line(&format!("serving {about} on {address}"));
    if let Some(nonce) = nonce {
        tell(&format!("{READY_LINE} {nonce}"));
    }
    tokio::select! {
        _ = terminate.recv() => {}
        ended = &mut accepting => return Err(format!("the HTTP server ended: {ended:?}")),
        Err(reason) = obey(Arc::clone(&connections)), if nonce.is_some() => return Err(reason),
    }
    accepting.abort();
    connections.close(Duration::ZERO);
    let _ = timeout(END, connections.gone()).await;
    Ok(())
}

/// Ready means that it answers. The host's first request then meets code that has run before, which under emulation is
/// most of what it would wait for.
async fn ask_itself(port: u16) -> io::Result<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(b"GET /v1/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await?;
    if reply.starts_with(b"HTTP/1.1 200 ") { Ok(()) } else { Err(ErrorKind::InvalidData.into()) }
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
    loop {
        match control.next().await {
            Order::Drain => drop(tokio::spawn(drain(Arc::clone(&connections)))),
            Order::Clone(identity) => {
                // One that repeats another's random numbers must not be taken for ready.
                identity.take().map_err(|error| format!("this clone has no identity of its own: {error}"))?;
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

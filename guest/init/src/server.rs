//! Opens the store, listens, and serves until SIGTERM.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::http;
use crate::store::Store;

/// How long requests under way may take after SIGTERM; a client that never finishes its request must not hold it up.
const DRAIN: Duration = Duration::from_secs(2);

/// Serves `path` on `address`. `ready` gets a line for the console once the store is open and the listener accepts.
pub fn run(path: &Path, address: SocketAddr, ready: impl FnOnce(&str)) -> Result<(), String> {
    let runtime =
        Builder::new_current_thread().enable_all().build().map_err(|error| format!("no runtime: {error}"))?;
    let outcome = runtime.block_on(serve(path.to_owned(), address, ready));
    // A scan that outlives the drain must not be waited for.
    runtime.shutdown_background();
    outcome
}

async fn serve(path: PathBuf, address: SocketAddr, ready: impl FnOnce(&str)) -> Result<(), String> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| format!("no signals: {error}"))?;
    // In a task of its own because the library panics on some damaged files; the error then has its words.
    let store = tokio::task::spawn_blocking(move || Store::open(&path));
    let store = store.await.map_err(|error| format!("the RVF cannot be read: {error}"))??;
    let about = format!("{} vectors of {} dimensions", store.total_vectors(), store.dimension());
    let listener =
        TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let address = listener.local_addr().map_err(|error| format!("cannot listen: {error}"))?;

    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, http::router(store)).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let mut server = tokio::spawn(server.into_future());
    ready(&format!("serving {about} on {address}"));
    tokio::select! {
        ended = &mut server => return Err(format!("the HTTP server ended: {ended:?}")),
        _ = terminate.recv() => drop(stop),
    }
    let _ = tokio::time::timeout(DRAIN, server).await;
    Ok(())
}

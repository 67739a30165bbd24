//! The HTTP connections: taken in, served, and closed without losing a request.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::log;

/// How long to leave the listener alone when it cannot accept, which is for want of memory.
const PAUSE: Duration = Duration::from_millis(100);

/// Every connection holds a receiver, so none is left open when all of them are dropped. Once there is a duration in
/// it, each reply is its connection's last, and a connection that got no request for so long is closed.
pub struct Connections(watch::Sender<Option<Duration>>);

impl Connections {
    /// Serves what `listener` accepts, for as long as the task that this returns is let live.
    pub fn serve(listener: TcpListener, router: Router) -> (Arc<Connections>, tokio::task::JoinHandle<()>) {
        let connections = Arc::new(Connections(watch::Sender::new(None)));
        let accepting = tokio::spawn(Arc::clone(&connections).accept(listener, router));
        (connections, accepting)
    }

    /// Begins to close the connections, those too that are still to come. The replies that are under way count as
    /// last ones.
    pub fn close(&self, grace: Duration) {
        self.0.send_replace(Some(grace));
    }

    /// Ends when no connection is open.
    pub async fn gone(&self) {
        self.0.closed().await;
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, router: Router) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(serve(stream, router.clone(), self.0.subscribe()))),
                Err(error) => {
                    log::line(&format!("cannot accept a connection: {error}"));
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// A connection that breaks is its client's affair.
async fn serve(stream: TcpStream, router: Router, mut closing: watch::Receiver<Option<Duration>>) {
    let router = TowerToHyperService::new(router);
    let last = closing.clone();
    let service = service_fn(|request| {
        let reply = router.call(request);
        async {
            let mut reply = reply.await?;
            if last.borrow().is_some() {
                reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, std::convert::Infallible>(reply)
        }
    });
    let connection =
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = &mut connection => return,
        () = grace(&mut closing) => {}
    }
    // One that was busy meanwhile has had its last reply; so this one is idle, or its reply takes long.
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

async fn grace(closing: &mut watch::Receiver<Option<Duration>>) {
    let grace =
        closing.wait_for(Option::is_some).await.map_or(Duration::ZERO, |grace| grace.unwrap_or_default());
    sleep(grace).await;
}

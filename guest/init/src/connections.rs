//! The HTTP connections: taken in, served, and closed without losing a request.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::socket::{setsockopt, sockopt::TcpUserTimeout};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::http::Reply;
use crate::{log, memory};

/// Megabytes of the machine's memory for each connection: one with a long reply that nobody takes costs half of one.
const MEMORY_PER_CONNECTION: usize = 2;
/// A process may have 1,024 files open.
const MAX_CONNECTIONS: usize = 512;

/// What a request's line and headers may have in bytes; more is answered with 431.
const HEAD_BYTES: usize = 16 << 10;

/// How long a connection may take for the next request's head, and for each piece of a reply to be taken.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where connections are to be closed, how long one is let live that gets no request. A client that is busy meets the
/// end of its connection with a reply, and not while it sends the next request.
pub const IDLE: Duration = Duration::from_secs(1);

/// How long to leave the listener alone when it cannot accept, which is for want of memory.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, PartialEq)]
enum Keep {
    Open,
    /// More clients are there than are served at a time: each reply is its connection's last, so that all have a turn.
    Crowded,
    /// The same for good. One that gets no request for so long is closed.
    Closing(Duration),
}

/// What replies to a request.
pub type Answer = Arc<dyn Fn(Request<Incoming>) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync>;

/// Every connection holds a receiver, so none is left open when all of them are dropped.
pub struct Connections(watch::Sender<Keep>);

impl Connections {
    /// Serves what `listener` accepts, for as long as the task that this returns is let live. The clients beyond a number wait
    /// in the listener's queue.
    pub fn serve(listener: TcpListener, answer: Answer) -> (Arc<Connections>, JoinHandle<Infallible>) {
        // Accepted connections inherit it. The kernel then gives up a client that has taken nothing for so long.
        let _ = setsockopt(&listener, TcpUserTimeout, &(PATIENCE.as_millis() as u32));
        let connections = Arc::new(Connections(watch::Sender::new(Keep::Open)));
        let accepting = tokio::spawn(Arc::clone(&connections).accept(listener, answer));
        (connections, accepting)
    }

    /// Begins to close the connections, those too that are still to come. The replies that are under way count as
    /// last ones.
    pub fn close(&self, grace: Duration) {
        self.0.send_replace(Keep::Closing(grace));
    }

    /// Ends when no connection is open.
    pub async fn gone(&self) {
        self.0.closed().await;
    }

    pub fn is_empty(&self) -> bool {
        self.0.receiver_count() == 0
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, answer: Answer) -> Infallible {
        let slots = Arc::new(Semaphore::new(capacity()));
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    log::line(&format!("cannot accept a connection: {error}"));
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let keep = self.0.subscribe();
            if slots.available_permits() == 0 {
                self.change(Keep::Open, Keep::Crowded);
            }
            let slot = Arc::clone(&slots).acquire_owned().await;
            self.change(Keep::Crowded, Keep::Open);
            let serving = serve(stream, Arc::clone(&answer), keep);
            tokio::spawn(async move {
                let _slot = slot;
                serving.await;
            });
        }
    }

    fn change(&self, from: Keep, to: Keep) {
        self.0.send_if_modified(|keep| {
            let is_from = *keep == from;
            if is_from {
                *keep = to;
            }
            is_from
        });
    }
}

fn capacity() -> usize {
    (memory::megabytes() / MEMORY_PER_CONNECTION).clamp(1, MAX_CONNECTIONS)
}

/// A connection that breaks is its client's affair.
async fn serve(stream: TcpStream, answer: Answer, mut keep: watch::Receiver<Keep>) {
    let last = keep.clone();
    let service = service_fn(|request| {
        let reply = answer(request);
        async {
            let mut reply = reply.await;
            if *last.borrow() != Keep::Open {
                reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(reply)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        // The connection first: a request that has come when the grace ends is taken in, and so gets its reply.
        biased;
        _ = &mut connection => return,
        () = grace(&mut keep) => {}
    }
    // One that was busy meanwhile has had its last reply; so this one is idle, or its reply takes long.
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

/// Ends once connections have been to be closed for as long as an idle one is left alone.
async fn grace(keep: &mut watch::Receiver<Keep>) {
    loop {
        let grace = match *keep.borrow_and_update() {
            Keep::Open => Duration::MAX,
            Keep::Crowded => IDLE,
            Keep::Closing(grace) => grace,
        };
        if timeout(grace, keep.changed()).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::thread;
    use std::time::Instant;

    use http_body_util::Full;
    use hyper::Response;
    use tokio::runtime::Builder;
    use tokio::task::yield_now;

    use super::*;

    const CLIENTS: usize = 16;
    const GRACE: Duration = Duration::from_millis(200);

    /// What each client gets that asks while nothing else is done until the grace is over; none where the machine was so
    /// slow that the grace ended before they had asked.
    async fn asked_at_the_end() -> Option<Vec<String>> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer: Answer = Arc::new(|_| Box::pin(async { Response::new(Full::from("here")) }));
        let (connections, accepting) = Connections::serve(listener, answer);
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| TcpStream::connect(address).unwrap()).collect();
        // Each has one receiver when it is accepted, and another once it is waited for.
        while connections.0.receiver_count() < 2 * CLIENTS {
            sleep(Duration::from_millis(1)).await;
        }
        let closed = Instant::now();
        connections.close(GRACE);
        yield_now().await;
        for client in &mut clients {
            client.write_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n").ok()?;
        }
        if closed.elapsed() >= GRACE {
            return None;
        }
        thread::sleep(GRACE);
        connections.gone().await;
        accepting.abort();
        let reply = |mut client: TcpStream| {
            let mut text = String::new();
            client.read_to_string(&mut text).map(|_| text).unwrap_or_else(|error| error.to_string())
        };
        Some(clients.into_iter().map(reply).collect())
    }

    #[test]
    fn a_request_that_comes_with_the_end_of_the_grace_gets_its_reply() {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let replies =
            (0..20).find_map(|_| runtime.block_on(asked_at_the_end())).expect("a quick enough round");
        for reply in replies {
            assert!(reply.starts_with("HTTP/1.1 200") && reply.ends_with("here"), "{reply:?}");
        }
    }
}

//! The HTTP API: rvf-server's `/v1`, and `/query` and `/health` as the launcher rvf-launch asks for them.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use tokio::sync::Semaphore;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::timeout;

use crate::caught::caught;
use crate::error::Refusal;
use crate::store::{Neighbour, Store};

/// Room for the largest vector there is, 65,535 numbers of up to 24 characters.
const BODY_BYTES: usize = 2 << 20;

/// What all requests that are being read may take of memory together, in KiB; the others wait for theirs.
const ROOM_KIB: usize = 8 << 10;

/// How long a client may take to send its request's body.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Bounds what one answer can take of a small guest's memory.
const MAX_K: usize = 10_000;

/// A scan of so few numbers takes some milliseconds. On the only CPU it gets no thread of its own, whose start alone would take longer.
const SHORT_SCAN: u64 = 1 << 17;

pub type Reply = Response<Full<Bytes>>;

#[derive(Clone)]
pub struct Api {
    store: Arc<Store>,
    /// One scan a CPU; the others wait without holding a thread, so health answers at any time.
    scans: Arc<Semaphore>,
    /// Whether a scan is short, and no other CPU could do it meanwhile.
    inline: bool,
    room: Arc<Semaphore>,
}

impl Api {
    pub fn new(store: Store) -> Api {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        let numbers = store.total_vectors().saturating_mul(u64::from(store.dimension()));
        Api {
            store: Arc::new(store),
            scans: semaphore(cpus),
            inline: cpus == 1 && numbers <= SHORT_SCAN,
            room: semaphore(ROOM_KIB),
        }
    }

    pub async fn reply(self, request: Request<Incoming>) -> Reply {
        self.answer(request).await.unwrap_or_else(Refusal::reply)
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Reply, Refusal> {
        let (method, path) = (request.method(), request.uri().path());
        let takes = match path {
            "/v1/health" | "/health" | "/v1/status" => Method::GET,
            "/v1/query" | "/query" | "/v1/ingest" | "/v1/delete" => Method::POST,
            _ => return Err(Refusal::new(StatusCode::NOT_FOUND, format!("there is no {path}"))),
        };
        // A reply to HEAD is sent without its body.
        if *method != takes && !(*method == Method::HEAD && takes == Method::GET) {
            let error = format!("{path} does not take {method}");
            let mut reply = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, error).reply();
            let allowed = if takes == Method::GET { "GET,HEAD" } else { "POST" };
            reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
            return Ok(reply);
        }
        Ok(match path {
            "/v1/health" | "/health" => json(StatusCode::OK, &Health { status: "ok" }),
            "/v1/status" => json(StatusCode::OK, &self.store.status()),
            "/v1/query" => json(StatusCode::OK, &Results { results: self.query(request).await? }),
            "/query" => json(StatusCode::OK, &self.query(request).await?),
            _ => return Err(Refusal::read_only()),
        })
    }

    async fn query(&self, request: Request<Incoming>) -> Result<Vec<Neighbour>, Refusal> {
        self.search(self.read(request).await?).await
    }

    async fn read(&self, request: Request<Incoming>) -> Result<Query, Refusal> {
        // A length that is not told may become the longest that is taken.
        let bytes = request.body().size_hint().upper().unwrap_or(u64::MAX).min(BODY_BYTES as u64);
        let _room = self.room.acquire_many((bytes >> 10) as u32 + 1).await;
        if !is_json(request.headers()) {
            let error = "the request's content-type must be application/json";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
        }
        let body = match timeout(BODY_TIME, Limited::new(request.into_body(), BODY_BYTES).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                let error = format!("the request's body has more than {BODY_BYTES} bytes");
                return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error));
            }
            Ok(Err(error)) => return Err(Refusal::bad_request(error.to_string())),
            Err(_) => {
                let error = "the request's body took too long";
                return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, error));
            }
        };
        serde_json::from_slice(&body).map_err(|error| {
            let status = match error.classify() {
                Category::Data => StatusCode::UNPROCESSABLE_ENTITY,
                _ => StatusCode::BAD_REQUEST,
            };
            Refusal::new(status, format!("the request's body is no query: {error}"))
        })
    }

    async fn search(&self, Query { vector, k }: Query) -> Result<Vec<Neighbour>, Refusal> {
        match k {
            0 => return Err(Refusal::bad_request("k must be > 0")),
            1..=MAX_K => {}
            _ => return Err(Refusal::bad_request(format!("k must be <= {MAX_K}"))),
        }
        // What the scan would refuse need not wait for it.
        let dimension = usize::from(self.store.dimension());
        if vector.len() != dimension {
            return Err(Refusal::wrong_dimension(vector.len(), dimension));
        }
        let broken = |error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error);
        let permit =
            Arc::clone(&self.scans).acquire_owned().await.map_err(|error| broken(error.to_string()))?;
        let store = Arc::clone(&self.store);
        let scan = move || {
            let _permit = permit;
            caught(|| store.nearest(&vector, k)).map_err(|words| format!("the scan failed: {words}"))
        };
        let found = if self.inline {
            // The permit is held meanwhile: between two scans every other request has its turn.
            yield_now().await;
            scan()
        } else {
            spawn_blocking(scan).await.map_err(|error| broken(error.to_string()))?
        };
        Ok(found.map_err(broken)??)
    }
}

#[derive(Deserialize)]
struct Query {
    vector: Vec<f32>,
    k: usize,
}

#[derive(Serialize)]
struct Results {
    results: Vec<Neighbour>,
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

/// `application/json`, and what is JSON by its ending (RFC 6839), as rvf-server takes them.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.strip_prefix("application/").is_some_and(|kind| kind == "json" || kind.ends_with("+json"))
}

pub fn json(status: StatusCode, body: &impl Serialize) -> Reply {
    let body = serde_json::to_vec(body).expect("texts and numbers are JSON");
    let mut reply = Response::new(Full::from(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

//! The HTTP API: rvf-server's `/v1`, and `/query` and `/health` as the launcher rvf-launch asks for them.

use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::error::Refusal;
use crate::store::{Neighbour, Status, Store};

/// Room for the largest vector there is, 65,535 numbers of up to 24 characters.
const BODY_BYTES: usize = 2 << 20;

/// What all requests that are being read may take of memory together, in KiB; the others wait for theirs.
const ROOM_KIB: usize = 8 << 10;

/// How long a client may take to send its request's body.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Bounds what one answer can take of a small guest's memory.
const MAX_K: usize = 10_000;

#[derive(Clone)]
struct Api {
    store: Arc<Store>,
    /// One scan a CPU; the others wait without holding a thread, so health answers at any time.
    scans: Arc<Semaphore>,
    room: Arc<Semaphore>,
}

pub fn router(store: Store) -> Router {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let semaphore = |permits| Arc::new(Semaphore::new(permits));
    let api = Api { store: Arc::new(store), scans: semaphore(cpus), room: semaphore(ROOM_KIB) };
    Router::new()
        .route("/v1/health", get(health))
        .route("/v1/status", get(status))
        .route("/v1/query", post(query))
        .route("/v1/ingest", post(refuse_write))
        .route("/v1/delete", post(refuse_write))
        .route("/health", get(health))
        .route("/query", post(bare_query))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(api)
}

#[derive(Deserialize)]
struct Query {
    vector: Vec<f32>,
    k: usize,
}

impl FromRequest<Api> for Query {
    type Rejection = Refusal;

    async fn from_request(request: Request, api: &Api) -> Result<Query, Refusal> {
        // A length that is not told may become the longest that is taken.
        let bytes = request.body().size_hint().upper().unwrap_or(u64::MAX).min(BODY_BYTES as u64);
        let _room = api.room.acquire_many((bytes >> 10) as u32 + 1).await;
        match timeout(BODY_TIME, Json::from_request(request, api)).await {
            Ok(Ok(Json(query))) => Ok(query),
            Ok(Err(rejection)) => Err(rejection.into()),
            Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the request's body took too long")),
        }
    }
}

#[derive(Serialize)]
struct Results {
    results: Vec<Neighbour>,
}

async fn query(State(api): State<Api>, query: Query) -> Result<Json<Results>, Refusal> {
    Ok(Json(Results { results: search(api, query).await? }))
}

async fn bare_query(State(api): State<Api>, query: Query) -> Result<Json<Vec<Neighbour>>, Refusal> {
    Ok(Json(search(api, query).await?))
}

async fn search(api: Api, Query { vector, k }: Query) -> Result<Vec<Neighbour>, Refusal> {
    match k {
        0 => return Err(Refusal::bad_request("k must be > 0")),
        1..=MAX_K => {}
        _ => return Err(Refusal::bad_request(format!("k must be <= {MAX_K}"))),
    }
    // What the scan would refuse need not wait for it.
    let dimension = usize::from(api.store.dimension());
    if vector.len() != dimension {
        return Err(Refusal::wrong_dimension(vector.len(), dimension));
    }
    let broken = |error: &dyn ToString| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    let permit = api.scans.acquire_owned().await.map_err(|error| broken(&error))?;
    let scan = spawn_blocking(move || {
        let _permit = permit;
        api.store.nearest(&vector, k)
    });
    Ok(scan.await.map_err(|error| broken(&error))??)
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

async fn status(State(api): State<Api>) -> Json<Status> {
    Json(api.store.status())
}

async fn refuse_write() -> Refusal {
    Refusal::read_only()
}

async fn unknown(uri: Uri) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, format!("there is no {}", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}", uri.path()))
}

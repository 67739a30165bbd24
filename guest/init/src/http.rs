//! The HTTP API: rvf-server's `/v1`, and `/query` and `/health` as the launcher rvf-launch asks for them.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, StatusCode, Uri};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::error::Refusal;
use crate::store::{Neighbour, Status, Store};

/// Room for the largest vector there is, 65,535 numbers of up to 24 characters.
const BODY_BYTES: usize = 2 << 20;

/// Bounds what one answer can take of a small guest's memory.
const MAX_K: usize = 10_000;

#[derive(Clone)]
struct Api {
    store: Arc<Store>,
    /// One scan a CPU; the others wait without holding a thread, so health answers at any time.
    scans: Arc<Semaphore>,
}

pub fn router(store: Store) -> Router {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let api = Api { store: Arc::new(store), scans: Arc::new(Semaphore::new(cpus)) };
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

type Body<T> = Result<Json<T>, JsonRejection>;

#[derive(Serialize)]
struct Results {
    results: Vec<Neighbour>,
}

async fn query(State(api): State<Api>, body: Body<Query>) -> Result<Json<Results>, Refusal> {
    Ok(Json(Results { results: search(api, body?.0).await? }))
}

async fn bare_query(State(api): State<Api>, body: Body<Query>) -> Result<Json<Vec<Neighbour>>, Refusal> {
    Ok(Json(search(api, body?.0).await?))
}

async fn search(api: Api, Query { vector, k }: Query) -> Result<Vec<Neighbour>, Refusal> {
    match k {
        0 => return Err(Refusal::bad_request("k must be > 0")),
        1..=MAX_K => {}
        _ => return Err(Refusal::bad_request(format!("k must be <= {MAX_K}"))),
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

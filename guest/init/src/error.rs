//! What a refused request gets: rvf-server's shape, `{"error": <text>, "code": <number>}`.

use hyper::StatusCode;
use rvf_types::{ErrorCode, RvfError};
use serde::Serialize;

use crate::http::{Reply, json};

pub struct Refusal {
    status: StatusCode,
    error: String,
    code: u16,
}

impl Refusal {
    /// A refusal of HTTP's own kind, whose code is the status.
    pub fn new(status: StatusCode, error: impl Into<String>) -> Refusal {
        Refusal { status, error: error.into(), code: status.as_u16() }
    }

    pub fn bad_request(error: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, error)
    }

    /// With the format's own code; what the format calls it has neither number.
    pub fn wrong_dimension(query: usize, store: usize) -> Refusal {
        let error = format!("the query has {query} numbers, the store's vectors have {store}");
        Refusal { error, ..RvfError::Code(ErrorCode::DimensionMismatch).into() }
    }

    /// The disk is attached read-only, so no write can ever work.
    pub fn read_only() -> Refusal {
        RvfError::Code(ErrorCode::ReadOnly).into()
    }

    pub fn reply(self) -> Reply {
        json(self.status, &Body { error: self.error, code: self.code })
    }
}

/// Errors of the store carry the format's own code. Unlike rvf-server, numbers that are not finite are the client's.
impl From<RvfError> for Refusal {
    fn from(error: RvfError) -> Refusal {
        let (status, code) = match error {
            RvfError::Code(code) => (status_of(code), code as u16),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, 500),
        };
        Refusal { status, error: format!("{error:?}"), code }
    }
}

fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::DimensionMismatch | ErrorCode::NonFiniteQuery => StatusCode::BAD_REQUEST,
        ErrorCode::ReadOnly => StatusCode::FORBIDDEN,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[derive(Serialize)]
struct Body {
    error: String,
    code: u16,
}

//! Replies: JSON, always whole.

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

pub(crate) type Reply = Response<Full<Bytes>>;

pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Reply {
    match serde_json::to_vec(body) {
        Ok(body) => bytes(status, body),
        Err(_) => bytes(StatusCode::INTERNAL_SERVER_ERROR, b"{}".to_vec()),
    }
}

/// AWS: what a metadata endpoint has to say against a request is a JSON string.
pub(crate) fn says(status: StatusCode, text: impl AsRef<str>) -> Reply {
    json(status, &text.as_ref())
}

pub(crate) fn bytes(status: StatusCode, body: Vec<u8>) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    reply.headers_mut().insert(header::CONTENT_TYPE, json);
    reply
}

pub(crate) fn not_found() -> Reply {
    let body = "404 page not found\n".to_owned();
    text(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", body)
}

pub(crate) fn text(status: StatusCode, kind: &'static str, body: String) -> Reply {
    let mut reply = bytes(status, body.into_bytes());
    reply.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    reply
}

//! Signed requests of the installation's operator, under `/_wharf/`: what the command line asks a
//! running server. No bucket of S3 can have that name, so nothing else is hidden by it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use core_step::Caller;
use http::{Method, Response};
use plane_engine::Engine;

pub const PREFIX: &str = "/_wharf/";

/// The service in the credential scope of such requests.
pub const SIGNING_NAME: &str = "wharf";

/// One request, of a caller whose signature was verified.
pub struct OperatorCall<'a> {
    pub caller: &'a Caller,
    pub method: &'a Method,
    /// What follows the prefix.
    pub path: &'a str,
    pub body: &'a Bytes,
}

pub type Answer<'a> = Pin<Box<dyn Future<Output = OperatorAnswer> + Send + 'a>>;

pub enum OperatorAnswer {
    /// Status and JSON.
    Json(u16, Vec<u8>),
    /// It writes, and this server does not lead.
    Forward,
}

/// Answers an operator; it also decides who is one.
pub trait Operator: Send + Sync {
    fn answer<'a>(&'a self, engine: &'a Engine, call: OperatorCall<'a>) -> Answer<'a>;
}

pub(crate) fn response(status: u16, body: Vec<u8>, request_id: &Arc<str>) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let kind = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    if let Ok(id) = http::HeaderValue::from_str(request_id) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

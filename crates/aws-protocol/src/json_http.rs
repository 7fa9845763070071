//! awsJson 1.0 and 1.1: the whole input is the body, the operation is in `X-Amz-Target`.

use bytes::Bytes;

use crate::error::ApiError;
use crate::json::{self, Dialect};
use crate::service::Protocol;
use crate::shape::AnyShape;

/// Reads a request body; an empty one is an empty input.
pub(crate) fn read(body: &[u8], input: &mut dyn AnyShape) -> Result<(), ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    json::read(body, input, Dialect::Wire).map_err(malformed)
}

/// AWS answers JSON that does not parse or fit with `SerializationException`.
pub(crate) fn malformed(error: serde_json::Error) -> ApiError {
    ApiError::malformed_request(error.to_string()).with_source(error)
}

pub(crate) fn content_type(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::AwsJson10 => "application/x-amz-json-1.0",
        Protocol::RestJson => "application/json",
        _ => "application/x-amz-json-1.1",
    }
}

pub(crate) fn write(
    protocol: Protocol,
    output: &dyn AnyShape,
    request_id: &str,
) -> http::Response<Bytes> {
    let body = json::write(output, Dialect::Wire);
    crate::reply::build(200, content_type(protocol), request_id, body)
}

//! Building an HTTP reply out of parts that are known to be valid.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// A reply with the headers that every protocol has.
pub(crate) fn build(
    status: u16,
    content_type: &'static str,
    request_id: &str,
    body: impl Into<Bytes>,
) -> http::Response<Bytes> {
    let mut reply = http::Response::new(body.into());
    *reply.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, value);
    }
    reply
}

/// AWS: S3 and the other rest-xml services repeat the request's id under this older name.
pub(crate) fn add_s3_request_id(headers: &mut http::HeaderMap, request_id: &str) {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(HeaderName::from_static("x-amz-request-id"), value);
    }
}

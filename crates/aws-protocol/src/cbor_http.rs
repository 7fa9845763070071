//! Smithy RPC v2 CBOR: the operation is in the path, input and output are one CBOR map each.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};

use crate::cbor::{self, Writer};
use crate::error::ApiError;
use crate::shape::AnyShape;

pub(crate) fn read(body: &[u8], input: &mut dyn AnyShape) -> Result<(), ApiError> {
    if body.is_empty() {
        return Ok(());
    }
    cbor::read(body, input)
        .map_err(|error| ApiError::malformed_request(error.to_string()).with_source(error))
}

pub(crate) fn write(output: &dyn AnyShape, request_id: &str) -> http::Response<Bytes> {
    let mut writer = Writer::default();
    writer.open_map();
    writer.members(output);
    writer.close();
    reply(200, request_id, writer.out)
}

pub(crate) fn reply(status: u16, request_id: &str, body: Vec<u8>) -> http::Response<Bytes> {
    let mut reply = crate::reply::build(status, "application/cbor", request_id, body);
    // AWS: SDKs refuse an answer without this header.
    let name = HeaderName::from_static("smithy-protocol");
    reply.headers_mut().insert(name, HeaderValue::from_static("rpc-v2-cbor"));
    reply
}

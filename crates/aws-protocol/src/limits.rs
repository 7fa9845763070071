//! Bounds on what a request may make us do: sizes, counts and depths, in one place.

use std::cell::Cell;
use std::io::Read;

use bytes::Bytes;
use http::header::CONTENT_ENCODING;

use crate::error::ApiError;
use crate::schema::Location;
use crate::service::OperationDef;

/// A compressed body may not grow beyond this.
pub const MAX_INFLATED_BODY: usize = 32 * 1024 * 1024;
/// Parameters of a form: 1,000 tags with keys and values fit many times over.
pub const MAX_FORM_PAIRS: usize = 50_000;
/// Dots in a parameter's name.
pub const MAX_KEY_SEGMENTS: usize = 64;
/// Nesting of XML elements and CBOR items.
pub const MAX_DEPTH: usize = 100;

/// Members and elements that one request may make. AWS's largest lists hold 10,000 small
/// structures; `[{},{},…]` of a structure with 50 members would make a thousand times its own size.
pub const MAX_VALUES: usize = 500_000;

/// Counts what a reader makes.
pub struct Budget(Cell<usize>);

impl Budget {
    pub fn of_request() -> Self {
        Budget(Cell::new(MAX_VALUES))
    }

    /// For bytes that we wrote ourselves.
    pub fn unlimited() -> Self {
        Budget(Cell::new(usize::MAX))
    }

    /// Whether there was enough left.
    pub(crate) fn spend(&self, count: usize) -> bool {
        let left = self.0.get().checked_sub(count);
        self.0.set(left.unwrap_or(0));
        left.is_some()
    }
}

/// The body without `Content-Encoding: gzip`, unless the encoding belongs to the content itself.
pub(crate) fn plain_body(
    operation: &OperationDef,
    headers: &http::HeaderMap,
    body: &Bytes,
) -> Result<Bytes, ApiError> {
    if !is_gzip(headers) {
        return Ok(body.clone());
    }
    // S3 keeps an object's encoding as it keeps its bytes.
    let is_content = operation.input.members().iter().any(|member| {
        member.location == Location::Header && member.wire.eq_ignore_ascii_case("content-encoding")
    });
    if is_content && !operation.compressible {
        return Ok(body.clone());
    }
    inflate(body, MAX_INFLATED_BODY)
}

/// Whether gzip is the encoding that was put on last.
pub(crate) fn is_gzip(headers: &http::HeaderMap) -> bool {
    let Some(encoding) = headers.get(CONTENT_ENCODING) else { return false };
    let outermost = encoding.as_bytes().rsplit(|byte| *byte == b',').next().unwrap_or_default();
    outermost.trim_ascii().eq_ignore_ascii_case(b"gzip")
}

/// The first bytes of what was compressed, as far as they can be read.
pub(crate) fn start_of_gzip(body: &[u8], limit: usize) -> Vec<u8> {
    let mut start = Vec::new();
    // Damage is told when the whole is decompressed.
    let _ = flate2::read::MultiGzDecoder::new(body).take(limit as u64).read_to_end(&mut start);
    start
}

/// Decompresses gzip up to a limit.
pub fn inflate(body: &[u8], limit: usize) -> Result<Bytes, ApiError> {
    let mut plain = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(body).take(limit as u64 + 1);
    reader.read_to_end(&mut plain).map_err(|error| {
        ApiError::malformed_request("The gzip request body is damaged").with_source(error)
    })?;
    if plain.len() > limit {
        let text = format!("The decompressed request body is larger than {limit} bytes");
        return Err(ApiError::request_entity_too_large(text));
    }
    Ok(plain.into())
}

//! Taking a request's body, within its bounds.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use aws_protocol::ApiError;
use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame};

use crate::patience::Patience;

/// The whole body. Nearly all come as one frame, which is handed on as it is.
pub async fn read<B>(
    body: B,
    limit: usize,
    patience: &Patience,
    time: Duration,
) -> Result<Bytes, ApiError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    // A client that waits for `100 Continue` is told before it sends anything.
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large(limit));
    }
    match patience.wait(time, collect(body, limit)).await {
        Some(read) => read,
        None => Err(ApiError::new("RequestTimeout", 408, "The request body took too long.")),
    }
}

async fn collect<B>(body: B, limit: usize) -> Result<Bytes, ApiError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut body = pin!(body);
    let mut first = Bytes::new();
    let mut more: Option<BytesMut> = None;
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let frame = frame.map_err(|error| {
            let error = error.into();
            ApiError::malformed_request(format!("The request body could not be read: {error}"))
        })?;
        // Trailers are of no use to any protocol but S3's own, which puts them into the body.
        let Ok(data) = Frame::into_data(frame) else { continue };
        let so_far = more.as_ref().map_or(first.len(), BytesMut::len);
        if so_far + data.len() > limit {
            return Err(too_large(limit));
        }
        if let Some(more) = &mut more {
            more.extend_from_slice(&data);
        } else if first.is_empty() {
            first = data;
        } else {
            let mut all = BytesMut::with_capacity(2 * (first.len() + data.len()));
            all.extend_from_slice(&first);
            all.extend_from_slice(&data);
            more = Some(all);
        }
        if body.is_end_stream() {
            break;
        }
    }
    Ok(more.map_or(first, BytesMut::freeze))
}

fn too_large(limit: usize) -> ApiError {
    ApiError::request_entity_too_large(format!("The request body is larger than {limit} bytes."))
}

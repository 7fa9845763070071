//! What a reply's body is: nearly always whole, sometimes one that goes on.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, SizeHint};

/// Why a body that goes on broke off. The client sees the connection end.
pub type BrokenOff = Box<dyn std::error::Error + Send + Sync>;

/// The body of a reply.
pub enum ReplyBody {
    Whole(Bytes),
    Flowing(UnsyncBoxBody<Bytes, BrokenOff>),
}

impl ReplyBody {
    pub fn flowing<B>(body: B) -> ReplyBody
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BrokenOff>,
    {
        ReplyBody::Flowing(body.map_err(Into::into).boxed_unsync())
    }

    /// All of it: for callers in this process.
    pub async fn whole(self) -> Result<Bytes, BrokenOff> {
        match self {
            ReplyBody::Whole(bytes) => Ok(bytes),
            ReplyBody::Flowing(body) => Ok(body.collect().await?.to_bytes()),
        }
    }
}

impl From<Bytes> for ReplyBody {
    fn from(bytes: Bytes) -> Self {
        ReplyBody::Whole(bytes)
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            ReplyBody::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            ReplyBody::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            ReplyBody::Flowing(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ReplyBody::Whole(bytes) => bytes.is_empty(),
            ReplyBody::Flowing(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ReplyBody::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            ReplyBody::Flowing(body) => body.size_hint(),
        }
    }
}

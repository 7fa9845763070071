//! A panic while one request is answered ends that answer and nothing else.
//!
//! Core guards what it runs by itself; this is for what a gateway does around it: authenticating,
//! decoding, reading, encoding. None of it holds a lock or half-made state when it panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use aws_protocol::ApiError;

/// What the future gives, or the failure that its caller is told of.
pub async fn guarded<T>(future: impl Future<Output = T>) -> Result<T, ApiError> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| {
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => {
                // AWS: a service's own fault is told without its reason; the panic hook logs that.
                let text = "The request processing has failed because of an unknown error, \
                            exception or failure.";
                Poll::Ready(Err(ApiError::internal_failure(text)))
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        let error = guarded(async { panic!("as it happens") }).await.map(|()| 0).unwrap_err();
        assert!(error.is("InternalFailure"), "{error}");
        assert_eq!(guarded(async { 7 }).await.unwrap(), 7);
    }
}

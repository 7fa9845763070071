//! How long a connection waits for its client: one timer for its whole life.
//!
//! Setting a timer and taking it down costs about as much as reading a request's head, and nearly
//! every one is taken down unused. So a deadline is only a number that is looked at; the timer
//! below it runs on, and is set anew when it goes off before the deadline.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// The timer of one connection. Whoever waits on it does so alone: a head, then its body.
#[derive(Clone, Debug)]
pub struct Patience(Arc<Mutex<Pin<Box<tokio::time::Sleep>>>>);

impl Patience {
    pub fn new(first: Duration) -> Patience {
        Patience(Arc::new(Mutex::new(Box::pin(tokio::time::sleep(first)))))
    }

    fn poll_until(&self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let mut timer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A deadline earlier than the running timer's: the timer must not go off late.
        let due = tokio::time::Instant::from_std(deadline);
        if timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due);
        }
    }

    /// What a future gives, or `None` when it takes too long.
    pub async fn wait<T>(&self, time: Duration, wanted: impl Future<Output = T>) -> Option<T> {
        let deadline = Instant::now() + time;
        let mut wanted = pin!(wanted);
        poll_fn(|cx| {
            if let Poll::Ready(got) = wanted.as_mut().poll(cx) {
                return Poll::Ready(Some(got));
            }
            self.poll_until(deadline, cx).map(|()| None)
        })
        .await
    }
}

/// For hyper, which waits for the heads of requests.
impl Timer for Patience {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Until { patience: self.clone(), deadline })
    }
}

struct Until {
    patience: Patience,
    deadline: Instant,
}

impl Future for Until {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.patience.poll_until(self.deadline, cx)
    }
}

impl Sleep for Until {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_later_deadline_outlives_the_first_timer() {
        let patience = Patience::new(Duration::ZERO);
        let slow = tokio::task::spawn_blocking(|| ());
        assert!(
            patience.wait(Duration::from_secs(3600), slow).await.is_some_and(|done| done.is_ok())
        );
    }
}

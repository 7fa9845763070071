//! Counters of the two threads, read by `/metrics` without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

macro_rules! figures {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Written by the engine's threads.
        #[derive(Debug, Default)]
        pub struct Figures { $($(#[$doc])* pub(crate) $name: AtomicU64),* }

        /// One reading of [`Figures`].
        #[derive(Clone, Debug, Default)]
        pub struct FiguresNow { $($(#[$doc])* pub $name: u64),* }

        impl Figures {
            pub fn read(&self) -> FiguresNow {
                FiguresNow { $($name: self.$name.load(Ordering::Relaxed)),* }
            }
        }
    };
}

figures! {
    steps,
    events,
    changes,
    /// Panics, loops that did not settle, findings of the resync audit.
    faults,
    /// Groups of batches made durable with one sync.
    commits,
    batches,
    commit_micros,
    /// Batches that could not be made durable and were undone.
    undone,
    snapshots,
    resyncs,
    step_micros,
}

pub(crate) fn add(figure: &AtomicU64, n: u64) {
    figure.fetch_add(n, Ordering::Relaxed);
}

pub(crate) fn add_time(figure: &AtomicU64, time: Duration) {
    add(figure, time.as_micros() as u64);
}

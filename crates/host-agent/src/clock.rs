//! The agent's clock: the system's time at the start, plus what has passed since. Timeouts and health
//! checks are not moved by an operator who sets the clock.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use core_types::Time;

static START: OnceLock<(Time, Instant)> = OnceLock::new();

pub fn now() -> Time {
    let (start, since) = START.get_or_init(|| (wall(), Instant::now()));
    *start + since.elapsed()
}

/// The system's time, for signatures: the other side compares them with its own.
pub fn wall() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

//! How long things take before they are given up or forgotten.

use std::time::Duration;

use core_state::State;

use crate::rows::timing::Timing;

/// A host that has not answered for so long is lost. Its tasks are stopped, so that others can be
/// started elsewhere.
pub const HOST_LOST_AFTER: Duration = Duration::from_secs(60);
/// AWS: stopped tasks are described for at least an hour.
pub const STOPPED_TASKS_KEPT: Duration = Duration::from_secs(3600);
/// AWS: a client token is remembered for a day.
pub const CLIENT_TOKENS_KEPT: Duration = Duration::from_secs(24 * 3600);
/// A session of ExecuteCommand whose two sides have not come by then is none.
pub const EXEC_SESSIONS_WAIT: Duration = Duration::from_secs(60);

pub fn host_lost_after(state: &State) -> Duration {
    let set = state.get::<Timing>(&()).map(|row| row.host_lost_after_ms);
    set.map(Duration::from_millis).unwrap_or(HOST_LOST_AFTER)
}

pub fn stopped_tasks_kept(state: &State) -> Duration {
    let set = state.get::<Timing>(&()).map(|row| row.stopped_tasks_kept_ms);
    set.map(Duration::from_millis).unwrap_or(STOPPED_TASKS_KEPT)
}

//! How long the plane waits before it gives up, as its operator has set it.

use core_state::Row;
use serde::{Deserialize, Serialize};

use crate::rules::timing;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// A host that has not answered for so long is lost with its tasks.
    pub host_lost_after_ms: u64,
    /// Stopped tasks are described for so long.
    pub stopped_tasks_kept_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            host_lost_after_ms: timing::HOST_LOST_AFTER.as_millis() as u64,
            stopped_tasks_kept_ms: timing::STOPPED_TASKS_KEPT.as_millis() as u64,
        }
    }
}

impl Row for Timing {
    type Key = ();
    const TABLE: &'static str = "ecs-timing";

    fn key(&self) {}
}

//! A log stream of a group. When its lines came is known to the store, not here.

use std::sync::Arc;

use core_state::{Declare, Index, Row};
use core_types::{Id128, Time};
use serde::{Deserialize, Serialize};

/// The group's id, and the name.
pub type StreamKey = (Id128, Arc<str>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogStream {
    pub key: StreamKey,
    /// Its lines are kept under this.
    pub id: Id128,
    pub created_at: Time,
}

impl LogStream {
    pub fn name(&self) -> &str {
        &self.key.1
    }
}

impl Row for LogStream {
    type Key = StreamKey;
    const TABLE: &'static str = "logs-streams";

    fn key(&self) -> StreamKey {
        self.key.clone()
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<StreamById>();
    }
}

pub struct StreamById;

impl Index for StreamById {
    type Row = LogStream;
    type Key = Id128;

    fn keys(row: &LogStream, add: &mut dyn FnMut(Id128)) {
        add(row.id);
    }
}

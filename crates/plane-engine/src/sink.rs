//! Takes what the journal reads back (recovery, or a leader's batches) into state.

use core_state::State;
use core_types::Time;
use plane_journal::{Batch, RowChange, Sink, SinkError};

use crate::handle::Shared;

/// Rows and batches go into `state`.
pub(crate) struct StateSink<'a> {
    pub shared: &'a Shared,
    /// Publish each whole batch. Not while recovering: nobody reads yet, and a state that is held
    /// by nobody else is changed in place, where a published one is copied with each change.
    pub live: bool,
    pub state: State,
    /// The newest time in the journal: core's clock starts no earlier.
    pub newest: Time,
}

impl StateSink<'_> {
    fn publish(&self) {
        if self.live {
            self.shared.publish(self.state.clone());
            self.shared.feeds.tell_everything();
        }
    }

    fn take(&mut self, row: &RowChange) -> Result<(), SinkError> {
        self.state
            .load(&row.table, row.version, &row.key, row.value.as_deref())
            .map_err(|e| SinkError(e.to_string()))
    }
}

impl Sink for StateSink<'_> {
    fn snapshot_begin(&mut self, _rev: u64) {
        self.state = self.shared.registry.empty_state();
    }

    fn snapshot_row(&mut self, row: RowChange) -> Result<(), SinkError> {
        self.take(&row)
    }

    fn snapshot_time(&mut self, at_ms: i64) {
        self.newest = self.newest.max(Time(at_ms));
    }

    fn snapshot_done(&mut self, rev: u64) {
        self.state.set_rev(rev);
        self.publish();
    }

    fn batch(&mut self, batch: Batch) -> Result<(), SinkError> {
        batch.changes.iter().try_for_each(|row| self.take(row))?;
        self.state.set_rev(batch.rev);
        self.newest = self.newest.max(Time(batch.at_ms));
        self.publish();
        Ok(())
    }
}

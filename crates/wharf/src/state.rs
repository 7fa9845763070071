//! State read from its journal: opened for a running server, or only looked at.

use std::path::Path;

use anyhow::{Context, Result};
use core_state::State;
use plane_journal::embedded::{history, inspect, read_snapshot};
use plane_journal::{
    Batch, EmbeddedJournal, EmbeddedOptions, EtcdJournal, Journal, RowChange, Sink, SinkError,
};

use crate::data_dir::DataDir;
use crate::settings::{Settings, StateArgument};
use crate::slices;

/// The journal that a server writes.
pub fn open(settings: &Settings, dir: &DataDir, advertise: &str) -> Result<Box<dyn Journal>> {
    match &settings.state {
        StateArgument::Embedded => {
            let mut options = EmbeddedOptions::new(dir.journal());
            options.advertise = advertise.to_owned();
            options.snapshot_after = settings.snapshot_after.unwrap_or(options.snapshot_after);
            Ok(Box::new(EmbeddedJournal::open(options)?))
        }
        StateArgument::Etcd(options) => {
            let mut options = options.clone();
            options.advertise = advertise.to_owned();
            options.lease_ttl = settings.lease();
            options.snapshot_after = settings.snapshot_after.unwrap_or(options.snapshot_after);
            Ok(Box::new(EtcdJournal::open(options)?))
        }
    }
}

/// Feed everything that a journal holds, changing nothing. Also beside a running server.
pub fn read(from: &StateArgument, dir: &Path, sink: &mut dyn Sink) -> Result<()> {
    match from {
        StateArgument::Etcd(options) => {
            EtcdJournal::open(options.clone())?.recover(sink)?;
        }
        StateArgument::Embedded => {
            anyhow::ensure!(dir.is_dir(), "there is no journal in {}", dir.display());
            let found = inspect(dir)?;
            if let Some(problem) = found.problems.iter().find(|problem| problem.fatal) {
                let (file, at) = (problem.file.display(), problem.offset);
                eprintln!("wharf: {file} at offset {at}: {}", problem.reason);
            }
            let mut after = 0;
            if let Some(snapshot) = found.snapshots.last() {
                read_snapshot(&snapshot.path, sink)?;
                after = snapshot.rev;
            }
            for batch in history(dir)? {
                let batch = batch?;
                if batch.rev > after {
                    sink.batch(batch)?;
                }
            }
        }
    }
    Ok(())
}

/// The state at the journal's end.
pub fn load(from: &StateArgument, dir: &Path) -> Result<State> {
    struct Loading(State);
    impl Loading {
        fn take(&mut self, row: &RowChange) -> Result<(), SinkError> {
            let value = row.value.as_deref();
            let taken = self.0.load(&row.table, row.version, &row.key, value);
            taken.map_err(|e| SinkError(e.to_string()))
        }
    }
    impl Sink for Loading {
        fn snapshot_begin(&mut self, _: u64) {
            self.0 = slices::registry().empty_state();
        }
        fn snapshot_row(&mut self, row: RowChange) -> Result<(), SinkError> {
            self.take(&row)
        }
        fn snapshot_done(&mut self, rev: u64) {
            self.0.set_rev(rev);
        }
        fn batch(&mut self, batch: Batch) -> Result<(), SinkError> {
            batch.changes.iter().try_for_each(|row| self.take(row))?;
            self.0.set_rev(batch.rev);
            Ok(())
        }
    }
    let mut loading = Loading(slices::registry().empty_state());
    read(from, dir, &mut loading).context("the journal cannot be read")?;
    Ok(loading.0)
}

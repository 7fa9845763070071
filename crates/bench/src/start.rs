//! Start to ready and idle memory, on an empty data folder and with many tasks in the journal.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use core_state::Row;
use core_types::{Dice, Id128, Scope, Time};
use plane_journal::{Batch, EmbeddedJournal, EmbeddedOptions, Journal, RowChange, Sink, SinkError};

use crate::api::start_wharf;
use crate::core_step::task;

#[derive(clap::Args)]
pub struct Options {
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    #[arg(long, default_value_t = 100_000)]
    tasks: usize,
    #[arg(long, default_value = "target/release/wharf")]
    wharf: PathBuf,
}

struct Nowhere;

impl Sink for Nowhere {
    fn snapshot_begin(&mut self, _: u64) {}
    fn snapshot_row(&mut self, _: RowChange) -> Result<(), SinkError> {
        Ok(())
    }
    fn snapshot_done(&mut self, _: u64) {}
    fn batch(&mut self, _: Batch) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Write tasks into a journal as the engine would, in steps of a hundred.
fn fill(journal: &Path, tasks: usize) -> Result<()> {
    let mut journal = EmbeddedJournal::open(EmbeddedOptions::new(journal))?;
    journal.recover(&mut Nowhere)?;
    journal.lead(&mut Nowhere, &Default::default())?;
    let mut dice = Dice::from_number(3);
    let scope: Scope = "123456789012/us-east-1".parse()?;
    let host = Id128([7; 16]);
    let table: Arc<str> = service_ecs::rows::task::Task::TABLE.into();
    let mut rev = 0;
    let mut left = tasks;
    while left > 0 {
        let mut changes = Vec::new();
        for _ in 0..left.min(100) {
            let row = task(dice.id(), host, scope, Time(1_700_000_000_000));
            changes.push(RowChange {
                table: table.clone(),
                version: service_ecs::rows::task::Task::VERSION,
                key: format!("\"{}\"", row.id).into_bytes(),
                value: Some(serde_json::to_vec(&row)?),
            });
        }
        left -= changes.len();
        rev += 1;
        journal.append(&[Batch { rev, at_ms: 1_700_000_000_000, changes }])?;
    }
    Ok(())
}

pub fn run(options: &Options) -> Result<()> {
    let empty = tempfile::tempdir()?;
    measure("empty", options, empty.path())?;
    let full = tempfile::tempdir()?;
    fill(&full.path().join("journal"), options.tasks)?;
    measure(&format!("{} tasks in the journal", options.tasks), options, full.path())
}

fn measure(name: &str, options: &Options, data: &Path) -> Result<()> {
    let mut times = Vec::new();
    let mut resident = 0;
    for _ in 0..options.rounds {
        let started = Instant::now();
        let server = start_wharf(&options.wharf, data)?;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
        resident = server.resident()?;
    }
    times.sort_by(f64::total_cmp);
    println!(
        "{name}: start to ready {:.0} ms (median of {}; {:.0}–{:.0}), {resident} KiB resident",
        times[times.len() / 2],
        times.len(),
        times[0],
        times[times.len() - 1],
    );
    Ok(())
}

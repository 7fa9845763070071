//! Durable group commits of ~1 KB batches, side by side: the embedded journal, redb in its place,
//! and etcd where `--etcd etcd://host:port` names one. The kinds take turns round by round, so that
//! a busy machine hits all of them; medians of the rounds are printed, with this process's own CPU.
//!
//! `cargo run --release -p plane-journal --example journal_throughput -- [--dir DIR] [--etcd URL]`

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use plane_journal::{
    Batch, EmbeddedJournal, EmbeddedOptions, EtcdJournal, EtcdOptions, Journal, RowChange, Sink,
    SinkError, Stop,
};
use redb::{Database, TableDefinition};

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(400);

struct Ignore;

impl Sink for Ignore {
    fn snapshot_begin(&mut self, _rev: u64) {}
    fn snapshot_row(&mut self, _row: RowChange) -> Result<(), SinkError> {
        Ok(())
    }
    fn snapshot_done(&mut self, _rev: u64) {}
    fn batch(&mut self, _batch: Batch) -> Result<(), SinkError> {
        Ok(())
    }
}

/// About 1 KB that packs as rows do: words repeat, ids do not.
fn batch(rev: u64, table: &Arc<str>) -> Batch {
    let mut value = String::new();
    let mut id = rev.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    while value.len() < 950 {
        id ^= id << 13;
        id ^= id >> 7;
        id ^= id << 17;
        value.push_str(&format!(
            "{{\"taskArn\":\"arn:aws:ecs:us-east-1:123456789012:task/default/{id:016x}{:016x}\",\
             \"lastStatus\":\"RUNNING\",\"desiredStatus\":\"RUNNING\",\"cpu\":\"256\"}}",
            id.rotate_left(17)
        ));
    }
    let key = format!("123456789012/default/{rev}").into_bytes();
    let (table, value) = (table.clone(), Some(value.into_bytes()));
    Batch { rev, at_ms: rev as i64, changes: vec![RowChange { table, version: 1, key, value }] }
}

trait Engine {
    fn name(&self) -> &'static str;
    fn commit(&mut self, group: &[Batch]) -> Fallible<()>;
}

struct Ours {
    name: &'static str,
    journal: Box<dyn Journal>,
}

impl Ours {
    fn new(name: &'static str, mut journal: Box<dyn Journal>) -> Fallible<Ours> {
        journal.recover(&mut Ignore)?;
        journal.lead(&mut Ignore, &Stop::default())?;
        Ok(Ours { name, journal })
    }
}

impl Engine for Ours {
    fn name(&self) -> &'static str {
        self.name
    }

    fn commit(&mut self, group: &[Batch]) -> Fallible<()> {
        Ok(self.journal.append(group)?)
    }
}

const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");

struct Redb(Database);

impl Engine for Redb {
    fn name(&self) -> &'static str {
        "redb"
    }

    /// One entry per batch, as a log in redb would be; the row's bytes without any encoding.
    fn commit(&mut self, group: &[Batch]) -> Fallible<()> {
        let write = self.0.begin_write()?;
        {
            let mut table = write.open_table(LOG)?;
            for batch in group {
                for row in &batch.changes {
                    table.insert(batch.rev, row.value.as_deref().unwrap_or_default())?;
                }
            }
        }
        Ok(write.commit()?)
    }
}

/// User and system time of this process so far, in clock ticks of 10 ms.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let field = |n: usize| {
        after_name.split_whitespace().nth(n).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0)
    };
    Duration::from_millis(10 * (field(11) + field(12)))
}

struct Figures {
    micros_per_commit: f64,
    batches_per_second: f64,
    cpu_micros_per_batch: f64,
}

fn round(
    engine: &mut dyn Engine,
    next: &mut u64,
    size: u64,
    table: &Arc<str>,
) -> Fallible<Figures> {
    let mut commits = 0u64;
    let mut spent = Duration::ZERO;
    let mut burnt = Duration::ZERO;
    while spent < ROUND {
        // Making the batches is not the journal's work.
        let groups: Vec<Vec<Batch>> = (0..64 / size.min(64) + 8)
            .map(|n| {
                let first = *next + n * size;
                (first..first + size).map(|rev| batch(rev, table)).collect()
            })
            .collect();
        let (started, before) = (Instant::now(), cpu());
        for group in &groups {
            engine.commit(group)?;
        }
        spent += started.elapsed();
        burnt += cpu() - before;
        commits += groups.len() as u64;
        *next += groups.len() as u64 * size;
    }
    let batches = (commits * size) as f64;
    Ok(Figures {
        micros_per_commit: spent.as_secs_f64() * 1e6 / commits as f64,
        batches_per_second: batches / spent.as_secs_f64(),
        cpu_micros_per_batch: burnt.as_secs_f64() * 1e6 / batches,
    })
}

fn median(figures: &[Figures], of: impl Fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<f64> = figures.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn engines(dir: &Path, etcd: Option<&str>) -> Fallible<Vec<Box<dyn Engine>>> {
    let embedded = EmbeddedJournal::open(EmbeddedOptions::new(dir.join("embedded")))?;
    let mut engines: Vec<Box<dyn Engine>> = vec![
        Box::new(Ours::new("embedded", Box::new(embedded))?),
        Box::new(Redb(Database::create(dir.join("redb"))?)),
    ];
    if let Some(url) = etcd {
        let options = EtcdOptions::parse(&format!("{url}/throughput-{}", std::process::id()))?;
        engines.push(Box::new(Ours::new("etcd", Box::new(EtcdJournal::open(options)?))?));
    }
    Ok(engines)
}

fn main() -> Fallible<()> {
    let args: Vec<String> = std::env::args().collect();
    let flag = |name: &str| args.iter().skip_while(|arg| *arg != name).nth(1).cloned();
    let home = flag("--dir").map_or_else(|| PathBuf::from("."), PathBuf::from);
    let dir = tempfile::Builder::new().prefix("journal-throughput-").tempdir_in(home)?;
    let table: Arc<str> = "tasks".into();
    let mut engines = engines(dir.path(), flag("--etcd").as_deref())?;
    let mut next = vec![1u64; engines.len()];
    println!(
        "{:9} {:>6} {:>12} {:>12} {:>14}",
        "", "group", "µs/commit", "batches/s", "CPU µs/batch"
    );
    for size in [1, 64] {
        let mut figures: Vec<Vec<Figures>> = engines.iter().map(|_| Vec::new()).collect();
        for _ in 0..ROUNDS {
            for (at, engine) in engines.iter_mut().enumerate() {
                figures[at].push(round(&mut **engine, &mut next[at], size, &table)?);
            }
        }
        for (engine, figures) in engines.iter().zip(&figures) {
            println!(
                "{:9} {:>6} {:>12.0} {:>12.0} {:>14.1}",
                engine.name(),
                size,
                median(figures, |f| f.micros_per_commit),
                median(figures, |f| f.batches_per_second),
                median(figures, |f| f.cpu_micros_per_batch),
            );
        }
    }
    Ok(())
}

//! What containers use, measured every few seconds: the newest reading of each for the metadata
//! endpoint, and what has gathered since the last publication for telemetry.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_agent::tcs::StatsSet;
use core_types::Time;
use host_runtime::Stats;
use tokio::time::MissedTickBehavior;

use crate::clock;
use crate::engine::Phase;
use crate::tasks::{Live, NetworkMode, Tasks};
use crate::traffic::{self, Carried};

const EVERY: Duration = Duration::from_secs(5);

/// Two readings in a row, which give rates.
#[derive(Clone, Debug)]
pub struct Reading {
    pub at: Time,
    pub stats: Stats,
    /// Nanoseconds of CPU that the whole machine has used.
    pub machine: u64,
    pub before: Option<Box<(Time, Stats, u64)>>,
}

/// What was measured since it was last published.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    pub cpu: Option<StatsSet>,
    pub memory: Option<StatsSet>,
    pub read_bytes: u64,
    pub write_bytes: u64,
}

#[derive(Default)]
pub struct Meter {
    pub traffic: Carried,
    known: Mutex<BTreeMap<String, (Reading, Gathered)>>,
}

fn add(set: &mut Option<StatsSet>, value: f64) {
    let set = set.get_or_insert(StatsSet { min: value, max: value, sum: 0.0, sample_count: 0 });
    set.min = set.min.min(value);
    set.max = set.max.max(value);
    set.sum += value;
    set.sample_count += 1;
}

impl Meter {
    fn known(&self) -> MutexGuard<'_, BTreeMap<String, (Reading, Gathered)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn newest(&self, container_id: &str) -> Option<Reading> {
        self.known().get(container_id).map(|(reading, _)| reading.clone())
    }

    /// What has gathered for a container; it begins anew.
    pub fn gathered(&self, container_id: &str) -> Option<Gathered> {
        self.known().get_mut(container_id).map(|(_, gathered)| std::mem::take(gathered))
    }

    fn take(&self, id: &str, at: Time, stats: Stats, machine: u64) {
        let mut known = self.known();
        let (before, mut gathered) = match known.remove(id) {
            // A restarted container counts from zero again.
            Some((old, gathered)) if old.stats.cpu_total <= stats.cpu_total => {
                (Some(Box::new((old.at, old.stats, old.machine))), gathered)
            }
            _ => (None, Gathered::default()),
        };
        if let Some(before) = &before {
            let wall = at.since(before.0).as_nanos() as f64;
            let used = stats.cpu_total.saturating_sub(before.1.cpu_total) as f64;
            if wall > 0.0 {
                // AWS: 100 is one core busy.
                add(&mut gathered.cpu, 100.0 * used / wall);
            }
        }
        // AWS: what Docker shows: usage without the page cache that could go at once.
        let memory = stats.memory_usage.saturating_sub(stats.memory_inactive_file);
        add(&mut gathered.memory, memory as f64 / f64::from(1 << 20));
        gathered.read_bytes = stats.read_bytes.unwrap_or(0);
        gathered.write_bytes = stats.write_bytes.unwrap_or(0);
        known.insert(id.to_owned(), (Reading { at, stats, machine, before }, gathered));
    }

    /// False where it does not run.
    async fn measure(&self, tasks: &Tasks, live: &Live, id: &str) -> bool {
        let Ok(stats) = tasks.driver.runtime.stats(id).await else { return false };
        self.take(id, clock::now(), stats, machine_cpu());
        // AWS: what has the host's network has no counters of its own.
        if live.given.network_mode() != NetworkMode::Host
            && let Ok(state) = tasks.driver.runtime.state(id).await
        {
            self.traffic.take(id, clock::now(), traffic::of_process(state.pid));
        }
        true
    }

    /// Measure a container now, which the next round would.
    pub async fn measure_one(&self, tasks: &Tasks, id: &str) {
        let all = tasks.all();
        let parts = |live: &Arc<Live>| 0..live.given.task.containers.len();
        let is_its = |live: &&Arc<Live>| parts(live).any(|p| live.given.container_id(p) == id);
        if let Some(live) = all.iter().find(is_its) {
            self.measure(tasks, live, id).await;
        }
    }

    /// Measure for as long as the agent runs.
    pub async fn run(self: Arc<Self>, tasks: Arc<Tasks>) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let mut seen = Vec::new();
            for live in tasks.all() {
                let phases: Vec<Phase> = {
                    let state = live.state.lock().unwrap_or_else(PoisonError::into_inner);
                    state.parts.iter().map(|part| part.phase).collect()
                };
                for (part, _) in phases.iter().enumerate().filter(|(_, p)| **p == Phase::Running) {
                    let id = live.given.container_id(part);
                    if self.measure(&tasks, &live, &id).await {
                        seen.push(id);
                    }
                }
            }
            self.traffic.keep(&seen);
            self.known().retain(|id, _| seen.contains(id));
        }
    }
}

/// Nanoseconds of CPU time that the machine has seen, idle time included, as Docker's
/// `system_cpu_usage` counts.
fn machine_cpu() -> u64 {
    const TICK: u64 = 10_000_000;
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    // Guests' time, behind the first eight, is counted in the users' already.
    let ticks = line.split_whitespace().skip(1).take(8).filter_map(|w| w.parse::<u64>().ok());
    ticks.sum::<u64>() * TICK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_core_is_a_hundred_percent_and_memory_is_mib() {
        let meter = Meter::default();
        let stats = |cpu: u64| Stats { cpu_total: cpu, memory_usage: 3 << 20, ..Stats::default() };
        meter.take("a", Time(0), stats(0), 0);
        meter.take("a", Time(5000), stats(5_000_000_000), 0);
        meter.take("a", Time(10_000), stats(7_500_000_000), 0);
        let gathered = meter.gathered("a").unwrap();
        let cpu = gathered.cpu.unwrap();
        assert_eq!((cpu.min, cpu.max, cpu.sample_count), (50.0, 100.0, 2));
        assert_eq!(gathered.memory.unwrap().max, 3.0);
        assert!(meter.gathered("a").unwrap().cpu.is_none());
        meter.take("a", Time(15_000), stats(1), 0);
        assert!(meter.newest("a").unwrap().before.is_none());
    }
}

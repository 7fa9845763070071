//! `step` without I/O: 10^5 one-container tasks on 10^3 hosts, and observations of them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use core_step::{Core, Event, OnPanic, Registry, Report, Slice};
use core_task::{ContainerReport, ContainerStatus, TaskReport, TaskStatus};
use core_types::{Dice, Id128, Scope, Time};
use service_ecs::reports::TaskObserved;
use service_ecs::rows::task::{Container, Launch, Task};

use crate::process::cpu_of_thread;

static SLICES: &[&Slice] = &[&service_iam::SLICE, &service_ecs::SLICE];

#[derive(clap::Args)]
pub struct Options {
    #[arg(long, default_value_t = 100_000)]
    tasks: usize,
    #[arg(long, default_value_t = 1_000)]
    hosts: usize,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Observations taken into one step: by default as many as the engine takes where more wait.
    #[arg(long, default_value_t = plane_engine::Options::default().batch)]
    batch: usize,
}

/// Puts a batch of rows, as RunTask would.
struct PutTasks(Vec<Task>);

impl Report for PutTasks {
    fn apply(self: Box<Self>, tx: &mut core_state::Tx<'_>) -> Box<dyn std::any::Any + Send> {
        self.0.into_iter().for_each(|task| tx.put(task));
        Box::new(())
    }
}

pub fn task(id: Id128, host: Id128, scope: Scope, at: Time) -> Task {
    // Text is made anew for each row, as it is when rows come from requests or from the journal.
    let text = |s: &str| Arc::<str>::from(s);
    let definition = (text("web-frontend"), 42);
    Task {
        host: Some(host),
        service: Some(text("web-frontend")),
        started_by: Some(text("ecs-svc/1234567890123456789")),
        cpu: 256,
        memory: 512,
        containers: Box::new([Container::new(id, text("web"))]),
        ..Task::new(id, (scope, text("production")), definition, Launch::Ec2, at)
    }
}

const IMAGE: &str = "sha256:0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

fn observation(task: Id128, status: TaskStatus, container: ContainerStatus) -> Event {
    let runtime_id = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
    let container = ContainerReport {
        name: "web",
        status: container,
        exit_code: (container == ContainerStatus::Stopped).then_some(0),
        reason: None,
        runtime_id: Some(runtime_id),
        image_digest: Some(IMAGE),
        ..Default::default()
    };
    let report =
        TaskReport { status: Some(status), containers: vec![container], ..Default::default() };
    Event::Report(Box::new(TaskObserved { task, report }))
}

/// Resident memory of this process, in bytes.
fn resident() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find(|l| l.starts_with("VmRSS:")).unwrap_or_default();
    let kib: u64 = line.split_whitespace().nth(1).unwrap_or("0").parse()?;
    Ok(kib * 1024)
}

pub fn run(options: &Options) -> Result<()> {
    let mut dice = Dice::from_number(1);
    let scope: Scope = "123456789012/us-east-1".parse()?;
    let hosts: Vec<Id128> = (0..options.hosts).map(|_| dice.id()).collect();
    let ids: Vec<Id128> = (0..options.tasks).map(|_| dice.id()).collect();
    let mut rates = Vec::new();
    for round in 0..options.rounds {
        let registry = Registry::new(SLICES, Box::new(service_iam::IamIdentity));
        let state = registry.empty_state();
        let mut core = Core::new(registry, state, OnPanic::Abort);
        let before = resident()?;
        let mut now = Time(1_700_000_000_000);
        for (nth, chunk) in ids.chunks(1_000).enumerate() {
            let rows = chunk
                .iter()
                .enumerate()
                .map(|(i, id)| task(*id, hosts[(nth * 1_000 + i) % hosts.len()], scope, now));
            let put = Event::Report(Box::new(PutTasks(rows.collect())));
            drop(core.step(now, [1; 32], vec![put]));
        }
        if round == 0 {
            let bytes = (resident()? - before) / options.tasks as u64;
            println!("memory: {bytes} bytes a one-container task row, indexes included");
        }
        let running = (TaskStatus::Running, ContainerStatus::Running);
        let stopped = (TaskStatus::Stopped, ContainerStatus::Stopped);
        let mut order = ids.clone();
        let mut spent = Duration::ZERO;
        let mut taken = 0usize;
        for (status, container) in [running, stopped] {
            // Hosts report in no order of ours.
            for i in (1..order.len()).rev() {
                order.swap(i, dice.below(i as u64 + 1) as usize);
            }
            for chunk in order.chunks(options.batch) {
                let events: Vec<_> =
                    chunk.iter().map(|id| observation(*id, status, container)).collect();
                now.0 += 1;
                // A reader holds the former revision, as the published view always does.
                let reader = core.state().clone();
                let before = cpu_of_thread()?;
                let step = core.step(now, [2; 32], events);
                spent += cpu_of_thread()? - before;
                taken += step.changes.len();
                drop(reader);
            }
        }
        let rate = taken as f64 / spent.as_secs_f64();
        println!("round {round}: {taken} observations, {rate:.0} a second of CPU");
        rates.push(rate);
    }
    rates.sort_by(f64::total_cmp);
    println!("median: {:.0} observations a second of CPU", rates[rates.len() / 2]);
    Ok(())
}

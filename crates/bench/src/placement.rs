//! Placement without anything around it: 10^6 tasks on 10^4 instances, one question at a time, all
//! of them through a `memberOf` constraint. CPU time is the thread's own, so that what else the
//! machine does is left out; the slowest percentile is of the clock on the wall, with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use core_placement::{Ask, Constraint, Field, Free, Instance, Need, Pool, Query, Strategy};
use core_types::{Dice, Time};

use crate::process::cpu_of_thread;

#[derive(clap::Args)]
pub struct Options {
    #[arg(long, default_value_t = 1_000_000)]
    tasks: usize,
    #[arg(long, default_value_t = 10_000)]
    instances: usize,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

const ZONE: &str = "ecs.availability-zone";
const MEMBER_OF: &str = "attribute:ecs.instance-type =~ m5.* and attribute:stack == prod";

/// What the instances can do, as an agent tells it.
const ABILITIES: usize = 30;

/// Every tenth instance is no member. Those that are have room for all the tasks, and little more.
fn pool(options: &Options, dice: &mut Dice) -> Pool {
    let mut pool = Pool::default();
    let room = (options.tasks / (options.instances * 9 / 10) + 20) as i64;
    for n in 0..options.instances {
        let mut attributes: BTreeMap<String, Option<String>> = (0..ABILITIES)
            .map(|n| (format!("com.amazonaws.ecs.capability.number-{n}"), None))
            .collect();
        let zone = ["us-east-1a", "us-east-1b", "us-east-1c"][n % 3];
        let kind = if n % 10 == 9 { "t3.large" } else { "m5.large" };
        for (name, value) in [(ZONE, zone), ("ecs.instance-type", kind), ("stack", "prod")] {
            attributes.insert(name.to_owned(), Some(value.to_owned()));
        }
        pool.put(Instance {
            id: dice.id(),
            active: true,
            connected: true,
            attributes: Arc::new(attributes),
            agent_version: None,
            ec2_instance_id: None,
            registered_at: Time(0),
            free: Free { cpu: room * 10, memory: room * 64 + n as i64 % 64, ..Free::default() },
            groups: BTreeMap::new(),
            running_tasks: 0,
        });
    }
    pool
}

fn ask(service: usize, strategy: &[Strategy]) -> Result<Ask> {
    let query =
        Query::parse(MEMBER_OF, |_| None).ok().context("the constraint is an expression")?;
    let needed = (0..8).map(|n| (format!("com.amazonaws.ecs.capability.number-{n}"), None));
    Ok(Ask {
        group: format!("service:s{service}").into(),
        need: Need { cpu: 10, memory: 64, attributes: needed.collect(), ..Need::default() },
        constraints: vec![Constraint::MemberOf(query)],
        strategy: strategy.to_vec(),
    })
}

struct Figures {
    rate: f64,
    p50: Duration,
    p99: Duration,
    slowest: Duration,
}

/// Place all tasks, `batch` a question, the services in turn.
fn round(options: &Options, services: usize, batch: usize, chain: &[Strategy]) -> Result<Figures> {
    let mut dice = Dice::from_number(1);
    let mut pool = pool(options, &mut dice);
    let asks: Vec<Ask> = (0..services).map(|n| ask(n, chain)).collect::<Result<_>>()?;
    let calls = options.tasks / batch;
    let mut took = Vec::with_capacity(calls);
    let before = cpu_of_thread()?;
    for n in 0..calls {
        let started = Instant::now();
        let placement = pool.place(&asks[n % services], batch, &mut dice);
        took.push(started.elapsed());
        ensure!(placement.placed.len() == batch, "there is room for every task");
    }
    let spent = cpu_of_thread()?.saturating_sub(before);
    took.sort_unstable();
    Ok(Figures {
        rate: (calls * batch) as f64 / spent.as_secs_f64(),
        p50: took[calls / 2],
        p99: took[calls * 99 / 100],
        slowest: took[calls - 1],
    })
}

pub fn run(options: &Options) -> Result<()> {
    ensure!(options.rounds > 0 && options.instances > 9, "there is something to measure");
    let spread =
        [Strategy::Spread(Field::Attribute(ZONE.to_owned())), Strategy::Spread(Field::Instance)];
    let cases: [(&str, usize, usize, &[Strategy]); 4] = [
        ("spread(zone), spread(instance); 1 a call", 1, 1, &spread),
        ("binpack(memory); 1 a call", 1, 1, &[Strategy::BinpackMemory]),
        ("spread(zone), spread(instance); 50 services in turn, 10 a call", 50, 10, &spread),
        ("binpack(memory); 50 services in turn, 10 a call", 50, 10, &[Strategy::BinpackMemory]),
    ];
    println!("{} tasks on {} instances, {MEMBER_OF}", options.tasks, options.instances);
    for (name, services, batch, chain) in cases {
        let all = (0..options.rounds).map(|_| round(options, services, batch, chain));
        let mut all = all.collect::<Result<Vec<Figures>>>()?;
        all.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        let Figures { rate, p50, p99, slowest } = &all[all.len() / 2];
        println!(
            "{name}: {rate:.0} placements/s of CPU; a call p50 {p50:.1?}, p99 {p99:.1?}, slowest {slowest:.1?}"
        );
    }
    let load = std::fs::read_to_string("/proc/loadavg")?;
    println!("load of the machine: {}", load.trim());
    Ok(())
}

//! Starts and ends: one after the other, and a hundred at once.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use super::docker::Docker;
use super::plane::Plane;
use super::{Options, SLEEPER, define, median, milliseconds, row};
use crate::process;

/// What many rounds have measured.
#[derive(Default)]
struct Times {
    /// RunTask sent to accepted, accepted to RUNNING, StopTask sent to answered.
    accepted: Vec<Duration>,
    running: Vec<Duration>,
    stop_answered: Vec<Duration>,
    many_running: Vec<Duration>,
    many_stopped: Vec<Duration>,
    /// KiB: the agent; a shim's resident and proportional mean.
    agent: u64,
    shim: (u64, u64),
    shims: usize,
}

pub fn run(options: &Options, plane: &mut Plane, docker: Option<&Docker>) -> Result<()> {
    let subnets = plane.subnets()?;
    let configured =
        json!({ "networkConfiguration": { "awsvpcConfiguration": { "subnets": subnets } } });
    let mut all: Vec<(String, Value, Times)> = Vec::new();
    for network in &options.networks {
        define(plane, network, network, json!({ "command": SLEEPER }))?;
        let more = if network == "awsvpc" { configured.clone() } else { json!({}) };
        all.push((network.clone(), more, Times::default()));
    }
    let (mut docker_one, mut docker_many) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        for (family, more, times) in &mut all {
            for _ in 0..options.single {
                one(plane, family, more, times)?;
            }
            many(plane, family, more, options.many, times)?;
        }
        if let Some(docker) = docker {
            for _ in 0..options.single {
                let (time, id) = docker.run_one()?;
                docker_one.push(time);
                docker.remove(&[id])?;
            }
            let (time, ids) = docker.run_many(options.many)?;
            docker_many.push(time);
            docker.remove(&ids)?;
        }
    }
    if docker.is_some() {
        row("`docker run -d`", &milliseconds(&docker_one));
        let what = format!("{} containers by Docker's API, 4 threads", options.many);
        row(&what, &milliseconds(&docker_many));
    }
    let beside = |own: &[Duration], theirs: &[Duration]| match theirs.is_empty() {
        true => milliseconds(own),
        false => format!("{}, {:.2}× of Docker", milliseconds(own), median(own) / median(theirs)),
    };
    for (network, _, times) in &all {
        let many = options.many;
        row(&format!("{network}: RunTask answered"), &milliseconds(&times.accepted));
        let figure = beside(&times.running, &docker_one);
        row(&format!("{network}: RunTask accepted → RUNNING"), &figure);
        let figure = beside(&times.many_running, &docker_many);
        row(&format!("{network}: RunTask of {many} → all RUNNING"), &figure);
        row(&format!("{network}: StopTask answered"), &milliseconds(&times.stop_answered));
        let what = format!("{network}: StopTask of {many} → all STOPPED");
        row(&what, &milliseconds(&times.many_stopped));
        let figure = format!("{:.1} MiB", times.agent as f64 / 1024.0);
        row(&format!("{network}: the agent with {many} tasks, resident"), &figure);
        let (rss, pss) = (times.shim.0 as f64 / 1024.0, times.shim.1 as f64 / 1024.0);
        let figure = format!("{rss:.1} MiB, its share {pss:.2} MiB, mean of {}", times.shims);
        row(&format!("{network}: a container's shim, resident"), &figure);
    }
    Ok(())
}

fn one(plane: &mut Plane, family: &str, more: &Value, times: &mut Times) -> Result<()> {
    let begun = Instant::now();
    let arns = plane.run(family, 1, more)?;
    let accepted = Instant::now();
    plane.reach(&arns, "RUNNING")?;
    times.accepted.push(accepted - begun);
    times.running.push(accepted.elapsed());
    stop(plane, &arns, times)?;
    // The next one shall find the machine at rest, as a lone task does.
    std::thread::sleep(REST);
    Ok(())
}

const REST: Duration = Duration::from_millis(200);

fn many(
    plane: &mut Plane,
    family: &str,
    more: &Value,
    count: usize,
    times: &mut Times,
) -> Result<()> {
    let begun = Instant::now();
    let arns = plane.run(family, count, more)?;
    plane.reach(&arns, "RUNNING")?;
    times.many_running.push(begun.elapsed());
    weigh(plane, times)?;
    let begun = Instant::now();
    stop(plane, &arns, times)?;
    times.many_stopped.push(begun.elapsed());
    std::thread::sleep(REST);
    Ok(())
}

fn weigh(plane: &Plane, times: &mut Times) -> Result<()> {
    for agent in plane.parts("agent") {
        times.agent = times.agent.max(process::resident(agent.pid)?);
    }
    let shims = plane.parts("shim");
    let (mut rss, mut pss) = (0, 0);
    for shim in &shims {
        rss += process::resident(shim.pid)?;
        pss += process::proportional(shim.pid)?;
    }
    let count = shims.len().max(1) as u64;
    (times.shim, times.shims) = ((rss / count, pss / count), shims.len());
    Ok(())
}

fn stop(plane: &mut Plane, arns: &[String], times: &mut Times) -> Result<()> {
    for arn in arns {
        let begun = Instant::now();
        plane.ecs("StopTask", &json!({ "task": arn }))?;
        times.stop_answered.push(begun.elapsed());
    }
    plane.reach(arns, "STOPPED")
}

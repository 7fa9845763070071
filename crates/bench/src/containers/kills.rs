//! kill -9 of the server's process group and of the agent, with many tasks running. Each time some of
//! the containers are ended while nobody looks: the state is true again when all others are RUNNING
//! and those are STOPPED. That no container was started again is seen by their first processes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::plane::Plane;
use super::{Options, SLEEPER, define, milliseconds, row};
use crate::process::signal;

/// Containers that end unseen in each round.
const UNSEEN: usize = 3;

pub fn run(options: &Options, plane: &mut Plane) -> Result<()> {
    define(plane, "killed", "bridge", json!({ "command": SLEEPER }))?;
    let mut arns = plane.run("killed", options.killed, &json!({}))?;
    plane.reach(&arns, "RUNNING")?;
    let (mut servers, mut agents) = (Vec::new(), Vec::new());
    for round in 0..options.kills {
        let before = first_processes(plane)?;
        let agent = round % 2 == 1;
        let ended: Vec<String> = arns.drain(..UNSEEN).collect();
        let begun = if agent {
            signal(plane.parts("agent").first().context("an agent")?.pid, "KILL")?;
            end(&before, &ended)?;
            Instant::now()
        } else {
            plane.kill()?;
            end(&before, &ended)?;
            let begun = Instant::now();
            plane.up()?;
            begun
        };
        plane.wait("the ended ones are STOPPED", |plane| {
            Ok((plane.count(&ended, "STOPPED")? == ended.len()).then_some(()))
        })?;
        let running = plane.count(&arns, "RUNNING")?;
        if running != arns.len() {
            bail!("round {round}: {running} of {} are RUNNING", arns.len());
        }
        if agent { &mut agents } else { &mut servers }.push(begun.elapsed());
        compare(&before, &first_processes(plane)?, &arns, round)?;
        let more = plane.run("killed", ended.len(), &json!({}))?;
        plane.reach(&more, "RUNNING")?;
        arns.extend(more);
    }
    let told = |times: &[Duration]| format!("{}; no container began again", milliseconds(times));
    let count = options.killed;
    row(&format!("kill -9 of the server, {count} tasks: restarted → state true"), &told(&servers));
    row(&format!("kill -9 of the agent, {count} tasks: killed → state true"), &told(&agents));
    Ok(())
}

pub type Processes = BTreeMap<String, (u32, u64)>;

/// The first process of each task's container and when it began, by the task's id.
pub fn first_processes(plane: &Plane) -> Result<Processes> {
    let mut found = BTreeMap::new();
    for shim in plane.parts("shim") {
        let mut words = shim.words.iter().skip_while(|word| *word != "--dir");
        let dir = words.nth(1).context("a shim has a folder")?;
        let Ok(text) = std::fs::read(format!("{dir}/shim.json")) else { continue };
        let record: Value = serde_json::from_slice(&text)?;
        let number = |name: &str| record["container"][name].as_u64();
        let spec: Value = serde_json::from_slice(&std::fs::read(format!("{dir}/spec.json"))?)?;
        let arn = spec["labels"]["com.amazonaws.ecs.task-arn"].as_str().unwrap_or_default();
        if let (Some(pid), Some(began)) = (number("pid"), number("began")) {
            found.insert(arn.to_owned(), (u32::try_from(pid)?, began));
        }
    }
    Ok(found)
}

fn end(processes: &Processes, arns: &[String]) -> Result<()> {
    for arn in arns {
        let process = processes.get(arn);
        let known = processes.len();
        signal(process.with_context(|| format!("{arn} is none of {known} containers"))?.0, "KILL")?;
    }
    Ok(())
}

fn compare(before: &Processes, after: &Processes, arns: &[String], round: usize) -> Result<()> {
    for arn in arns {
        if before.get(arn).is_none() || before.get(arn) != after.get(arn) {
            bail!("round {round}: the container of {arn} is another one than before");
        }
    }
    Ok(())
}

//! A container of a service is killed from outside: how long until another one is RUNNING in its place.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use serde_json::json;

use super::plane::Plane;
use super::{Options, SLEEPER, define, kills, milliseconds, row};
use crate::process::signal;

/// A task that ran for less counts as one that failed to start.
const PROVEN: Duration = Duration::from_secs(11);

pub fn run(options: &Options, plane: &mut Plane) -> Result<()> {
    let count = options.replaced;
    define(plane, "replaced", "bridge", json!({ "command": SLEEPER }))?;
    let input = json!({ "serviceName": "replaced", "taskDefinition": "replaced",
        "desiredCount": count });
    plane.ecs("CreateService", &input)?;
    let first = plane.wait("the service's tasks have run for long enough", |plane| {
        Ok(Some(running(plane, PROVEN)?).filter(|tasks| tasks.len() == count))
    })?;
    let mut times = Vec::new();
    for victim in first {
        let process = kills::first_processes(plane)?;
        let (pid, _) = process.get(&victim).context("a container has a process")?;
        let known = running(plane, Duration::ZERO)?;
        signal(*pid, "KILL")?;
        let begun = Instant::now();
        plane.wait("another runs", |plane| {
            Ok(running(plane, Duration::ZERO)?
                .iter()
                .any(|task| !known.contains(task))
                .then_some(()))
        })?;
        times.push(begun.elapsed());
    }
    plane.ecs("DeleteService", &json!({ "service": "replaced", "force": true }))?;
    row("a service's container killed → another RUNNING", &milliseconds(&times));
    Ok(())
}

/// The service's tasks that have been RUNNING for at least so long.
fn running(plane: &mut Plane, since: Duration) -> Result<BTreeSet<String>> {
    let listed = plane.ecs("ListTasks", &json!({ "serviceName": "replaced" }))?;
    let arns = listed["taskArns"].as_array().cloned().unwrap_or_default();
    if arns.is_empty() {
        return Ok(BTreeSet::new());
    }
    let told = plane.ecs("DescribeTasks", &json!({ "tasks": arns }))?;
    let tasks = told["tasks"].as_array().cloned().unwrap_or_default();
    let latest = (SystemTime::UNIX_EPOCH.elapsed()? - since).as_secs_f64();
    let up = tasks.iter().filter(|task| {
        let started = task["startedAt"].as_f64();
        task["lastStatus"] == "RUNNING" && started.is_some_and(|at| at <= latest)
    });
    Ok(up.filter_map(|task| task["taskArn"].as_str().map(str::to_owned)).collect())
}

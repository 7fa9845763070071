//! A container of a service is killed from outside: how long until another one is RUNNING in its place.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

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
    let first = plane.wait("the service's tasks run", |plane| {
        Ok(Some(running(plane)?).filter(|tasks| tasks.len() == count))
    })?;
    std::thread::sleep(PROVEN);
    let mut times = Vec::new();
    for victim in first {
        let process = kills::first_processes(plane)?;
        let (pid, _) = process.get(&victim).context("a container has a process")?;
        let known = running(plane)?;
        signal(*pid, "KILL")?;
        let begun = Instant::now();
        plane.wait("another runs", |plane| {
            Ok(running(plane)?.iter().any(|task| !known.contains(task)).then_some(()))
        })?;
        times.push(begun.elapsed());
    }
    plane.ecs("DeleteService", &json!({ "service": "replaced", "force": true }))?;
    row("a service's container killed → another RUNNING", &milliseconds(&times));
    Ok(())
}

fn running(plane: &mut Plane) -> Result<BTreeSet<String>> {
    let listed = plane.ecs("ListTasks", &json!({ "serviceName": "replaced" }))?;
    let arns = listed["taskArns"].as_array().cloned().unwrap_or_default();
    if arns.is_empty() {
        return Ok(BTreeSet::new());
    }
    let told = plane.ecs("DescribeTasks", &json!({ "tasks": arns }))?;
    let tasks = told["tasks"].as_array().cloned().unwrap_or_default();
    let up = tasks.iter().filter(|task| task["lastStatus"] == "RUNNING");
    Ok(up.filter_map(|task| task["taskArn"].as_str().map(str::to_owned)).collect())
}

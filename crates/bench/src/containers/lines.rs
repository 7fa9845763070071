//! Log lines: how fast one container's output reaches CloudWatch Logs, and that all of it does.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::plane::Plane;
use super::{Options, define, row};
use crate::process;

const LINE: &str =
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890";

pub fn run(options: &Options, plane: &mut Plane) -> Result<()> {
    let bytes = options.megabytes * 1_000_000;
    plane.logs("CreateLogGroup", &json!({ "logGroupName": "lines" }))?;
    let script = format!("yes {LINE} | head -c {bytes}");
    let log = json!({ "logDriver": "awslogs", "options": {
        "awslogs-group": "lines", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "bench",
        // AWS: whoever wants every line says so; the container waits for the service then.
        "mode": "blocking",
    } });
    define(
        plane,
        "lines",
        "bridge",
        json!({ "command": ["sh", "-c", script], "logConfiguration": log }),
    )?;
    let agent = plane.parts("agent").first().context("an agent")?.pid;
    let server = plane.server_pid().context("a server")?;
    let used = || Ok::<_, anyhow::Error>((process::cpu(agent)?, process::cpu(server)?));
    let before = used()?;
    let begun = Instant::now();
    let arns = plane.run("lines", 1, &json!({}))?;
    plane.reach(&arns, "STOPPED")?;
    let (wall, after) = (begun.elapsed().as_secs_f64(), used()?);
    let found = read_back(plane, arns[0].rsplit('/').next().unwrap_or_default())?;
    if found < bytes {
        bail!("of {bytes} bytes {found} arrived");
    }
    let megabytes = options.megabytes as f64;
    let cost = |before: std::time::Duration, after: std::time::Duration| {
        (after - before).as_secs_f64() * 1000.0 / megabytes
    };
    row(
        "awslogs, one container, all lines found again",
        &format!(
            "{:.0} MB/s; CPU a MB: agent {:.1} ms, server {:.1} ms",
            megabytes / wall,
            cost(before.0, after.0),
            cost(before.1, after.1)
        ),
    );
    Ok(())
}

/// All bytes of a task's stream, newlines included.
fn read_back(plane: &mut Plane, task: &str) -> Result<u64> {
    let (mut bytes, mut token) = (0, Value::Null);
    loop {
        let mut input = json!({
            "logGroupName": "lines", "logStreamName": format!("bench/app/{task}"),
            "startFromHead": true,
        });
        if !token.is_null() {
            input["nextToken"] = token.clone();
        }
        let page = plane.logs("GetLogEvents", &input)?;
        let events = page["events"].as_array().context("events")?;
        let length = |event: &Value| event["message"].as_str().map_or(0, |text| text.len() + 1);
        bytes += events.iter().map(length).sum::<usize>() as u64;
        if page["nextForwardToken"] == token {
            return Ok(bytes);
        }
        token = page["nextForwardToken"].clone();
    }
}

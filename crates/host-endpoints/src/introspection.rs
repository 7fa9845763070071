//! What an operator may ask on the host itself (port 51678): who it is and what it runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use crate::reply::{Reply, json, not_found, text};
use crate::{ContainerMetadata, Host, Loss, TaskMetadata};

pub(crate) async fn answer(
    host: &dyn Host,
    path: &[&str],
    query: &BTreeMap<String, String>,
) -> Reply {
    match path {
        [] => json(
            StatusCode::OK,
            &json!({ "AvailableCommands": ["/v1/metadata", "/v1/tasks", "/license"] }),
        ),
        ["v1", "metadata"] => json(StatusCode::OK, &host.about()),
        ["v1", "tasks"] => tasks(&host.tasks().await, query),
        ["metrics"] => metrics(&host.losses()),
        ["license"] => json(StatusCode::OK, &"Apache-2.0"),
        _ => not_found(),
    }
}

/// A counter, what it counts, and where it is read.
type Counter = (&'static str, &'static str, fn(&Loss) -> u64);

/// Counters in Prometheus' text format, one of a kind for each container that has lost lines.
fn metrics(losses: &[Loss]) -> Reply {
    let counters: [Counter; 2] = [
        (
            "wharf_container_log_lines_dropped_total",
            "Lines of a container's output that its log driver did not keep up with.",
            |loss| loss.lines,
        ),
        ("wharf_container_log_bytes_dropped_total", "Bytes of these lines.", |loss| loss.bytes),
    ];
    let mut body = String::new();
    for (name, help, value) in counters {
        body.push_str(&format!("# HELP {name} {help}\n# TYPE {name} counter\n"));
        for loss in losses {
            let (task, container, value) = (&loss.task_arn, &loss.container, value(loss));
            // Neither has a character that would need to be escaped.
            body.push_str(&format!(
                "{name}{{task=\"{task}\",container=\"{container}\"}} {value}\n"
            ));
        }
    }
    text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", body)
}

/// AWS: one task by `taskarn` or `dockerid` (a short id will do where it is one container's), else all.
fn tasks(all: &[Arc<TaskMetadata>], query: &BTreeMap<String, String>) -> Reply {
    let chosen: Vec<&TaskMetadata> = match (query.get("taskarn"), query.get("dockerid")) {
        (None, None) => {
            let shown: Vec<Value> = all.iter().map(|task| of_task(task)).collect();
            return json(StatusCode::OK, &json!({ "Tasks": shown }));
        }
        (Some(_), Some(_)) => return json(StatusCode::BAD_REQUEST, &json!({})),
        (Some(arn), None) => {
            all.iter().map(|task| &**task).filter(|t| t.task_arn == *arn).collect()
        }
        (None, Some(id)) => {
            let has = |task: &&TaskMetadata| task.containers.iter().any(|c| is(c, id));
            all.iter().map(|task| &**task).filter(has).collect()
        }
    };
    match chosen[..] {
        [task] => json(StatusCode::OK, &of_task(task)),
        [] => json(StatusCode::NOT_FOUND, &json!({})),
        _ => json(StatusCode::BAD_REQUEST, &json!({})),
    }
}

fn is(container: &ContainerMetadata, id: &str) -> bool {
    const SHORT: usize = 12;
    id.len() >= SHORT && container.docker_id.starts_with(id)
}

fn of_task(task: &TaskMetadata) -> Value {
    let container = |c: &ContainerMetadata| {
        let shown = serde_json::to_value(c).unwrap_or_default();
        let mut out = json!({
            "DockerId": c.docker_id, "DockerName": c.docker_name, "Name": c.name,
            "Image": c.image, "ImageID": c.image_id,
        });
        for member in ["CreatedAt", "StartedAt", "Ports", "Networks", "Volumes", "RestartCount"] {
            if let Some(value) = shown.get(member) {
                out[member] = value.clone();
            }
        }
        out
    };
    // AWS: here the words are those that the control plane knows.
    let known = match task.known_status.as_str() {
        known @ ("RUNNING" | "STOPPED") => known,
        _ => "PENDING",
    };
    json!({
        "Arn": task.task_arn,
        "DesiredStatus": task.desired_status,
        "KnownStatus": known,
        "Family": task.family,
        "Version": task.revision,
        "Containers": task.containers.iter().map(container).collect::<Vec<_>>(),
    })
}

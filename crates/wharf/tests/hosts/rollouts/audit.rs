//! Two witnesses of a rollout: the plane's journal, which has every state that tasks were ever in, and
//! the records that containers leave of their beginning and end, whatever the plane believed.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::world::{Machine, wharf};

/// Between when the service first had all its tasks and now.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// The fewest that ran and were not told to stop.
    pub least: usize,
    /// The most that had not stopped.
    pub most: usize,
    pub moments: usize,
}

impl Seen {
    const NOTHING: Seen = Seen { least: usize::MAX, most: 0, moments: 0 };

    fn note(&mut self, serving: usize, present: usize) {
        self.least = self.least.min(serving);
        self.most = self.most.max(present);
        self.moments += 1;
    }
}

/// A service's tasks at every revision of the journal since so many of them ran.
pub fn journal(machine: &Machine, service: &str, desired: usize) -> Seen {
    let dir = machine.dir();
    let words = ["replay", "--json", "--table", "ecs-tasks", "--data-dir", dir.to_str().unwrap()];
    let told = wharf(&words).output().unwrap();
    assert!(told.status.success(), "{told:?}");
    let text = String::from_utf8(told.stdout).unwrap();
    let changes: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let mut tasks: BTreeMap<String, Value> = BTreeMap::new();
    let (mut seen, mut begun) = (Seen::NOTHING, false);
    for step in changes.chunk_by(|a, b| a["revision"] == b["revision"]) {
        for change in step {
            let key = change["key"].to_string();
            match &change["value"] {
                Value::Null => drop(tasks.remove(&key)),
                row if row["service"] == service => drop(tasks.insert(key, row.clone())),
                _ => {}
            }
        }
        let is = |task: &Value, name: &str, status: &str| task[name] == status;
        let serves = |task: &&Value| {
            is(task, "observed_status", "RUNNING") && is(task, "desired_status", "RUNNING")
        };
        let serving = tasks.values().filter(serves).count();
        let present = tasks.values().filter(|task| !is(task, "observed_status", "STOPPED"));
        begun |= serving >= desired;
        if begun {
            seen.note(serving, present.count());
        }
    }
    seen
}

/// All containers of a machine, at each beginning and end of one since so many of them ran.
pub fn containers(machine: &Machine, desired: usize) -> Seen {
    let mut ends: Vec<(u64, bool)> = Vec::new();
    for (started, finished) in lives(machine) {
        ends.push((started, true));
        ends.extend(finished.map(|at| (at, false)));
    }
    // Of one millisecond the beginnings count first: which was first is not written down.
    ends.sort_by_key(|(at, begins)| (*at, !begins));
    let (mut seen, mut begun, mut running) = (Seen::NOTHING, false, 0usize);
    for (_, begins) in ends {
        running = if begins { running + 1 } else { running - 1 };
        begun |= running >= desired;
        if begun {
            seen.note(running, running);
        }
    }
    seen
}

/// When each container began and, where it has, ended.
fn lives(machine: &Machine) -> Vec<(u64, Option<u64>)> {
    let mut found = Vec::new();
    for host in std::fs::read_dir(machine.dir().join("hosts")).unwrap().flatten() {
        for container in std::fs::read_dir(host.path().join("containers")).unwrap().flatten() {
            let read = |name: &str| {
                let bytes = std::fs::read(container.path().join(name)).ok()?;
                serde_json::from_slice::<Value>(&bytes).ok()
            };
            let started = read("shim.json").and_then(|shim| shim["started_at"].as_u64());
            let ended = read("exit.json").and_then(|exit| exit["finished_at"].as_u64());
            found.extend(started.map(|started| (started, ended)));
        }
    }
    found
}

//! After a restart of the agent: what the runtime has, told to the tasks whose containers it is, and
//! removed where nobody knows it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use host_runtime::{State, Status};

use super::{Driver, exited, time};
use crate::engine::{Event, Phase};
use crate::tasks::Live;

/// Containers by their task's id.
pub type Found = BTreeMap<String, Vec<State>>;

impl Driver {
    /// All containers that the runtime has.
    pub async fn found(&self) -> Found {
        let mut found = Found::new();
        match self.runtime.list().await {
            Ok(all) => {
                for state in all {
                    let task = state.id.rsplit_once('-').map_or("", |(task, _)| task).to_owned();
                    found.entry(task).or_default().push(state);
                }
            }
            Err(error) => tracing::error!("the runtime cannot list its containers: {error}"),
        }
        found
    }

    /// Go on delivering what a task's containers wrote, also those that have ended.
    pub fn resume_logs(&self, live: &Arc<Live>, seen: &[State]) {
        for part in 0..live.given.task.containers.len() {
            let id = live.given.container_id(part);
            if let Some(state) = seen.iter().find(|state| state.id == id) {
                let (dir, ended) = (self.log_dir(&live.given, part), state.exit.is_some());
                self.settings.logs.resume(live, part, &dir, ended);
            }
        }
    }

    /// Tell a task what has become of its containers while no agent was there.
    pub async fn adopt(self: &Arc<Self>, live: &Arc<Live>, seen: &[State]) {
        let known = live.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (part, known) in known.parts.iter().enumerate() {
            if known.phase == Phase::Stopped {
                continue;
            }
            let id = live.given.container_id(part);
            let run = known.run;
            let found = seen.iter().find(|state| state.id == id);
            let mut events = Vec::new();
            let was_made = known.phase >= Phase::Created;
            match found {
                None if was_made => events.push(Event::Vanished { part, run }),
                None => {}
                Some(state) => {
                    if let Some(started) = state.started_at {
                        events.push(Event::Started { part, run, at: time(started) });
                    }
                    match (state.status, &state.exit) {
                        (Status::Running, _) => self.watch(live, part, run),
                        (Status::Stopped, Some(exit)) => events.push(exited(part, run, exit)),
                        (Status::Stopped, None) => events.push(Event::Vanished { part, run }),
                        // Not begun yet: it is made anew, or started.
                        (Status::Creating | Status::Created, _) => {}
                    }
                }
            }
            for event in events {
                let _ = live.events.send(event).await;
            }
        }
    }

    /// Containers and networks of tasks that nobody remembers.
    pub async fn remove_strangers(&self, found: Found) {
        for state in found.into_values().flatten() {
            tracing::info!("{} belongs to no task of this host and is removed", state.id);
            if let Err(error) = self.runtime.delete(&state.id).await {
                tracing::warn!("{} was not removed: {error}", state.id);
            }
        }
    }

    /// Networks of tasks that nobody remembers, and what an agent that was killed left half made.
    pub async fn remove_stray_networks(&self, known: Vec<Arc<Live>>) {
        let network = self.network.clone();
        let owned = move |id: &str| {
            let mut known = known.iter();
            known.any(|live| live.given.id == id || live.given.part_of(id).is_some())
        };
        match tokio::task::spawn_blocking(move || network.reconcile(owned)).await {
            Ok(Ok(removed)) if removed.is_empty() => {}
            Ok(Ok(removed)) => tracing::info!("networks of no task were removed: {removed:?}"),
            Ok(Err(error)) => tracing::warn!("networks of no task stay: {error}"),
            Err(error) => tracing::error!("looking for networks of no task ended badly: {error}"),
        }
    }
}

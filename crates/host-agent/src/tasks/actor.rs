//! One task, followed from its arrival until its end is told: it hands the engine what is observed,
//! the driver what the engine plans, and the control plane what changed.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use core_types::Time;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::keeper::{Live, Tasks, state_key};
use super::submit;
use crate::clock;
use crate::engine::{Event, Report, Status, Step, TaskState, Told, plan, report, settle};

pub struct Actor {
    tasks: Arc<Tasks>,
    live: Arc<Live>,
    state: TaskState,
    told: Told,
    seen: mpsc::Receiver<Event>,
    /// The report that is on its way.
    telling: Option<(Report, JoinHandle<()>)>,
    released: bool,
}

impl Actor {
    pub fn new(
        tasks: Arc<Tasks>,
        live: Arc<Live>,
        told: Told,
        seen: mpsc::Receiver<Event>,
    ) -> Actor {
        let state = live.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Actor { tasks, live, state, told, seen, telling: None, released: false }
    }

    pub async fn run(mut self) {
        if let Some(refused) = self.live.given.refused.clone() {
            self.state.reason.get_or_insert(refused.to_string());
        }
        loop {
            let now = clock::now();
            settle(&self.live.given.spec, &mut self.state, now);
            let wake = self.act(now).await;
            if self.is_over() {
                break;
            }
            self.wait(wake, now).await;
        }
        // From here on the journal alone remembers it.
        self.keep(true).await;
        let stopped_at = self.state.stopped_at.unwrap_or_else(clock::now);
        self.tasks.retire(&self.live.given, stopped_at);
    }

    /// Begin what is due, and say when to look again.
    async fn act(&mut self, now: Time) -> Option<Time> {
        let spec = &self.live.given.spec;
        let planned = plan(spec, &self.state, now);
        for step in &planned.steps {
            self.state.begin(*step, now);
        }
        self.publish().await;
        for step in planned.steps {
            self.carry_out(step);
        }
        if self.state.stopped_at.is_some() && !self.released {
            self.released = true;
            self.tasks.release(&self.live.given.task.arn);
        }
        let mut wake = planned.wake_at;
        if self.telling.is_none() {
            let (due, later) = report(&self.live.given.spec, &self.state, &self.told, now);
            if let Some(due) = due {
                self.tell(due).await;
            }
            wake = [wake, later].into_iter().flatten().min();
        }
        wake
    }

    /// Show the state to whoever looks, and keep it.
    async fn publish(&self) {
        {
            let mut shown = self.live.state.lock().unwrap_or_else(PoisonError::into_inner);
            if *shown == self.state {
                return;
            }
            let mut both = shown.parts.iter().zip(&self.state.parts);
            if both.any(|(old, new)| old.health.status != new.health.status) {
                self.tasks.health_changed.notify_one();
            }
            shown.clone_from(&self.state);
        }
        self.keep(false).await;
    }

    async fn keep(&self, durably: bool) {
        let key = state_key(&self.live.given.task.arn);
        let value = (&self.state, &self.told);
        let kept = match durably {
            true => self.tasks.journal.put(&key, &value).await,
            false => self.tasks.journal.note(&key, &value).await,
        };
        if let Err(error) = kept {
            tracing::error!("{error}");
        }
    }

    fn carry_out(&self, step: Step) {
        let (driver, live) = (self.tasks.driver.clone(), self.live.clone());
        tokio::spawn(async move {
            if let Some(event) = driver.carry_out(&live, step).await {
                let _ = live.events.send(event).await;
            }
        });
    }

    async fn tell(&mut self, due: Report) {
        if matches!(&due, Report::Task(change) if change.status == Status::Stopped) {
            // Persist, then speak: a task that was told to have stopped must never run again.
            self.keep(true).await;
        }
        let (tasks, live, told) = (self.tasks.clone(), self.live.clone(), due.clone());
        let telling = tokio::spawn(async move {
            let again = tasks.heard.subscribe();
            submit::deliver(&tasks.api, &live.given, &tasks.cluster, &told, again).await;
        });
        self.telling = Some((due, telling));
    }

    fn is_over(&self) -> bool {
        self.telling.is_none()
            && self.told.task == Status::Stopped
            && self.state.stopped_at.is_some()
    }

    async fn wait(&mut self, wake: Option<Time>, now: Time) {
        const LONG: Duration = Duration::from_secs(3600);
        let nap = wake.map_or(LONG, |wake| wake.since(now).min(LONG));
        let telling = self.telling.as_mut().map(|(_, telling)| telling);
        let told = async {
            match telling {
                Some(telling) => drop(telling.await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = self.seen.recv() => {
                // Never closed: we hold a sender ourselves.
                if let Some(event) = event {
                    self.observe(event);
                }
            }
            () = told => {
                if let Some((report, _)) = self.telling.take() {
                    self.told.accept(&report, self.live.given.spec.parts.len());
                    self.keep(false).await;
                }
            }
            () = tokio::time::sleep(nap) => {}
        }
    }

    fn observe(&mut self, event: Event) {
        tracing::debug!(task = self.live.given.id, ?event, "observed");
        self.state.apply(&self.live.given.spec, event, clock::now());
    }
}

//! All tasks of the host: taking what the control plane gives, letting tasks in while there is room,
//! and finding again after a restart what ran before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_agent::acs::TaskIdentifier;
use aws_agent::task::{RoleCredentials, STOPPED, Task};
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, mpsc, watch};

use super::actor::Actor;
use super::ended::Ended;
use super::firelens::{self, Around};
use super::given::{Given, Record};
use crate::driver::{Driver, Found};
use crate::engine::{Event, Failure, Queue, Room, Status, TaskState, Told};
use crate::journal::{Journal, JournalError};
use crate::plane::api::Api;

/// Observations of one task that may wait: more than its containers can make at once.
const EVENTS: usize = 64;
/// No host runs nearly as many.
const MOST_TASKS: usize = 4096;
const SEQUENCE: &str = "sequence";

#[derive(Debug, thiserror::Error)]
pub enum TasksError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the host has {MOST_TASKS} tasks already")]
    TooMany,
}

/// A task that this host has, for whoever looks at it.
pub struct Live {
    pub given: Given,
    /// What is seen of it, as of the last change.
    pub state: Mutex<TaskState>,
    pub credentials: Mutex<Credentials>,
    pub events: mpsc::Sender<Event>,
}

/// The task's roles' keys, as they were told last.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    pub task: Option<RoleCredentials>,
    pub execution: Option<RoleCredentials>,
}

pub struct Tasks {
    inner: Mutex<Inner>,
    /// Told when a container's health is another.
    pub health_changed: Notify,
    /// Told when a task has ended.
    pub(super) retired: Notify,
    taking: Mutex<()>,
    pub journal: Journal,
    pub driver: Arc<Driver>,
    pub api: Arc<Api>,
    pub cluster: String,
    pub stop_timeout: Duration,
    pub cleanup_wait: Duration,
    /// Rises when the plane was heard of: reports that wait try again.
    pub heard: watch::Sender<u64>,
}

#[derive(Default)]
pub(super) struct Inner {
    pub live: BTreeMap<String, Arc<Live>>,
    /// Whose traces are kept for a while.
    pub ended: BTreeMap<String, Ended>,
    room: Room,
    queue: Queue,
    sequence: i64,
}

/// What `Tasks` is made of.
pub struct Parts {
    pub journal: Journal,
    pub driver: Arc<Driver>,
    pub api: Arc<Api>,
    pub cluster: String,
    pub stop_timeout: Duration,
    pub cleanup_wait: Duration,
    pub cpu: u64,
    pub memory: u64,
}

impl Tasks {
    pub fn new(parts: Parts) -> Arc<Tasks> {
        let room = Room::new(parts.cpu, parts.memory);
        Arc::new(Tasks {
            inner: Mutex::new(Inner { room, ..Inner::default() }),
            health_changed: Notify::new(),
            retired: Notify::new(),
            taking: Mutex::default(),
            journal: parts.journal,
            driver: parts.driver,
            api: parts.api,
            cluster: parts.cluster,
            stop_timeout: parts.stop_timeout,
            cleanup_wait: parts.cleanup_wait,
            heard: watch::Sender::new(0),
        })
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those whose end was not told yet.
    pub fn all(&self) -> Vec<Arc<Live>> {
        self.inner().live.values().cloned().collect()
    }

    pub fn find(&self, arn: &str) -> Option<Arc<Live>> {
        self.inner().live.get(arn).cloned()
    }

    pub fn sequence(&self) -> i64 {
        self.inner().sequence
    }

    /// Take a sequence number; false where it is of an older generation, which its upper half is: a
    /// plane that leads no more, or does not know it yet. Within a generation numbers may repeat.
    pub async fn advance(&self, sequence: i64) -> Result<bool, TasksError> {
        {
            let mut inner = self.inner();
            if sequence >> 32 < inner.sequence >> 32 {
                return Ok(false);
            }
            if sequence <= inner.sequence {
                return Ok(true);
            }
            inner.sequence = sequence;
        }
        self.journal.note(SEQUENCE, &sequence).await?;
        Ok(true)
    }

    /// Take a task as it was given. Returns when it is durable, so that it may be acknowledged; it
    /// begins at once.
    pub async fn take(self: &Arc<Self>, task: Task, sequence: i64) -> Result<(), TasksError> {
        let stop = task.desired_status == STOPPED;
        let (live, record) = {
            // The same payload may come twice at the same time.
            let _taking = self.taking.lock().unwrap_or_else(PoisonError::into_inner);
            match self.find(&task.arn) {
                Some(live) => {
                    self.renew(&live, &task);
                    (Some(live), None)
                }
                // There is nothing to begin or to stop any more.
                None if self.has_ended(&task.arn) => (None, None),
                None => {
                    let (live, record) = self.take_new(task, sequence, stop)?;
                    (Some(live), Some(record))
                }
            }
        };
        match (record, live) {
            (Some(record), _) => self.journal.put(&task_key(&record.task.arn), &record).await?,
            (None, Some(live)) if stop => self.stop(&live).await?,
            // Whatever was written before is durable when this is.
            (None, _) => self.journal.put(SEQUENCE, &self.sequence()).await?,
        }
        Ok(())
    }

    /// It begins before it is durable: what is lost in between is given again, and its containers
    /// are then nobody's and removed.
    fn take_new(
        self: &Arc<Self>,
        task: Task,
        sequence: i64,
        stop: bool,
    ) -> Result<(Arc<Live>, Record), TasksError> {
        {
            let inner = self.inner();
            if inner.live.len() >= MOST_TASKS {
                return Err(TasksError::TooMany);
            }
        }
        let endpoints = task.containers.iter().map(|_| endpoint_id()).collect();
        let record = Record { task, endpoints, sequence };
        // AWS: a stop for a task that the agent does not know is answered with its end, or the plane
        // would wait for it for ever.
        let state = stop.then(|| TaskState { stop_wanted: true, ..TaskState::default() });
        let live = self.begin(record.clone(), state, Told::default());
        if !stop {
            self.admit(&live);
        }
        Ok((live, record))
    }

    /// A task that the plane takes for running here: where nobody remembers it, its end is told. Its
    /// containers were nobody's when this agent started, and were removed.
    pub async fn take_lost(self: &Arc<Self>, named: &TaskIdentifier) -> Result<(), TasksError> {
        let record = {
            let _taking = self.taking.lock().unwrap_or_else(PoisonError::into_inner);
            if self.find(&named.task_arn).is_some() || self.has_ended(&named.task_arn) {
                return Ok(());
            }
            tracing::warn!(task = named.task_arn, "nobody here remembers a task that shall run");
            let task = Task {
                arn: named.task_arn.clone(),
                task_cluster_arn: named.task_cluster_arn.clone(),
                desired_status: STOPPED.to_owned(),
                ..Task::default()
            };
            let record = Record { task, endpoints: Vec::new(), sequence: self.sequence() };
            let state = TaskState {
                stop_wanted: true,
                reason: Some(Failure::vanished().to_string()),
                ..TaskState::default()
            };
            self.begin(record.clone(), Some(state), Told::default());
            record
        };
        self.journal.put(&task_key(&record.task.arn), &record).await?;
        Ok(())
    }

    fn renew(&self, live: &Live, task: &Task) {
        let mut kept = live.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        if task.role_credentials.is_some() {
            kept.task.clone_from(&task.role_credentials);
        }
        if task.execution_role_credentials.is_some() {
            kept.execution.clone_from(&task.execution_role_credentials);
        }
    }

    pub async fn stop(&self, live: &Live) -> Result<(), TasksError> {
        // It ends before that is durable: a full disk, on which writing waits for room, does not keep
        // running what filled it. What is not written down is not acknowledged, and the plane says it
        // again.
        self.inner().queue.remove(&live.given.task.arn);
        let _ = live.events.send(Event::StopWanted).await;
        self.journal.put(&stop_key(&live.given.task.arn), &true).await?;
        Ok(())
    }

    fn begin(self: &Arc<Self>, record: Record, state: Option<TaskState>, told: Told) -> Arc<Live> {
        let (live, seen) = self.live_of(record, state);
        self.inner().live.insert(live.given.task.arn.clone(), live.clone());
        let actor = Actor::new(self.clone(), live.clone(), told, seen);
        tokio::spawn(actor.run());
        live
    }

    /// What a task says, read.
    pub(super) fn given_of(&self, record: Record) -> Given {
        let mut given = Given::read(record, self.stop_timeout);
        let around = Around {
            dir: &self.driver.task_dir(&given),
            cluster: &self.cluster,
            instance_id: self.driver.settings.instance_id.as_deref(),
        };
        firelens::wire(&mut given, &around);
        given
    }

    fn live_of(
        &self,
        record: Record,
        state: Option<TaskState>,
    ) -> (Arc<Live>, mpsc::Receiver<Event>) {
        let credentials = Credentials {
            task: record.task.role_credentials.clone(),
            execution: record.task.execution_role_credentials.clone(),
        };
        let given = self.given_of(record);
        let mut state = state.unwrap_or_else(|| TaskState::new(&given.spec));
        // A journal of another version, or a stop for a task that never came here.
        state.parts.resize_with(given.spec.parts.len(), Default::default);
        let (events, seen) = mpsc::channel(EVENTS);
        let live = Arc::new(Live {
            given,
            state: Mutex::new(state),
            credentials: Mutex::new(credentials),
            events,
        });
        (live, seen)
    }

    /// Let in whoever has room now.
    fn admit(&self, new: &Live) {
        let needs = new.given.spec.needs.clone();
        let mut inner = self.inner();
        inner.queue.push(&new.given.task.arn, needs);
        drop(inner);
        self.admit_waiting();
    }

    fn admit_waiting(&self) {
        let mut inner = self.inner();
        let Inner { room, queue, live, .. } = &mut *inner;
        for arn in queue.admit(room) {
            if let Some(live) = live.get(&arn) {
                // An actor that has just begun has room for its first event.
                let _ = live.events.try_send(Event::Admitted);
            }
        }
    }

    /// A task has stopped: what it took is free.
    pub(super) fn release(&self, arn: &str) {
        let mut inner = self.inner();
        inner.room.give_back(arn);
        inner.queue.remove(arn);
        drop(inner);
        self.admit_waiting();
    }

    pub(super) async fn forget(&self, arn: &str) -> Result<(), JournalError> {
        self.inner().ended.remove(arn);
        for key in [task_key(arn), state_key(arn), stop_key(arn)] {
            self.journal.remove(&key).await?;
        }
        Ok(())
    }

    /// Tasks that run here and stand in no manifest.
    pub fn strangers(&self, known: &[(&str, bool)]) -> Vec<Arc<Live>> {
        let expected = |arn: &str| known.iter().any(|(task, runs)| *task == arn && *runs);
        let runs = |live: &Live| {
            let state = live.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.stopped_at.is_none() && !state.stop_wanted
        };
        let all = self.all().into_iter();
        all.filter(|live| runs(live) && !expected(&live.given.task.arn)).collect()
    }

    /// New credentials for a task's role; false where there is no such task.
    pub fn give_credentials(&self, arn: &str, execution: bool, fresh: RoleCredentials) -> bool {
        // AWS: a role's keys end with their task, and nobody asks for them any more.
        let Some(live) = self.find(arn) else { return self.has_ended(arn) };
        let mut kept = live.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        match execution {
            true => kept.execution = Some(fresh),
            false => kept.task = Some(fresh),
        }
        true
    }

    /// Take back what the journal holds. What still runs is found through the runtime.
    pub async fn restore(self: &Arc<Self>) {
        self.inner().sequence = self.kept(SEQUENCE).unwrap_or(0);
        let mut found = self.driver.found().await;
        for arn in self.journal.keys(TASK) {
            let Some(record) = self.kept::<Record>(&task_key(&arn)) else { continue };
            self.restore_one(&arn, record, &mut found).await;
        }
        // Containers that nobody remembers: their task was never acknowledged, or is long forgotten.
        self.driver.remove_strangers(found).await;
        self.driver.remove_stray_networks(self.all()).await;
    }

    /// A value of the journal; one that does not read is told, and as good as none.
    pub(super) fn kept<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        self.journal.get(key).unwrap_or_else(|error| {
            tracing::error!("{}", host_runtime::reason(&error));
            None
        })
    }

    async fn restore_one(self: &Arc<Self>, arn: &str, record: Record, found: &mut Found) {
        let kept: Option<(TaskState, Told)> = self.kept(&state_key(arn));
        let (mut state, told) = match kept {
            Some((state, told)) => (Some(state), told),
            None => (None, Told::default()),
        };
        if let Some(state) = &mut state {
            state.forget_doing();
        }
        let stopped_at = state.as_ref().and_then(|state| state.stopped_at);
        if let Some(stopped_at) = stopped_at.filter(|_| told.task == Status::Stopped) {
            let (live, _) = self.live_of(record, state);
            let seen = found.remove(&live.given.id).unwrap_or_default();
            self.driver.resume_logs(&live, &seen);
            return self.retire(&live.given, stopped_at);
        }
        if self.journal.has(&stop_key(arn)) {
            state.get_or_insert_default().stop_wanted = true;
        }
        let admitted = state.as_ref().is_some_and(|state| state.admitted);
        let live = self.begin(record, state, told);
        let seen = found.remove(&live.given.id).unwrap_or_default();
        self.driver.resume_logs(&live, &seen);
        if stopped_at.is_some() {
            return;
        }
        self.driver.adopt(&live, &seen).await;
        match admitted {
            true => self.inner().room.take(arn, live.given.spec.needs.clone()),
            false => self.admit(&live),
        }
    }
}

const TASK: &str = "task/";

pub(super) fn task_key(arn: &str) -> String {
    format!("{TASK}{arn}")
}

pub(super) fn state_key(arn: &str) -> String {
    format!("state/{arn}")
}

fn stop_key(arn: &str) -> String {
    format!("stop/{arn}")
}

/// AWS: the id in a container's metadata URL is a secret of that container.
fn endpoint_id() -> String {
    hex::encode(random::<16>())
}

pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

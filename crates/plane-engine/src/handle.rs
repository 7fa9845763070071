//! What the rest of the plane holds: a cheap handle to ask, to report and to read.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_protocol::{AnyShape, ApiError};
use core_state::State;
use core_step::{Action, Call, Event, Handled, Registry, Report};
use crossbeam_channel::{Sender, TrySendError};
use plane_journal::{Follower, Journal, JournalError, LeaderInfo, Role, Status, Stop};
use tokio::sync::{oneshot, watch};

use crate::core_thread::{self, ToCore};
use crate::feed::{Feed, Feeds};
use crate::figures::Figures;
use crate::journal_thread::{self, ToJournal};

/// A durable revision that readers see.
pub struct Published {
    pub state: State,
}

/// Bounds of the engine.
#[derive(Clone, Debug)]
pub struct Options {
    /// Events waiting for core; beyond it callers are told to slow down.
    pub queue: usize,
    /// Events taken into one step.
    pub batch: usize,
    /// How often the resync audit runs.
    pub resync_every: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options { queue: 8192, batch: 1024, resync_every: Duration::from_secs(300) }
    }
}

/// Why the engine did not take an event, or could not keep what came of it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    #[error("the control plane is busy: its queue of {0} requests is full")]
    Busy(usize),
    /// Nothing was changed: the journal cannot take writes now.
    #[error("{0}")]
    NotDurable(String),
    #[error("this server does not lead")]
    NotLeader(Option<LeaderInfo>),
    #[error("the server is stopping")]
    Stopping,
    #[error("the report failed inside the control plane")]
    Failed,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    #[error("the engine's journal thread ended while it started")]
    Ended,
}

pub(crate) type ReplyTo = oneshot::Sender<Result<Handled, Refusal>>;

/// Shared by the handle and both threads.
pub(crate) struct Shared {
    pub registry: Arc<Registry>,
    pub published: ArcSwap<Published>,
    pub revision: watch::Sender<u64>,
    pub leading: watch::Sender<bool>,
    pub term: AtomicU64,
    pub feeds: Feeds,
    pub figures: Figures,
    pub status: ArcSwap<Option<Status>>,
    pub options: Options,
    pub stop: Stop,
}

impl Shared {
    pub fn publish(&self, state: State) {
        let rev = state.rev();
        self.published.store(Arc::new(Published { state }));
        self.revision.send_replace(rev);
    }
}

struct Threads {
    core: Option<JoinHandle<()>>,
    journal: Option<JoinHandle<()>>,
}

/// The handle. Clones share the same engine; dropping the last one stops it.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    to_core: Sender<ToCore>,
    to_journal: Sender<ToJournal>,
    follower: Follower,
    threads: Arc<std::sync::Mutex<Threads>>,
}

impl Engine {
    /// Recover the journal and start both threads. Returns once the recovered state is readable;
    /// leadership may take longer (see [`Engine::led`]).
    pub fn start(
        registry: Arc<Registry>,
        mut journal: Box<dyn Journal>,
        options: Options,
    ) -> Result<Engine, StartError> {
        let state = registry.empty_state();
        let shared = Arc::new(Shared {
            registry: registry.clone(),
            published: ArcSwap::from_pointee(Published { state: state.clone() }),
            revision: watch::Sender::new(0),
            leading: watch::Sender::new(false),
            term: AtomicU64::new(0),
            feeds: Feeds::default(),
            figures: Figures::default(),
            status: ArcSwap::from_pointee(None),
            options: options.clone(),
            stop: Stop::default(),
        });
        let newest = core_types::Time::default();
        let mut sink = crate::sink::StateSink { shared: &shared, live: false, state, newest };
        let recovered = journal.recover(&mut sink)?;
        recovered.warnings.iter().for_each(|w| tracing::warn!("journal: {w}"));
        tracing::info!(
            revision = recovered.rev,
            snapshot = recovered.snapshot_rev,
            torn_bytes = recovered.torn_bytes,
            "journal recovered"
        );
        let (state, newest) = (sink.state, sink.newest);
        shared.publish(state.clone());
        let follower = journal.follower();
        let (to_core, core_inbox) = crossbeam_channel::bounded(options.queue);
        // Control messages must never wait behind requests.
        let (to_core_control, core_control) = crossbeam_channel::unbounded();
        let (to_journal, journal_inbox) = crossbeam_channel::bounded(64);
        let core = core_thread::CoreThread::new(
            shared.clone(),
            core_inbox,
            core_control,
            to_journal.clone(),
        );
        let core = std::thread::Builder::new().name("wharf-core".into()).spawn(|| core.run())?;
        let wake = to_journal.clone();
        follower.on_change(move |_| {
            // A full queue means that the journal thread is at work and will notice by itself.
            let _ = wake.try_send(ToJournal::RoleChanged);
        });
        let thread = journal_thread::JournalThread::new(
            shared.clone(),
            journal,
            journal_inbox,
            to_journal.clone(),
            to_core_control,
            state,
            newest,
        );
        let journal =
            std::thread::Builder::new().name("wharf-journal".into()).spawn(|| thread.run())?;
        let threads = Threads { core: Some(core), journal: Some(journal) };
        let threads = Arc::new(std::sync::Mutex::new(threads));
        Ok(Engine { shared, to_core, to_journal, follower, threads })
    }

    pub fn registry(&self) -> &Arc<Registry> {
        &self.shared.registry
    }

    pub fn figures(&self) -> &Figures {
        &self.shared.figures
    }

    /// The journal's own figures, as of its last commit.
    pub fn journal_status(&self) -> Option<Status> {
        (**self.shared.status.load()).clone()
    }

    /// The newest durable revision that this process has.
    pub fn view(&self) -> Arc<Published> {
        self.shared.published.load_full()
    }

    /// Leading takes both: core that steps, and a leadership that has not run out meanwhile. A
    /// process that was stopped and goes on learns here that it overslept, before it answers.
    pub fn role(&self) -> Role {
        if *self.shared.leading.borrow() { self.follower.role() } else { Role::Follower }
    }

    /// Whether core steps here, as it changes.
    pub fn leading(&self) -> watch::Receiver<bool> {
        self.shared.leading.subscribe()
    }

    /// The published revision, as it changes.
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.shared.revision.subscribe()
    }

    /// The term in which this process leads, or last led: durable, and higher than any before.
    pub fn term(&self) -> u64 {
        self.shared.term.load(Ordering::Acquire)
    }

    /// What is published from now on, with at most `capacity` steps' changes waiting.
    pub fn feed(&self, capacity: usize) -> Feed {
        self.shared.feeds.open(capacity)
    }

    pub fn leader(&self) -> Option<LeaderInfo> {
        self.follower.leader()
    }

    /// What a write is told while this process does not lead: why it cannot, if that is known.
    pub fn not_leading(&self) -> Refusal {
        match self.journal_status().and_then(|status| status.refused) {
            Some(reason) if self.leader().is_none() => Refusal::NotDurable(reason),
            _ => Refusal::NotLeader(self.leader()),
        }
    }

    /// Wait until this process leads.
    pub async fn led(&self) -> Result<(), Refusal> {
        let mut leading = self.shared.leading.subscribe();
        leading.wait_for(|leading| *leading).await.map(|_| ()).map_err(|_| Refusal::Stopping)
    }

    /// A view that is at least as new as every write acknowledged anywhere before this call.
    pub async fn current_view(&self) -> Result<Arc<Published>, Refusal> {
        if self.role() == Role::Leader {
            return Ok(self.view());
        }
        let head = self.follower.linearizable_head().await;
        let head = head.map_err(|e| Refusal::NotDurable(e.to_string()))?;
        let mut revision = self.shared.revision.subscribe();
        revision.wait_for(|rev| *rev >= head).await.map_err(|_| Refusal::Stopping)?;
        Ok(self.view())
    }

    /// Run a call through core; the answer comes when what it did is durable and readable.
    pub async fn call(
        &self,
        call: Arc<Call>,
        action: &'static Action,
        input: Box<dyn AnyShape>,
    ) -> Result<Result<Box<dyn AnyShape>, ApiError>, Refusal> {
        match self.send(Event::Call { call, action, input }).await? {
            Handled::Call(reply) => Ok(reply),
            Handled::Report(_) | Handled::ReportFailed => Err(Refusal::Failed),
        }
    }

    /// Apply a report; the answer comes when what it did is durable.
    pub async fn report(&self, report: Box<dyn Report>) -> Result<Box<dyn Any + Send>, Refusal> {
        match self.send(Event::Report(report)).await? {
            Handled::Report(result) => Ok(result),
            Handled::Call(_) | Handled::ReportFailed => Err(Refusal::Failed),
        }
    }

    async fn send(&self, event: Event) -> Result<Handled, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.to_core.try_send(ToCore { event, reply }).map_err(|e| match e {
            TrySendError::Full(_) => Refusal::Busy(self.shared.options.queue),
            TrySendError::Disconnected(_) => Refusal::Stopping,
        })?;
        answer.await.map_err(|_| Refusal::Stopping)?
    }

    /// Stop taking events, let what was stepped become durable, give up leadership. Blocks.
    pub fn stop(&self) {
        self.shared.stop.set();
        let _ = self.to_journal.send(ToJournal::Stop);
        let mut threads = self.threads.lock().unwrap_or_else(|e| e.into_inner());
        for thread in [threads.core.take(), threads.journal.take()].into_iter().flatten() {
            if thread.join().is_err() {
                tracing::error!("an engine thread ended in a panic");
            }
        }
    }
}

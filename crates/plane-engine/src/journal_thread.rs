//! The thread that owns the journal: leadership, group commit, publishing, replies, snapshots.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use core_state::{Change, State};
use core_step::Handled;
use core_types::Time;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use plane_journal::{Batch, Installed, Journal, JournalError, RowChange, SnapshotWriter};

use crate::core_thread::Control;
use crate::figures::{add, add_time};
use crate::handle::{Refusal, ReplyTo, Shared};
use crate::sink::StateSink;

/// What one step produced, on its way to the disk.
pub(crate) struct Stepped {
    pub epoch: u64,
    pub at: Time,
    pub state: State,
    pub changes: Vec<Change>,
    pub replies: Vec<(ReplyTo, Handled)>,
}

pub(crate) enum ToJournal {
    Stepped(Stepped),
    SnapshotWritten(Result<Installed, JournalError>),
    RoleChanged,
    Stop,
}

/// How long writes are refused at once after a failed one, instead of trying the disk each time.
const HOLD_OFF: Duration = Duration::from_millis(250);

/// Why a phase ended.
enum End {
    Stop,
    Fenced,
}

pub(crate) struct JournalThread {
    shared: Arc<Shared>,
    journal: Box<dyn Journal>,
    inbox: Receiver<ToJournal>,
    to_self: Sender<ToJournal>,
    core: Sender<Control>,
    /// The last durable state: what is published, and where an undo goes back to.
    durable: State,
    newest: Time,
    epoch: u64,
    /// Why the last epoch ended: the answer to steps of it that are still on their way here.
    ended: String,
    /// The trouble that the log has been told of; until it is over it is not told again.
    told: Option<String>,
}

impl JournalThread {
    pub fn new(
        shared: Arc<Shared>,
        journal: Box<dyn Journal>,
        inbox: Receiver<ToJournal>,
        to_self: Sender<ToJournal>,
        core: Sender<Control>,
        durable: State,
        newest: Time,
    ) -> Self {
        let (epoch, ended) = (0, String::new());
        let told = None;
        JournalThread { shared, journal, inbox, to_self, core, durable, newest, epoch, ended, told }
    }

    pub fn run(mut self) {
        loop {
            match self.follow() {
                Ok(()) => {}
                Err(JournalError::Stopped) => break,
                Err(error) => {
                    tracing::error!("journal: {error}");
                    self.tell_trouble(&error.to_string());
                    if self.rest(Duration::from_secs(1)) {
                        break;
                    }
                    continue;
                }
            }
            match self.lead() {
                End::Stop => break,
                End::Fenced => tracing::warn!("this server does not lead any more"),
            }
        }
        self.journal.resign();
        let _ = self.core.send(Control::Stop);
    }

    /// The status says why writes are refused, until one succeeds.
    fn tell_trouble(&self, reason: &str) {
        let mut status = self.journal.status();
        status.refused.get_or_insert_with(|| reason.to_owned());
        self.shared.status.store(Arc::new(Some(status)));
    }

    /// Wait, answering whoever asks; true when told to stop.
    fn rest(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while let Ok(message) = self.inbox.recv_deadline(until) {
            match message {
                ToJournal::Stop => return true,
                ToJournal::Stepped(stepped) => refuse(stepped, &Refusal::NotLeader(None)),
                ToJournal::SnapshotWritten(_) | ToJournal::RoleChanged => {}
            }
        }
        self.shared.stop.is_set()
    }

    /// Apply the leader's batches until this process leads.
    fn follow(&mut self) -> Result<(), JournalError> {
        let shared = self.shared.clone();
        let (state, newest) = (self.durable.clone(), self.newest);
        let mut sink = StateSink { shared: &shared, live: true, state, newest };
        let mut known = None;
        let term = loop {
            if shared.stop.is_set() {
                return Err(JournalError::Stopped);
            }
            self.turn_away();
            let led = self.journal.try_lead(&mut sink, Duration::from_millis(200));
            (self.durable, self.newest) = (sink.state.clone(), sink.newest);
            if let Some(term) = led? {
                break term;
            }
            let leader = self.journal.follower().leader();
            if leader != known {
                known = leader.clone();
                let _ = self.core.send(Control::Follow { leader });
            }
            shared.status.store(Arc::new(Some(self.journal.status())));
        };
        tracing::info!(term = term.0, revision = self.durable.rev(), "leading");
        self.epoch += 1;
        let (state, newest, epoch) = (self.durable.clone(), self.newest, self.epoch);
        shared.term.store(term.0, Ordering::Release);
        shared.publish(state.clone());
        shared.feeds.tell_everything();
        let _ = self.core.send(Control::Lead { state, newest, epoch });
        Ok(())
    }

    /// Steps that core took before it heard that another leads: who waits for them is told now, not
    /// when this process happens to lead again.
    fn turn_away(&mut self) {
        let refusal = Refusal::NotLeader(self.journal.follower().leader());
        for message in self.inbox.try_iter() {
            match message {
                ToJournal::Stepped(stepped) => refuse(stepped, &refusal),
                // A stop is told by its flag as well.
                ToJournal::SnapshotWritten(_) | ToJournal::RoleChanged | ToJournal::Stop => {}
            }
        }
    }

    fn lead(&mut self) -> End {
        let mut waiting = VecDeque::new();
        self.shared.status.store(Arc::new(Some(self.journal.status())));
        loop {
            let message = match self.inbox.recv_timeout(Duration::from_secs(1)) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => Some(ToJournal::RoleChanged),
                Err(RecvTimeoutError::Disconnected) => return End::Stop,
            };
            let mut stop = false;
            let waited: Vec<_> = self.inbox.try_iter().take(256).collect();
            for message in message.into_iter().chain(waited) {
                match message {
                    ToJournal::Stepped(stepped) if stepped.epoch == self.epoch => {
                        waiting.push_back(stepped);
                    }
                    ToJournal::Stepped(undone) => {
                        refuse(undone, &Refusal::NotDurable(self.ended.clone()));
                    }
                    ToJournal::SnapshotWritten(written) => self.install(written),
                    ToJournal::RoleChanged => {}
                    ToJournal::Stop => stop = true,
                }
            }
            if let Err(error) = self.commit(&mut waiting) {
                if let Some(end) = self.fail(error, &mut waiting) {
                    return end;
                }
            } else {
                if self.told.is_some() && self.journal.has_room() {
                    self.recovered();
                }
                if self.journal.snapshot_due() {
                    self.start_snapshot();
                }
            }
            if stop {
                return End::Stop;
            }
        }
    }

    /// Writes are taken: whoever watches is told, also if nobody has tried one since.
    fn recovered(&mut self) {
        if self.told.take().is_some() {
            tracing::info!("journal: writes are taken again");
            self.shared.status.store(Arc::new(Some(self.journal.status())));
        }
    }

    /// Make everything that waits durable with one append, publish, answer.
    fn commit(&mut self, waiting: &mut VecDeque<Stepped>) -> Result<(), JournalError> {
        let batches: Vec<Batch> =
            waiting.iter().filter(|stepped| !stepped.changes.is_empty()).map(encode).collect();
        let started = Instant::now();
        // Also with nothing to append: it tells whether this process may still answer for reads.
        self.journal.append(&batches)?;
        if !batches.is_empty() {
            self.recovered();
            add(&self.shared.figures.commits, 1);
            add(&self.shared.figures.batches, batches.len() as u64);
            add_time(&self.shared.figures.commit_micros, started.elapsed());
            self.shared.status.store(Arc::new(Some(self.journal.status())));
        }
        if let Some(last) = waiting.back() {
            (self.durable, self.newest) = (last.state.clone(), last.at);
            if !batches.is_empty() {
                self.shared.publish(self.durable.clone());
            }
        }
        for stepped in waiting.drain(..) {
            self.shared.feeds.tell(stepped.state.rev(), stepped.changes);
            for (reply, handled) in stepped.replies {
                // Whoever asked may have hung up; the write stands all the same.
                let _ = reply.send(Ok(handled));
            }
        }
        Ok(())
    }

    /// Undo what waits, and do what the kind of failure asks for.
    fn fail(&mut self, error: JournalError, waiting: &mut VecDeque<Stepped>) -> Option<End> {
        add(&self.shared.figures.undone, waiting.len() as u64);
        self.epoch += 1;
        let leader = self.journal.follower().leader();
        let (end, reason) = match error {
            JournalError::Fenced { .. } => (Some(End::Fenced), error.to_string()),
            JournalError::Poisoned { .. } => (None, self.start_anew(&error)),
            _ => (None, error.to_string()),
        };
        self.ended.clone_from(&reason);
        self.tell_trouble(&reason);
        // Under load a full disk refuses thousands of writes a second; the log is told once.
        if self.told.as_ref() != Some(&reason) {
            tracing::error!("journal: {reason}");
            self.told = Some(reason.clone());
        }
        let refusal = match end {
            Some(_) => Refusal::NotLeader(leader.clone()),
            None => Refusal::NotDurable(reason.clone()),
        };
        // Core goes back first: whoever is refused and asks again must find it ready.
        let _ = self.core.send(match end {
            Some(_) => Control::Follow { leader },
            None => Control::Undo {
                state: self.durable.clone(),
                epoch: self.epoch,
                reason,
                retry_at: Instant::now() + HOLD_OFF,
            },
        });
        waiting.drain(..).for_each(|stepped| refuse(stepped, &refusal));
        end
    }

    /// After a failed write or sync: a new segment from a snapshot. Returns what to tell those who
    /// wait; if the disk is full that is why there is no new segment either.
    fn start_anew(&mut self, error: &JournalError) -> String {
        match self.snapshot_now() {
            Ok(()) => {
                tracing::info!("journal: a new segment was started from a snapshot");
                error.to_string()
            }
            // A snapshot is being written in the background; the next attempt finds it done.
            Err(JournalError::Misuse(_)) => error.to_string(),
            Err(still) => still.to_string(),
        }
    }

    fn start_snapshot(&mut self) {
        let writer = match self.journal.begin_snapshot(self.durable.rev()) {
            Ok(writer) => writer,
            Err(error) => return tracing::error!("journal: no snapshot: {error}"),
        };
        let (state, done) = (self.durable.clone(), self.to_self.clone());
        let spawned = std::thread::Builder::new().name("wharf-snapshot".into()).spawn(move || {
            let _ = done.send(ToJournal::SnapshotWritten(write_snapshot(&state, writer)));
        });
        if let Err(error) = spawned {
            tracing::error!("journal: no thread for a snapshot: {error}");
        }
    }

    fn install(&mut self, written: Result<Installed, JournalError>) {
        match written.and_then(|written| self.journal.install(written)) {
            Ok(()) => add(&self.shared.figures.snapshots, 1),
            Err(error) => tracing::error!("journal: snapshot not installed: {error}"),
        }
    }

    fn snapshot_now(&mut self) -> Result<(), JournalError> {
        let writer = self.journal.begin_snapshot(self.durable.rev())?;
        let written = write_snapshot(&self.durable, writer)?;
        self.journal.install(written)
    }
}

fn write_snapshot(
    state: &State,
    mut writer: Box<dyn SnapshotWriter + Send>,
) -> Result<Installed, JournalError> {
    let mut result = Ok(());
    state.encode_all(&mut |row| {
        if result.is_ok() {
            result = writer.row(&RowChange {
                table: row.table.into(),
                version: row.version,
                key: row.key,
                value: row.value,
            });
        }
    });
    result?;
    writer.finish()
}

fn encode(stepped: &Stepped) -> Batch {
    let changes = stepped.state.encode(&stepped.changes).into_iter().map(|change| RowChange {
        table: change.table.into(),
        version: change.version,
        key: change.key,
        value: change.value,
    });
    Batch { rev: stepped.state.rev(), at_ms: stepped.at.millis(), changes: changes.collect() }
}

fn refuse(stepped: Stepped, refusal: &Refusal) {
    for (reply, _) in stepped.replies {
        let _ = reply.send(Err(refusal.clone()));
    }
}

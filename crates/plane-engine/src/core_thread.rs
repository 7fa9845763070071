//! The thread that owns core: queue in, steps out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use core_state::State;
use core_step::{Core, Event, OnPanic, Step};
use core_types::Time;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, after, never, select_biased};
use plane_journal::LeaderInfo;

use crate::clock::Clock;
use crate::figures::{add, add_time};
use crate::handle::{Refusal, ReplyTo, Shared};
use crate::journal_thread::{Stepped, ToJournal};

pub(crate) struct ToCore {
    pub event: Event,
    pub reply: ReplyTo,
}

/// From the journal thread; overtakes events.
pub(crate) enum Control {
    /// This process leads, from this state on.
    Lead {
        state: State,
        newest: Time,
        epoch: u64,
    },
    /// It does not lead any more.
    Follow {
        leader: Option<LeaderInfo>,
    },
    /// Batches could not be made durable: go back. Until `retry_at` do not even try.
    Undo {
        state: State,
        epoch: u64,
        reason: String,
        retry_at: Instant,
    },
    Stop,
}

/// How long an unexpected lack of news may last before core looks around by itself.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

pub(crate) struct CoreThread {
    shared: Arc<Shared>,
    inbox: Receiver<ToCore>,
    control: Receiver<Control>,
    journal: Sender<ToJournal>,
    core: Option<Core>,
    clock: Clock,
    leader: Option<LeaderInfo>,
    /// Steps of an older epoch were undone.
    epoch: u64,
    wake_at: Option<Time>,
    resync_at: Instant,
    refusing: Option<(Instant, String)>,
}

impl CoreThread {
    pub fn new(
        shared: Arc<Shared>,
        inbox: Receiver<ToCore>,
        control: Receiver<Control>,
        journal: Sender<ToJournal>,
    ) -> Self {
        CoreThread {
            shared,
            inbox,
            control,
            journal,
            core: None,
            clock: Clock::starting_after(Time::default()),
            leader: None,
            epoch: 0,
            wake_at: None,
            resync_at: Instant::now(),
            refusing: None,
        }
    }

    pub fn run(mut self) {
        loop {
            let alarm = self.sleep().map_or_else(never, after);
            let (inbox, control) = (self.inbox.clone(), self.control.clone());
            let goes_on = select_biased! {
                recv(control) -> message => match message {
                    Ok(message) => self.obey(message),
                    Err(_) => false,
                },
                recv(inbox) -> first => match first {
                    Ok(first) => self.take(Some(first)),
                    Err(_) => false,
                },
                recv(alarm) -> _ => self.take(None),
            };
            if !goes_on {
                break;
            }
        }
        // Whoever still waits learns it by the reply channel's end.
    }

    fn sleep(&mut self) -> Option<Duration> {
        self.core.as_ref()?;
        let due = self.wake_at.map(|at| at.since(self.clock.now()));
        let resync = self.resync_at.saturating_duration_since(Instant::now());
        let wait = due.unwrap_or(LONGEST_SLEEP).min(resync).min(LONGEST_SLEEP);
        let hold =
            self.refusing.as_ref().map(|(at, _)| at.saturating_duration_since(Instant::now()));
        Some(wait.max(hold.unwrap_or_default()))
    }

    fn obey(&mut self, message: Control) -> bool {
        match message {
            Control::Lead { state, newest, epoch } => {
                let registry = self.shared.registry.clone();
                self.core = Some(Core::new(registry, state, OnPanic::Answer));
                self.clock = Clock::starting_after(newest);
                (self.epoch, self.refusing) = (epoch, None);
                self.resync_at = Instant::now() + self.shared.options.resync_every;
                // Start-up is the normal path: the first step settles whatever is dirty.
                let goes_on = self.take(None);
                self.shared.leading.send_replace(true);
                goes_on
            }
            Control::Follow { leader } => {
                self.shared.leading.send_replace(false);
                (self.core, self.leader, self.wake_at) = (None, leader, None);
                true
            }
            Control::Undo { state, epoch, reason, retry_at } => {
                if let Some(core) = &mut self.core {
                    core.restore(state);
                }
                self.epoch = epoch;
                self.wake_at = Some(self.clock.now());
                self.refusing = Some((retry_at, reason));
                true
            }
            Control::Stop => false,
        }
    }

    /// One step over the first event and whatever else already waits.
    fn take(&mut self, first: Option<ToCore>) -> bool {
        let waiting = self.inbox.try_iter().take(self.shared.options.batch - 1);
        let (events, replies): (Vec<Event>, Vec<ReplyTo>) =
            first.into_iter().chain(waiting).map(|m| (m.event, m.reply)).unzip();
        let refusal = match (&self.core, &self.refusing) {
            (None, _) => Some(Refusal::NotLeader(self.leader.clone())),
            (_, Some((until, reason))) if Instant::now() < *until => {
                Some(Refusal::NotDurable(reason.clone()))
            }
            _ => None,
        };
        if let Some(refusal) = refusal {
            replies.into_iter().for_each(|reply| drop(reply.send(Err(refusal.clone()))));
            return true;
        }
        self.refusing = None;
        let Some(core) = &mut self.core else { return true };
        let now = self.clock.now();
        let seed = seed();
        let started = Instant::now();
        let count = events.len() as u64;
        let step = if events.is_empty() && Instant::now() >= self.resync_at {
            self.resync_at = Instant::now() + self.shared.options.resync_every;
            add(&self.shared.figures.resyncs, 1);
            core.resync(now, seed)
        } else {
            core.step(now, seed, events)
        };
        let Step { replies: handled, changes, wake_at, faults } = step;
        let figures = &self.shared.figures;
        add_time(&figures.step_micros, started.elapsed());
        add(&figures.steps, 1);
        add(&figures.events, count);
        add(&figures.changes, changes.len() as u64);
        add(&figures.faults, faults.len() as u64);
        faults.iter().for_each(|fault| tracing::error!("core: {fault}"));
        self.wake_at = wake_at;
        if changes.is_empty() && replies.is_empty() {
            return true;
        }
        let stepped = Stepped {
            epoch: self.epoch,
            at: now,
            state: core.state().clone(),
            changes,
            replies: replies.into_iter().zip(handled).collect(),
        };
        self.hand_on(ToJournal::Stepped(stepped))
    }

    /// The journal's queue is bounded. While it is full core must still hear control messages, or
    /// the two threads would wait for each other.
    fn hand_on(&mut self, message: ToJournal) -> bool {
        let mut message = message;
        loop {
            match self.journal.send_timeout(message, Duration::from_millis(50)) {
                Ok(()) => return true,
                Err(crossbeam_channel::SendTimeoutError::Disconnected(_)) => return false,
                Err(crossbeam_channel::SendTimeoutError::Timeout(back)) => message = back,
            }
            match self.control.recv_timeout(Duration::ZERO) {
                Ok(control) => {
                    if !self.obey_while_blocked(control) {
                        return false;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    fn obey_while_blocked(&mut self, control: Control) -> bool {
        // The message in hand carries an older epoch; the journal thread answers it as undone.
        match control {
            Control::Lead { .. } | Control::Follow { .. } | Control::Undo { .. } => {
                self.obey(control)
            }
            Control::Stop => false,
        }
    }
}

fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("the system gives random bytes");
    seed
}

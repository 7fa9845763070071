//! The step: authorize, act, settle, hand out changes.
//!
//! A step takes a batch. Each event has its own savepoint; loops settle once over the union of what
//! the batch changed. What comes out is not true until the engine has made it durable.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use aws_protocol::{AnyShape, ApiError};
use core_state::{Change, State, Tx};
use core_types::{Dice, Time};

use crate::action::{Action, Run, View};
use crate::call::{Call, Demands};
use crate::loops::AnyLoop;
use crate::registry::{Registry, Report};

/// Something that happened.
pub enum Event {
    Call { call: Arc<Call>, action: &'static Action, input: Box<dyn AnyShape> },
    Report(Box<dyn Report>),
}

/// What became of one event.
pub enum Handled {
    Call(Result<Box<dyn AnyShape>, ApiError>),
    Report(Box<dyn Any + Send>),
    /// The report panicked; it was rolled back.
    ReportFailed,
}

/// Replies stand in the order of the events.
pub type Reply = Handled;

/// What one step did.
pub struct Step {
    pub replies: Vec<Reply>,
    /// In order; the last image of a row is what is to be stored.
    pub changes: Vec<Change>,
    /// When the next step is due, should nothing else happen.
    pub wake_at: Option<Time>,
    /// Panics and loops that did not settle, in words. Each is a defect to be told of.
    pub faults: Vec<String>,
}

/// What a panic inside a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnPanic {
    /// Roll the event back and answer `InternalFailure`: one bad request must not stop the plane.
    Answer,
    /// Let it through: in simulation a panic ends the run and names the seed.
    Abort,
}

/// State, and the loops' knowledge of which keys are dirty.
pub struct Core {
    registry: Arc<Registry>,
    state: State,
    loops: Vec<Box<dyn AnyLoop>>,
    on_panic: OnPanic,
}

impl Core {
    /// A core over a recovered (or empty) state. Every key is dirty: start-up is the normal path.
    pub fn new(registry: Arc<Registry>, state: State, on_panic: OnPanic) -> Self {
        let loops = registry.loops().map(|def| (def.make)()).collect();
        let mut core = Core { registry, state, loops, on_panic };
        core.dirty_all();
        core
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Go back to an older state: what was stepped since could not be made durable.
    pub fn restore(&mut self, state: State) {
        self.state = state;
        self.dirty_all();
    }

    fn dirty_all(&mut self) {
        let Core { state, loops, .. } = self;
        state.touch_all(&mut |change| {
            loops.iter_mut().for_each(|l| l.wake(&change, state));
        });
    }

    /// Take a batch of events (none: only what is due) and settle.
    pub fn step(&mut self, now: Time, seed: [u8; 32], events: Vec<Event>) -> Step {
        let mut dice = Dice::seeded(seed);
        let (mut changes, mut faults) = (Vec::new(), Vec::new());
        let mut replies = Vec::with_capacity(events.len());
        let rev = self.state.rev();
        self.start(now, &mut faults);
        for event in events {
            let mut tx = Tx::new(&mut self.state, &mut changes, &mut dice, now);
            let savepoint = tx.savepoint();
            let registry = &*self.registry;
            let is_call = matches!(event, Event::Call { .. });
            let handled = guarded(self.on_panic, || handle(registry, &mut tx, event));
            let failed = !matches!(&handled, Ok(Handled::Call(Ok(_)) | Handled::Report(_)));
            if failed {
                tx.rollback(savepoint);
            }
            replies.push(handled.unwrap_or_else(|panic| {
                faults.push(panic);
                match is_call {
                    true => Handled::Call(Err(ApiError::internal_failure(
                        "The request could not be processed because of an internal error.",
                    ))),
                    false => Handled::ReportFailed,
                }
            }));
        }
        self.settle(now, &mut dice, &mut changes, &mut faults);
        if !changes.is_empty() {
            self.state.set_rev(rev + 1);
        }
        Step { replies, wake_at: self.wake_at(now), changes, faults }
    }

    /// Run every loop for every row. In a settled state that changes nothing; a change means that
    /// a wake-up was missed. The step heals what it finds; the faults name it.
    pub fn resync(&mut self, now: Time, seed: [u8; 32]) -> Step {
        self.dirty_all();
        let mut step = self.step(now, seed, Vec::new());
        if !step.changes.is_empty() {
            let rows = self.state.encode(&step.changes);
            let rows =
                rows.iter().map(|c| format!("{} {}", c.table, String::from_utf8_lossy(&c.key)));
            let rows: Vec<_> = rows.take(8).collect();
            step.faults.push(format!("the resync audit changed {}", rows.join(", ")));
        }
        step
    }

    fn start(&mut self, now: Time, faults: &mut Vec<String>) {
        let Core { state, loops, .. } = self;
        for l in loops.iter_mut() {
            let late = l.start_step();
            if late > 0 {
                faults.push(format!("loop {}: {late} keys were put off", l.name()));
            }
        }
        state.touch_due(now, &mut |change| {
            loops.iter_mut().for_each(|l| l.wake(&change, state));
        });
    }

    /// Run loops until no key is dirty, in the order in which the slices list them.
    fn settle(
        &mut self,
        now: Time,
        dice: &mut Dice,
        changes: &mut Vec<Change>,
        faults: &mut Vec<String>,
    ) {
        let Core { state, loops, on_panic, .. } = self;
        let mut seen = 0;
        loop {
            for change in &changes[seen..] {
                loops.iter_mut().for_each(|l| l.wake(change, state));
            }
            seen = changes.len();
            let mut ran = false;
            for l in loops.iter_mut() {
                let mut tx = Tx::new(state, changes, dice, now);
                let savepoint = tx.savepoint();
                match guarded(*on_panic, || l.run_next(&mut tx)) {
                    Ok(None) => continue,
                    Ok(Some(())) => {}
                    Err(panic) => {
                        tx.rollback(savepoint);
                        let key = l.next_key().unwrap_or_default();
                        faults.push(format!("loop {} at {key}: {panic}", l.name()));
                        l.put_off_next();
                    }
                }
                ran = true;
                break;
            }
            if !ran {
                return;
            }
        }
    }

    fn wake_at(&self, now: Time) -> Option<Time> {
        // A key that was put off is tried again soon, but not at once: whatever made it spin or
        // panic is likely still there.
        const RETRY: std::time::Duration = std::time::Duration::from_secs(1);
        let retry = self.loops.iter().any(|l| l.has_put_off()).then_some(now + RETRY);
        // A deadline that no loop moved would otherwise make the engine spin.
        let due = self.state.next_wake().map(|at| if at <= now { now + RETRY } else { at });
        match (retry, due) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

fn handle(registry: &Registry, tx: &mut Tx<'_>, event: Event) -> Handled {
    match event {
        Event::Report(report) => Handled::Report(report.apply(tx)),
        Event::Call { call, action, input } => {
            let now = tx.now();
            let demands = (action.authorize)(&call, &View::new(tx, now), &*input);
            if let Demands::Need(demands) = demands {
                let view = View::new(tx, now);
                if let Err(denied) = registry.identity().authorize(&call, &view, &demands) {
                    return Handled::Call(Err(denied));
                }
            }
            Handled::Call(match action.run {
                Run::Write(run) => run(&call, tx, input),
                Run::Read(run) => run(&call, &View::new(tx, now), input),
                Run::Data(_) => Err(ApiError::internal_failure(
                    "Users' bytes do not go through the control plane's core.",
                )),
            })
        }
    }
}

/// Run a piece of a step; a panic comes back as its message.
fn guarded<T>(on_panic: OnPanic, run: impl FnOnce() -> T) -> Result<T, String> {
    if on_panic == OnPanic::Abort {
        return Ok(run());
    }
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        format!("panic: {}", text.unwrap_or("without a message"))
    })
}

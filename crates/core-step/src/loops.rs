//! Loops: level-triggered. A change wakes keys; a loop is given a key, looks at state and writes.
//!
//! A loop never sees the change that woke it, so a wake-up may be repeated, merged or made by the
//! resync audit without harm.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use core_state::{Change, State, Tx};

/// A reconciling loop.
pub trait Loop: 'static {
    type Key: Ord + Clone + Debug + Send + 'static;
    const NAME: &'static str;

    /// The keys that a change concerns. Also called with every row (as a change onto itself) by
    /// the start-up and by the resync audit, and with a row whose deadline has come.
    fn wake(change: &Change, state: &State, add: &mut dyn FnMut(Self::Key));

    /// Bring what the key stands for to where it should be. Running it twice changes nothing.
    fn reconcile(tx: &mut Tx<'_>, key: &Self::Key);
}

/// One entry of a slice's list of loops.
#[derive(Clone, Copy)]
pub struct LoopDef {
    pub name: &'static str,
    pub(crate) make: fn() -> Box<dyn AnyLoop>,
}

pub const fn loop_def<L: Loop>() -> LoopDef {
    LoopDef { name: L::NAME, make: || Box::new(Running::<L>::default()) }
}

/// How often one key may run in one step before it is put off to the next: a loop that needs more
/// is two loops undoing each other.
const RUNS_PER_STEP: u32 = 32;

/// A loop with its dirty keys.
struct Running<L: Loop> {
    dirty: BTreeSet<L::Key>,
    put_off: BTreeSet<L::Key>,
    runs: BTreeMap<L::Key, u32>,
}

impl<L: Loop> Default for Running<L> {
    fn default() -> Self {
        Running { dirty: BTreeSet::new(), put_off: BTreeSet::new(), runs: BTreeMap::new() }
    }
}

/// A loop with its key type hidden.
pub(crate) trait AnyLoop: Send {
    fn name(&self) -> &'static str;
    fn wake(&mut self, change: &Change, state: &State);
    /// Take the next dirty key and run it; `None` when there is none. The text names the key.
    fn run_next(&mut self, tx: &mut Tx<'_>) -> Option<()>;
    /// The key that `run_next` would take, for messages.
    fn next_key(&self) -> Option<String>;
    /// Forget the key that failed until the next step.
    fn put_off_next(&mut self);
    /// Start a step: keys that were put off are dirty again. Returns how many there were.
    fn start_step(&mut self) -> usize;
    fn has_put_off(&self) -> bool;
}

impl<L: Loop> AnyLoop for Running<L> {
    fn name(&self) -> &'static str {
        L::NAME
    }

    fn wake(&mut self, change: &Change, state: &State) {
        let Running { dirty, put_off, runs } = self;
        L::wake(change, state, &mut |key| {
            if runs.get(&key).is_some_and(|n| *n >= RUNS_PER_STEP) {
                put_off.insert(key);
            } else if !put_off.contains(&key) {
                dirty.insert(key);
            }
        });
    }

    fn run_next(&mut self, tx: &mut Tx<'_>) -> Option<()> {
        let key = self.dirty.first()?.clone();
        *self.runs.entry(key.clone()).or_default() += 1;
        L::reconcile(tx, &key);
        // Removed only now: should `reconcile` panic, the key is still there to be put off.
        self.dirty.remove(&key);
        Some(())
    }

    fn next_key(&self) -> Option<String> {
        self.dirty.first().map(|key| format!("{key:?}"))
    }

    fn put_off_next(&mut self) {
        if let Some(key) = self.dirty.pop_first() {
            self.put_off.insert(key);
        }
    }

    fn start_step(&mut self) -> usize {
        self.runs.clear();
        let late = self.put_off.len();
        self.dirty.append(&mut self.put_off);
        late
    }

    fn has_put_off(&self) -> bool {
        !self.put_off.is_empty()
    }
}

//! A transaction: reads see its own writes, every write is in the log, the log undoes it.

use std::ops::Deref;
use std::sync::Arc;

use core_types::{Dice, Time};

use crate::kept::Trace;
use crate::row::Row;
use crate::state::{State, TableId};
use crate::table::AnyRow;

/// One row's change. The same list is undo log, journal entry and event feed.
#[derive(Clone)]
pub struct Change {
    pub(crate) table: TableId,
    pub(crate) before: Option<AnyRow>,
    pub(crate) after: Option<AnyRow>,
}

impl Change {
    /// Whether it changes nothing: a row is to be looked at, for its deadline or for all rows are.
    pub fn is_touch(&self) -> bool {
        let both = self.before.as_ref().zip(self.after.as_ref());
        both.is_some_and(|(before, after)| Arc::ptr_eq(before, after))
    }

    /// Before and after image, when the change is of this row type.
    pub fn of<R: Row>(&self) -> Option<(Option<&R>, Option<&R>)> {
        let sample = self.after.as_ref().or(self.before.as_ref())?;
        if !sample.is::<R>() {
            return None;
        }
        Some((
            self.before.as_ref().and_then(|row| row.downcast_ref()),
            self.after.as_ref().and_then(|row| row.downcast_ref()),
        ))
    }

    /// The newer image there is, when the change is of this row type.
    pub fn row<R: Row>(&self) -> Option<&R> {
        self.after.as_ref().or(self.before.as_ref())?.downcast_ref()
    }
}

/// The only way to write. Reads go through `Deref` to the [`State`] it is changing.
pub struct Tx<'a> {
    state: &'a mut State,
    log: &'a mut Vec<Change>,
    pub dice: &'a mut Dice,
    now: Time,
}

impl Deref for Tx<'_> {
    type Target = State;
    fn deref(&self) -> &State {
        self.state
    }
}

impl<'a> Tx<'a> {
    pub fn new(
        state: &'a mut State,
        log: &'a mut Vec<Change>,
        dice: &'a mut Dice,
        now: Time,
    ) -> Self {
        Tx { state, log, dice, now }
    }

    /// The time of this step. One step has one time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Insert or replace a row. Writing what is already there is no change.
    pub fn put<R: Row>(&mut self, row: R) {
        if self.state.get::<R>(&row.key()).is_some_and(|old| *old == row) {
            return;
        }
        self.write(row);
    }

    fn write<R: Row>(&mut self, row: R) {
        let (table, rows) = self.state.typed_mut::<R>();
        let key = row.key();
        let row = Arc::new(row);
        let before = rows.replace(&key, Some(row.clone()));
        let before = before.map(|row| row as AnyRow);
        self.log.push(Change { table, before, after: Some(row) });
    }

    /// Change a row in place; false when there is none.
    pub fn edit<R: Row>(&mut self, key: &R::Key, change: impl FnOnce(&mut R)) -> bool {
        let (table, rows) = self.state.typed_mut::<R>();
        let Some(images) = rows.edit(key, change) else { return false };
        if let Some((before, after)) = images {
            self.log.push(Change { table, before: Some(before), after: Some(after) });
        }
        true
    }

    pub fn delete<R: Row>(&mut self, key: &R::Key) -> bool {
        let (table, rows) = self.state.typed_mut::<R>();
        match rows.replace(key, None) {
            Some(before) => {
                self.log.push(Change { table, before: Some(before), after: None });
                true
            }
            None => false,
        }
    }

    /// What is kept beside the state, out of it: whoever panics with it in hand leaves nothing
    /// half-done behind.
    pub fn lend<K: 'static>(&mut self) -> Option<Box<K>> {
        self.state.kept_mut().take()
    }

    /// Keep something beside the state until it is lent again.
    pub fn keep<K: Send + Sync + 'static>(&mut self, kept: Box<K>) {
        self.state.kept_mut().put(kept);
    }

    /// What was touched since this was last asked; None where nobody has asked yet.
    pub fn touched<T: Trace>(&mut self) -> Option<Vec<T::Key>> {
        self.state.take_touched::<T>()
    }

    /// A point to roll back to.
    pub fn savepoint(&self) -> usize {
        self.log.len()
    }

    /// Undo every write since the savepoint, newest first.
    pub fn rollback(&mut self, savepoint: usize) {
        while self.log.len() > savepoint {
            let Change { table, before, after } = self.log.pop().expect("the log is that long");
            self.state.set_image(table, &after, &before);
        }
    }

    /// The changes since a savepoint.
    pub fn changes(&self, since: usize) -> &[Change] {
        &self.log[since..]
    }
}

//! What is kept beside a state from step to step: structures over many rows, too large to be built
//! anew for each question.
//!
//! A slice lends its structure out of the working state, brings it up to date with what a [`Trace`]
//! says was touched since, and gives it back. It cannot go stale: undo writes rows as any put does,
//! so it leaves its trace; a clone of a state (a reader's, or the one that a failed append goes back
//! to) keeps nothing, and whoever asks there builds anew.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;

use immutable_chunkmap::set::Set;

use crate::row::{Row, RowKey};
use crate::table::{Derived, PLAIN};

/// Names what the follower of a table must look at again after a change.
pub trait Trace: 'static {
    type Row: Row;
    type Key: RowKey;
    fn touches(
        before: Option<&Self::Row>,
        after: Option<&Self::Row>,
        add: &mut dyn FnMut(Self::Key),
    );
}

/// What was touched since it was last asked; None before anybody ever asked.
pub(crate) struct TraceOf<T: Trace> {
    pub touched: Option<Set<T::Key, PLAIN>>,
}

impl<T: Trace> Derived<T::Row> for TraceOf<T> {
    fn replace(&mut self, before: Option<&T::Row>, after: Option<&T::Row>) {
        let Some(touched) = &mut self.touched else { return };
        T::touches(before, after, &mut |key| {
            if !touched.contains(&key) {
                touched.insert_cow(key);
            }
        });
    }

    fn clone_box(&self) -> Box<dyn Derived<T::Row>> {
        Box::new(TraceOf::<T> { touched: self.touched.clone() })
    }

    /// It tells of the past, so rows alone do not give it.
    fn same_as(&self, other: &dyn Derived<T::Row>) -> bool {
        other.as_any().is::<Self>()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// The structures, by their types. A clone of a state has none.
#[derive(Default)]
pub(crate) struct Kept(BTreeMap<TypeId, Box<dyn Any + Send + Sync>>);

impl Clone for Kept {
    fn clone(&self) -> Self {
        Kept::default()
    }
}

impl Kept {
    pub fn get<K: 'static>(&self) -> Option<&K> {
        self.0.get(&TypeId::of::<K>())?.downcast_ref()
    }

    pub fn take<K: 'static>(&mut self) -> Option<Box<K>> {
        self.0.remove(&TypeId::of::<K>())?.downcast().ok()
    }

    pub fn put<K: Send + Sync + 'static>(&mut self, kept: Box<K>) {
        self.0.insert(TypeId::of::<K>(), kept);
    }
}

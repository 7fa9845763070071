//! One table: its rows, the indexes and tallies over them, and the order of their deadlines.

use std::any::{Any, TypeId};
use std::ops::Bound;
use std::sync::Arc;

use core_types::Time;
use immutable_chunkmap::map::Map;
use immutable_chunkmap::set::Set;
use smallvec::SmallVec;

use crate::kept::{Trace, TraceOf};
use crate::row::{Declare, Index, Row, RowKey, Sum, Tally};
use crate::state::LoadError;

/// Entries of a tree's node where they are plain: copying one on write is a small memory copy.
pub(crate) const PLAIN: usize = 64;
/// Entries of a node that count references. Each copy of a node touches all that its entries point
/// to, which costs more than a deeper tree.
const SHARED: usize = 16;
/// Rows of one index key that are kept without a tree of their own.
const FEW: usize = 8;

pub(crate) type AnyRow = Arc<dyn Any + Send + Sync>;

/// Kept beside the rows by every put: an index or a tally, its key type hidden.
pub(crate) trait Derived<R: Row>: Any + Send + Sync {
    fn replace(&mut self, before: Option<&R>, after: Option<&R>);
    fn clone_box(&self) -> Box<dyn Derived<R>>;
    fn same_as(&self, other: &dyn Derived<R>) -> bool;
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

/// The rows of one index key, in order. Most keys of most indexes have one row or two, some have
/// 10^5.
#[derive(Clone)]
enum Rows<K: RowKey> {
    Few(Arc<[K]>),
    Many(Set<K, PLAIN>),
}

impl<K: RowKey> Rows<K> {
    fn insert(&mut self, key: K) {
        match self {
            Rows::Few(few) => {
                let Err(place) = few.binary_search(&key) else { return };
                if few.len() < FEW {
                    let (head, tail) = few.split_at(place);
                    *few = head.iter().chain([&key]).chain(tail).cloned().collect();
                } else {
                    *self = Rows::Many(few.iter().cloned().chain([key]).collect());
                }
            }
            Rows::Many(many) => {
                many.insert_cow(key);
            }
        }
    }

    fn remove(&mut self, key: &K) {
        match self {
            Rows::Few(few) => *few = few.iter().filter(|one| *one != key).cloned().collect(),
            Rows::Many(many) => {
                many.remove_cow(key);
                // Well below the count at which it became many, so that one row that comes and
                // goes does not rebuild it each time.
                if many.len() <= FEW / 2 {
                    *self = Rows::Few(many.into_iter().cloned().collect());
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Rows::Few(few) if few.is_empty())
    }

    /// Those behind `after`; all without it.
    fn behind(&self, after: Option<K>) -> impl Iterator<Item = &K> + use<'_, K> {
        let (few, many) = match self {
            Rows::Few(few) => {
                let skip = after.map_or(0, |after| few.partition_point(|key| *key <= after));
                (Some(few[skip..].iter()), None)
            }
            Rows::Many(many) => {
                let first = after.map_or(Bound::Unbounded, Bound::Excluded);
                (None, Some(many.range::<K, _>((first, Bound::Unbounded))))
            }
        };
        few.into_iter().flatten().chain(many.into_iter().flatten())
    }
}

struct IndexOf<I: Index> {
    entries: Map<I::Key, Rows<<I::Row as Row>::Key>, SHARED>,
}

impl<I: Index> IndexOf<I> {
    fn insert(&mut self, key: I::Key, row: <I::Row as Row>::Key) {
        match self.entries.get_mut_cow(&key) {
            Some(rows) => rows.insert(row),
            None => {
                self.entries.insert_cow(key, Rows::Few([row].into()));
            }
        }
    }

    fn remove(&mut self, key: &I::Key, row: &<I::Row as Row>::Key) {
        let Some(rows) = self.entries.get_mut_cow(key) else { return };
        rows.remove(row);
        if rows.is_empty() {
            self.entries.remove_cow(key);
        }
    }
}

impl<I: Index> Derived<I::Row> for IndexOf<I> {
    fn replace(&mut self, before: Option<&I::Row>, after: Option<&I::Row>) {
        // Most rows have one key.
        let keys_of = |row: Option<&I::Row>| {
            let mut keys = SmallVec::<[I::Key; 2]>::new();
            if let Some(row) = row {
                I::keys(row, &mut |key| keys.push(key));
            }
            keys
        };
        let (old, new) = (keys_of(before), keys_of(after));
        if old == new {
            return;
        }
        if let Some(row) = before {
            old.iter().for_each(|key| self.remove(key, &row.key()));
        }
        if let Some(row) = after {
            new.into_iter().for_each(|key| self.insert(key, row.key()));
        }
    }

    fn clone_box(&self) -> Box<dyn Derived<I::Row>> {
        Box::new(IndexOf::<I> { entries: self.entries.clone() })
    }

    /// By content: how the rows of a key are kept depends on how many there once were.
    fn same_as(&self, other: &dyn Derived<I::Row>) -> bool {
        let Some(other) = other.as_any().downcast_ref::<Self>() else { return false };
        self.entries.len() == other.entries.len()
            && self
                .entries
                .into_iter()
                .zip(&other.entries)
                .all(|((a, mine), (b, theirs))| a == b && mine.behind(None).eq(theirs.behind(None)))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

struct TallyOf<T: Tally> {
    sums: Map<T::Key, T::Sum, SHARED>,
}

fn place_of<K: PartialEq, S: Sum>(deltas: &mut SmallVec<[(K, S, S); 2]>, key: K) -> usize {
    deltas.iter().position(|(known, ..)| *known == key).unwrap_or_else(|| {
        deltas.push((key, S::default(), S::default()));
        deltas.len() - 1
    })
}

impl<T: Tally> Derived<T::Row> for TallyOf<T> {
    fn replace(&mut self, before: Option<&T::Row>, after: Option<&T::Row>) {
        // What goes and what comes, by key: a key whose two are equal is left alone.
        let mut deltas = SmallVec::<[(T::Key, T::Sum, T::Sum); 2]>::new();
        if let Some(row) = before {
            T::counts(row, &mut |key, n| {
                let place = place_of(&mut deltas, key);
                deltas[place].1 = deltas[place].1.plus(n);
            });
        }
        if let Some(row) = after {
            T::counts(row, &mut |key, n| {
                let place = place_of(&mut deltas, key);
                deltas[place].2 = deltas[place].2.plus(n);
            });
        }
        for (key, goes, comes) in deltas.into_iter().filter(|(_, goes, comes)| goes != comes) {
            match self.sums.get_mut_cow(&key) {
                Some(sum) => {
                    *sum = sum.minus(goes).plus(comes);
                    if *sum == T::Sum::default() {
                        self.sums.remove_cow(&key);
                    }
                }
                None => {
                    self.sums.insert_cow(key, T::Sum::default().minus(goes).plus(comes));
                }
            }
        }
    }

    fn clone_box(&self) -> Box<dyn Derived<T::Row>> {
        Box::new(TallyOf::<T> { sums: self.sums.clone() })
    }

    fn same_as(&self, other: &dyn Derived<T::Row>) -> bool {
        other.as_any().downcast_ref::<Self>().is_some_and(|o| o.sums == self.sums)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

pub struct Table<R: Row> {
    rows: Map<R::Key, Arc<R>, SHARED>,
    due: Set<(Time, R::Key), PLAIN>,
    derived: Vec<(TypeId, Box<dyn Derived<R>>)>,
}

impl<R: Row> Clone for Table<R> {
    fn clone(&self) -> Self {
        Table {
            rows: self.rows.clone(),
            due: self.due.clone(),
            derived: self.derived.iter().map(|(id, d)| (*id, d.clone_box())).collect(),
        }
    }
}

impl<R: Row> Table<R> {
    pub(crate) fn new() -> Self {
        let mut table = Table { rows: Map::new(), due: Set::new(), derived: Vec::new() };
        R::declare(&mut Declare { table: &mut table });
        table
    }

    pub(crate) fn add_index<I: Index<Row = R>>(&mut self) {
        self.derived.push((TypeId::of::<I>(), Box::new(IndexOf::<I> { entries: Map::new() })));
    }

    pub(crate) fn add_tally<T: Tally<Row = R>>(&mut self) {
        self.derived.push((TypeId::of::<T>(), Box::new(TallyOf::<T> { sums: Map::new() })));
    }

    pub(crate) fn add_trace<T: Trace<Row = R>>(&mut self) {
        self.derived.push((TypeId::of::<T>(), Box::new(TraceOf::<T> { touched: None })));
    }

    pub(crate) fn get(&self, key: &R::Key) -> Option<&Arc<R>> {
        self.rows.get(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn from(&self, first: R::Key) -> impl DoubleEndedIterator<Item = &Arc<R>> {
        self.rows.range(first..).map(|(_, row)| row)
    }

    pub(crate) fn rows(&self) -> impl DoubleEndedIterator<Item = &Arc<R>> {
        self.rows.range(..).map(|(_, row)| row)
    }

    /// Put or delete one row, with everything kept beside it.
    pub(crate) fn replace(&mut self, key: &R::Key, after: Option<Arc<R>>) -> Option<Arc<R>> {
        let before = match &after {
            Some(row) => self.rows.insert_cow(key.clone(), row.clone()),
            None => self.rows.remove_cow(key),
        };
        self.follow(key, before.as_deref(), after.as_deref());
        before
    }

    /// Change one row in place, with everything kept beside it: the way to it is gone once. `None`
    /// where there is no such row; its two images where the change made a difference.
    pub(crate) fn edit(
        &mut self,
        key: &R::Key,
        change: impl FnOnce(&mut R),
    ) -> Option<Option<(Arc<R>, Arc<R>)>> {
        let slot = self.rows.get_mut_cow(key)?;
        let mut row = R::clone(slot);
        change(&mut row);
        assert!(row.key() == *key, "{}: an edit keeps the row's key", R::TABLE);
        if row == **slot {
            return Some(None);
        }
        let after = Arc::new(row);
        let before = std::mem::replace(slot, after.clone());
        self.follow(key, Some(&before), Some(&after));
        Some(Some((before, after)))
    }

    fn follow(&mut self, key: &R::Key, before: Option<&R>, after: Option<&R>) {
        let wake = |row: Option<&R>| row.and_then(R::wake_at);
        let (old, new) = (wake(before), wake(after));
        if old != new {
            if let Some(at) = old {
                self.due.remove_cow(&(at, key.clone()));
            }
            if let Some(at) = new {
                self.due.insert_cow((at, key.clone()));
            }
        }
        for (_, derived) in &mut self.derived {
            derived.replace(before, after);
        }
    }

    fn derived<D: 'static>(&self, of: TypeId) -> &D {
        self.derived
            .iter()
            .find(|(id, _)| *id == of)
            .and_then(|(_, derived)| derived.as_any().downcast_ref())
            .expect("an index or tally is declared by its row's `declare`")
    }

    pub(crate) fn touched<T: Trace<Row = R>>(&self) -> Option<&Set<T::Key, PLAIN>> {
        self.derived::<TraceOf<T>>(TypeId::of::<T>()).touched.as_ref()
    }

    /// Begin a trace anew.
    pub(crate) fn forget_touched<T: Trace<Row = R>>(&mut self) {
        let mut all = self.derived.iter_mut();
        let found = all.find(|(id, _)| *id == TypeId::of::<T>());
        let found = found.and_then(|(_, one)| one.as_any_mut().downcast_mut::<TraceOf<T>>());
        found.expect("a trace is declared by its row's `declare`").touched = Some(Set::new());
    }

    /// Index entries of one key in row-key order, starting behind `after`.
    pub(crate) fn by<'a, I: Index<Row = R>>(
        &'a self,
        key: &I::Key,
        after: Option<&R::Key>,
    ) -> impl Iterator<Item = &'a Arc<R>> + use<'a, R, I> {
        let index: &IndexOf<I> = self.derived(TypeId::of::<I>());
        let after = after.cloned();
        let rows = index.entries.get(key).into_iter();
        let rows = rows.flat_map(move |rows| rows.behind(after.clone()));
        rows.map(|row| self.rows.get(row).expect("an index names only rows that exist"))
    }

    /// All entries of an index from `first` on, in index order.
    pub(crate) fn by_range<'a, I: Index<Row = R>>(
        &'a self,
        first: I::Key,
    ) -> impl Iterator<Item = (&'a I::Key, &'a Arc<R>)> + use<'a, R, I> {
        let index: &IndexOf<I> = self.derived(TypeId::of::<I>());
        let all = index.entries.range(first..);
        all.flat_map(|(key, rows)| rows.behind(None).map(move |row| (key, row))).map(
            |(key, row)| (key, self.rows.get(row).expect("an index names only rows that exist")),
        )
    }

    pub(crate) fn sum<T: Tally<Row = R>>(&self, key: &T::Key) -> T::Sum {
        self.derived::<TallyOf<T>>(TypeId::of::<T>()).sums.get(key).copied().unwrap_or_default()
    }

    pub(crate) fn sums<T: Tally<Row = R>>(
        &self,
        first: T::Key,
    ) -> impl Iterator<Item = (&T::Key, T::Sum)> {
        let tally = self.derived::<TallyOf<T>>(TypeId::of::<T>());
        tally.sums.range(first..).map(|(key, sum)| (key, *sum))
    }
}

/// A table with its row type hidden, for what treats all tables alike.
pub(crate) trait AnyTable: Send + Sync {
    fn name(&self) -> &'static str;
    fn version(&self) -> u32;
    fn count(&self) -> usize;
    fn clone_table(&self) -> Arc<dyn AnyTable>;
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
    /// Set a row back to (or forward to) an image; used by undo.
    fn set_image(&mut self, was: &Option<AnyRow>, becomes: &Option<AnyRow>);
    fn encode_key(&self, row: &AnyRow) -> Vec<u8>;
    fn encode_row(&self, row: &AnyRow) -> Vec<u8>;
    fn load(&mut self, version: u32, key: &[u8], value: Option<&[u8]>) -> Result<(), LoadError>;
    fn each(&self, visit: &mut dyn FnMut(AnyRow));
    fn due(&self, now: Time, visit: &mut dyn FnMut(AnyRow));
    fn next_wake(&self) -> Option<Time>;
    /// What is wrong between the rows and what is derived from them; empty when all is well.
    fn audit(&self) -> Vec<String>;
}

fn typed<R: Row>(row: &AnyRow) -> Arc<R> {
    row.clone().downcast().expect("a table is handed only rows of its own type")
}

impl<R: Row> AnyTable for Table<R> {
    fn name(&self) -> &'static str {
        R::TABLE
    }

    fn version(&self) -> u32 {
        R::VERSION
    }

    fn count(&self) -> usize {
        self.len()
    }

    fn clone_table(&self) -> Arc<dyn AnyTable> {
        Arc::new(self.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn set_image(&mut self, was: &Option<AnyRow>, becomes: &Option<AnyRow>) {
        let becomes = becomes.as_ref().map(typed::<R>);
        let key = match (&becomes, was) {
            (Some(row), _) => row.key(),
            (None, Some(was)) => typed::<R>(was).key(),
            (None, None) => return,
        };
        self.replace(&key, becomes);
    }

    fn encode_key(&self, row: &AnyRow) -> Vec<u8> {
        serde_json::to_vec(&typed::<R>(row).key()).expect("keys are plain data")
    }

    fn encode_row(&self, row: &AnyRow) -> Vec<u8> {
        serde_json::to_vec(&*typed::<R>(row)).expect("rows are plain data")
    }

    fn load(&mut self, version: u32, key: &[u8], value: Option<&[u8]>) -> Result<(), LoadError> {
        let bad = |reason: String| LoadError::Row {
            table: R::TABLE,
            key: String::from_utf8_lossy(key).into_owned(),
            reason,
        };
        let Some(value) = value else {
            let key: R::Key = serde_json::from_slice(key).map_err(|e| bad(e.to_string()))?;
            self.replace(&key, None);
            return Ok(());
        };
        let row: R = if version == R::VERSION {
            serde_json::from_slice(value).map_err(|e| bad(e.to_string()))?
        } else if version > R::VERSION {
            return Err(LoadError::Newer { table: R::TABLE, version, known: R::VERSION });
        } else {
            let mut json = serde_json::from_slice(value).map_err(|e| bad(e.to_string()))?;
            for from in version..R::VERSION {
                json = R::upgrade(from, json).map_err(bad)?;
            }
            serde_json::from_value(json).map_err(|e| bad(e.to_string()))?
        };
        self.replace(&row.key(), Some(Arc::new(row)));
        Ok(())
    }

    fn each(&self, visit: &mut dyn FnMut(AnyRow)) {
        self.rows().for_each(|row| visit(row.clone()));
    }

    fn due(&self, now: Time, visit: &mut dyn FnMut(AnyRow)) {
        for (at, key) in self.due.range(..) {
            if *at > now {
                break;
            }
            visit(self.rows.get(key).expect("a deadline names only rows that exist").clone());
        }
    }

    fn next_wake(&self) -> Option<Time> {
        self.due.range(..).next().map(|(at, _)| *at)
    }

    fn audit(&self) -> Vec<String> {
        let mut fresh = Table::<R>::new();
        for row in self.rows() {
            fresh.replace(&row.key(), Some(row.clone()));
        }
        let mut wrong = Vec::new();
        if fresh.rows.len() != self.rows.len() {
            wrong.push(format!("{}: rows stand under keys that are not theirs", R::TABLE));
        }
        if fresh.due != self.due {
            wrong.push(format!("{}: the order of deadlines differs from the rows", R::TABLE));
        }
        for (nth, ((_, kept), (_, built))) in self.derived.iter().zip(&fresh.derived).enumerate() {
            if !kept.same_as(built.as_ref()) {
                wrong.push(format!("{}: index or tally {nth} differs from the rows", R::TABLE));
            }
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The rows of a key are a set in order, however often they cross from few to many.
        #[test]
        fn rows_of_a_key_are_an_ordered_set(
            steps in prop::collection::vec((any::<bool>(), 0..24u64), 1..200),
            after in prop::option::of(0..24u64),
        ) {
            let mut rows = Rows::Few([].into());
            let mut model = BTreeSet::new();
            for (add, key) in steps {
                let key = key.to_string();
                if add {
                    rows.insert(key.clone());
                    model.insert(key);
                } else {
                    rows.remove(&key);
                    model.remove(&key);
                }
                prop_assert_eq!(rows.is_empty(), model.is_empty());
            }
            let after = after.map(|key| key.to_string());
            let kept: Vec<&String> = rows.behind(after.clone()).collect();
            let meant: Vec<&String> =
                model.iter().filter(|key| after.as_ref().is_none_or(|after| *key > after)).collect();
            prop_assert_eq!(kept, meant);
        }
    }
}

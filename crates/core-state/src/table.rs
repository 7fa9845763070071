//! One table: its rows, the indexes and tallies over them, and the order of their deadlines.

use std::any::{Any, TypeId};
use std::sync::Arc;

use core_types::Time;
use immutable_chunkmap::map::Map;
use immutable_chunkmap::set::Set;

use crate::row::{Declare, Index, Row, RowKey, Tally};
use crate::state::LoadError;

/// Entries a tree node holds. Small enough that copying one on write is cheap, large enough that
/// 10^5 rows are a shallow tree.
const CHUNK: usize = 64;

pub(crate) type AnyRow = Arc<dyn Any + Send + Sync>;

/// Kept beside the rows by every put: an index or a tally, its key type hidden.
trait Derived<R: Row>: Any + Send + Sync {
    fn replace(&mut self, before: Option<&R>, after: Option<&R>);
    fn clone_box(&self) -> Box<dyn Derived<R>>;
    fn same_as(&self, other: &dyn Derived<R>) -> bool;
    fn as_any(&self) -> &dyn Any;
}

struct IndexOf<I: Index> {
    entries: Set<(I::Key, <I::Row as Row>::Key), CHUNK>,
}

impl<I: Index> Derived<I::Row> for IndexOf<I> {
    fn replace(&mut self, before: Option<&I::Row>, after: Option<&I::Row>) {
        let keys_of = |row: Option<&I::Row>| {
            let mut keys = Vec::new();
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
            for key in old {
                self.entries.remove_cow(&(key, row.key()));
            }
        }
        if let Some(row) = after {
            for key in new {
                self.entries.insert_cow((key, row.key()));
            }
        }
    }

    fn clone_box(&self) -> Box<dyn Derived<I::Row>> {
        Box::new(IndexOf::<I> { entries: self.entries.clone() })
    }

    fn same_as(&self, other: &dyn Derived<I::Row>) -> bool {
        other.as_any().downcast_ref::<Self>().is_some_and(|o| o.entries == self.entries)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct TallyOf<T: Tally> {
    sums: Map<T::Key, i64, CHUNK>,
}

impl<T: Tally> Derived<T::Row> for TallyOf<T> {
    fn replace(&mut self, before: Option<&T::Row>, after: Option<&T::Row>) {
        let mut deltas: Vec<(T::Key, i64)> = Vec::new();
        let mut merge = |key: T::Key, n: i64| match deltas.iter_mut().find(|(k, _)| *k == key) {
            Some((_, sum)) => *sum += n,
            None => deltas.push((key, n)),
        };
        if let Some(row) = before {
            T::counts(row, &mut |key, n| merge(key, -n));
        }
        if let Some(row) = after {
            T::counts(row, &mut merge);
        }
        for (key, delta) in deltas.into_iter().filter(|(_, delta)| *delta != 0) {
            let sum = self.sums.get(&key).copied().unwrap_or(0) + delta;
            if sum == 0 {
                self.sums.remove_cow(&key);
            } else {
                self.sums.insert_cow(key, sum);
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
}

pub struct Table<R: Row> {
    rows: Map<R::Key, Arc<R>, CHUNK>,
    due: Set<(Time, R::Key), CHUNK>,
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
        self.derived.push((TypeId::of::<I>(), Box::new(IndexOf::<I> { entries: Set::new() })));
    }

    pub(crate) fn add_tally<T: Tally<Row = R>>(&mut self) {
        self.derived.push((TypeId::of::<T>(), Box::new(TallyOf::<T> { sums: Map::new() })));
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
        let wake = |row: &Option<Arc<R>>| row.as_ref().and_then(|row| row.wake_at());
        let (old, new) = (wake(&before), wake(&after));
        if old != new {
            if let Some(at) = old {
                self.due.remove_cow(&(at, key.clone()));
            }
            if let Some(at) = new {
                self.due.insert_cow((at, key.clone()));
            }
        }
        for (_, derived) in &mut self.derived {
            derived.replace(before.as_deref(), after.as_deref());
        }
        before
    }

    fn derived<D: 'static>(&self, of: TypeId) -> &D {
        self.derived
            .iter()
            .find(|(id, _)| *id == of)
            .and_then(|(_, derived)| derived.as_any().downcast_ref())
            .expect("an index or tally is declared by its row's `declare`")
    }

    /// Index entries of one key in row-key order, starting behind `after`.
    pub(crate) fn by<'a, I: Index<Row = R>>(
        &'a self,
        key: &I::Key,
        after: Option<&R::Key>,
    ) -> impl Iterator<Item = &'a Arc<R>> + use<'a, R, I> {
        let index: &IndexOf<I> = self.derived(TypeId::of::<I>());
        let first = (key.clone(), after.cloned().unwrap_or_else(R::Key::least));
        let (key, after) = (key.clone(), after.cloned());
        index
            .entries
            .range(first..)
            .take_while(move |(k, _)| *k == key)
            .filter(move |(_, row)| after.as_ref().is_none_or(|after| row > after))
            .map(|(_, row)| self.rows.get(row).expect("an index names only rows that exist"))
    }

    /// All entries of an index from `first` on, in index order.
    pub(crate) fn by_range<'a, I: Index<Row = R>>(
        &'a self,
        first: I::Key,
    ) -> impl Iterator<Item = (&'a I::Key, &'a Arc<R>)> + use<'a, R, I> {
        let index: &IndexOf<I> = self.derived(TypeId::of::<I>());
        index.entries.range((first, R::Key::least())..).map(|(key, row)| {
            (key, self.rows.get(row).expect("an index names only rows that exist"))
        })
    }

    pub(crate) fn sum<T: Tally<Row = R>>(&self, key: &T::Key) -> i64 {
        self.derived::<TallyOf<T>>(TypeId::of::<T>()).sums.get(key).copied().unwrap_or(0)
    }

    pub(crate) fn sums<T: Tally<Row = R>>(
        &self,
        first: T::Key,
    ) -> impl Iterator<Item = (&T::Key, i64)> {
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

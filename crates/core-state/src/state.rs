//! All tables together, at one revision.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::Arc;

use core_types::Time;

use crate::kept::{Kept, Trace};
use crate::row::{Index, Row, Tally};
use crate::table::{AnyRow, AnyTable, Table};
use crate::tx::Change;

/// A table's place in the schema; stable within a process only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableId(pub(crate) u16);

/// Why a stored row could not be taken back.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("table {0:?} is not known to this version of wharf")]
    UnknownTable(String),
    #[error(
        "{table}: a row of format {version} was written by a newer wharf (this one knows up to {known})"
    )]
    Newer { table: &'static str, version: u32, known: u32 },
    #[error("{table} {key}: {reason}")]
    Row { table: &'static str, key: String, reason: String },
}

/// One row as the journal carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedChange {
    pub table: &'static str,
    pub version: u32,
    pub key: Vec<u8>,
    /// `None`: the row was deleted.
    pub value: Option<Vec<u8>>,
}

/// The list of tables, collected from the slices at start.
#[derive(Default)]
pub struct SchemaBuilder {
    tables: Vec<Arc<dyn AnyTable>>,
    places: HashMap<TypeId, TableId>,
}

impl SchemaBuilder {
    pub fn table<R: Row>(&mut self) -> &mut Self {
        let id = TableId(u16::try_from(self.tables.len()).expect("there are few tables"));
        let taken = self.tables.iter().any(|table| table.name() == R::TABLE);
        assert!(!taken, "two tables are named {}", R::TABLE);
        self.places.insert(TypeId::of::<R>(), id);
        self.tables.push(Arc::new(Table::<R>::new()));
        self
    }

    pub fn build(self) -> State {
        let names = self.tables.iter().enumerate();
        let by_name = names.map(|(i, t)| (t.name(), TableId(i as u16))).collect();
        State {
            schema: Arc::new(Schema { places: self.places, by_name }),
            tables: self.tables,
            rev: 0,
            kept: Kept::default(),
        }
    }
}

/// Where each row type lives.
pub struct Schema {
    places: HashMap<TypeId, TableId>,
    by_name: HashMap<&'static str, TableId>,
}

/// Every row of the control plane at one revision. A clone is cheap and never changes.
#[derive(Clone)]
pub struct State {
    schema: Arc<Schema>,
    tables: Vec<Arc<dyn AnyTable>>,
    rev: u64,
    kept: Kept,
}

impl State {
    pub fn rev(&self) -> u64 {
        self.rev
    }

    pub fn set_rev(&mut self, rev: u64) {
        self.rev = rev;
    }

    pub(crate) fn place<R: Row>(&self) -> TableId {
        let place = self.schema.places.get(&TypeId::of::<R>());
        *place.unwrap_or_else(|| panic!("{} is in no slice's list of tables", R::TABLE))
    }

    fn table<R: Row>(&self) -> &Table<R> {
        let table = &self.tables[usize::from(self.place::<R>().0)];
        table.as_any().downcast_ref().expect("a place holds the table of its type")
    }

    pub(crate) fn table_mut(&mut self, id: TableId) -> &mut dyn AnyTable {
        let slot = &mut self.tables[usize::from(id.0)];
        if Arc::get_mut(slot).is_none() {
            // A reader or an undurable revision still holds the old image.
            *slot = slot.clone_table();
        }
        Arc::get_mut(slot).expect("the table was just copied")
    }

    pub(crate) fn typed_mut<R: Row>(&mut self) -> (TableId, &mut Table<R>) {
        let id = self.place::<R>();
        let table = self.table_mut(id).as_any_mut().downcast_mut();
        (id, table.expect("a place holds the table of its type"))
    }

    pub fn get<R: Row>(&self, key: &R::Key) -> Option<&R> {
        self.table::<R>().get(key).map(|row| &**row)
    }

    pub fn get_shared<R: Row>(&self, key: &R::Key) -> Option<&Arc<R>> {
        self.table::<R>().get(key)
    }

    pub fn count<R: Row>(&self) -> usize {
        self.table::<R>().len()
    }

    /// Every row in key order. For audits and start-up; an action names an index instead.
    pub fn all<R: Row>(&self) -> impl DoubleEndedIterator<Item = &R> {
        self.table::<R>().rows().map(|row| &**row)
    }

    /// Rows in key order, from `first` on; the caller stops where its prefix ends.
    pub fn scan<R: Row>(&self, first: R::Key) -> impl DoubleEndedIterator<Item = &R> {
        self.table::<R>().from(first).map(|row| &**row)
    }

    /// Rows of one index key, in row-key order.
    pub fn by<'a, I: Index>(
        &'a self,
        key: &I::Key,
    ) -> impl Iterator<Item = &'a I::Row> + use<'a, I> {
        self.table::<I::Row>().by::<I>(key, None).map(|row| &**row)
    }

    /// Like [`State::by`], starting behind the row `after`: the next page of a list.
    pub fn by_after<'a, I: Index>(
        &'a self,
        key: &I::Key,
        after: &<I::Row as Row>::Key,
    ) -> impl Iterator<Item = &'a I::Row> + use<'a, I> {
        self.table::<I::Row>().by::<I>(key, Some(after)).map(|row| &**row)
    }

    /// Entries of an index in index order, from `first` on.
    pub fn by_range<I: Index>(
        &self,
        first: I::Key,
    ) -> impl Iterator<Item = (&I::Key, &I::Row)> + use<'_, I> {
        self.table::<I::Row>().by_range::<I>(first).map(|(key, row)| (key, &**row))
    }

    pub fn sum<T: Tally>(&self, key: &T::Key) -> T::Sum {
        self.table::<T::Row>().sum::<T>(key)
    }

    /// Sums in key order, from `first` on.
    pub fn sums<T: Tally>(&self, first: T::Key) -> impl Iterator<Item = (&T::Key, T::Sum)> {
        self.table::<T::Row>().sums::<T>(first)
    }

    /// What is kept beside this state, if it has been built here.
    pub fn kept<K: 'static>(&self) -> Option<&K> {
        self.kept.get()
    }

    pub(crate) fn kept_mut(&mut self) -> &mut Kept {
        &mut self.kept
    }

    /// Whether it was touched since the trace was last taken; None where it never was.
    pub fn is_touched<T: Trace>(&self, key: &T::Key) -> Option<bool> {
        Some(self.table::<T::Row>().touched::<T>()?.contains(key))
    }

    pub(crate) fn take_touched<T: Trace>(&mut self) -> Option<Vec<T::Key>> {
        let touched = self.table::<T::Row>().touched::<T>();
        let touched = touched.map(|all| all.into_iter().cloned().collect::<Vec<_>>());
        if touched.as_ref().is_none_or(|all| !all.is_empty()) {
            self.typed_mut::<T::Row>().1.forget_touched::<T>();
        }
        touched
    }

    /// Take one stored row or deletion.
    pub fn load(
        &mut self,
        table: &str,
        version: u32,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), LoadError> {
        let id = self.schema.by_name.get(table);
        let id = *id.ok_or_else(|| LoadError::UnknownTable(table.to_string()))?;
        self.table_mut(id).load(version, key, value)
    }

    /// A change list as the journal carries it: the last image of each row, each row once.
    pub fn encode(&self, changes: &[Change]) -> Vec<EncodedChange> {
        let mut seen = std::collections::BTreeSet::new();
        let mut encoded = Vec::with_capacity(changes.len());
        for change in changes.iter().rev() {
            let table = &self.tables[usize::from(change.table.0)];
            let row = change.after.as_ref().or(change.before.as_ref());
            let key = table.encode_key(row.expect("a change has an image"));
            if changes.len() > 1 && !seen.insert((change.table, key.clone())) {
                continue;
            }
            encoded.push(EncodedChange {
                table: table.name(),
                version: table.version(),
                key,
                value: change.after.as_ref().map(|row| table.encode_row(row)),
            });
        }
        encoded.reverse();
        encoded
    }

    /// Every row as the journal's snapshots carry it.
    pub fn encode_all(&self, visit: &mut dyn FnMut(EncodedChange)) {
        for table in &self.tables {
            table.each(&mut |row| {
                visit(EncodedChange {
                    table: table.name(),
                    version: table.version(),
                    key: table.encode_key(&row),
                    value: Some(table.encode_row(&row)),
                });
            });
        }
    }

    /// What differs from an older state in one table, in key order. Rows that both share are known
    /// by their place in memory, so this costs a walk and no comparison.
    pub fn changes_since<R: Row>(&self, older: &State) -> Vec<Change> {
        let table = self.place::<R>();
        let mut changes = Vec::new();
        let mut old = older.table::<R>().rows().map(|row| (row.key(), row)).peekable();
        let mut add = |before: Option<&Arc<R>>, after: Option<&Arc<R>>| {
            let any = |row: &Arc<R>| row.clone() as AnyRow;
            changes.push(Change { table, before: before.map(any), after: after.map(any) });
        };
        for row in self.table::<R>().rows() {
            let key = row.key();
            while let Some((_, gone)) = old.next_if(|(old, _)| *old < key) {
                add(Some(gone), None);
            }
            match old.next_if(|(old, _)| *old == key) {
                Some((_, same)) if Arc::ptr_eq(same, row) => {}
                known => add(known.map(|(_, row)| row), Some(row)),
            }
        }
        old.for_each(|(_, gone)| add(Some(gone), None));
        changes
    }

    /// Every row as a change onto itself, so that all loops look at all rows.
    pub fn touch_all(&self, visit: &mut dyn FnMut(Change)) {
        self.touch(visit, |table, each| table.each(each));
    }

    /// Rows whose deadline has come, each as a change onto itself.
    pub fn touch_due(&self, now: Time, visit: &mut dyn FnMut(Change)) {
        self.touch(visit, |table, each| table.due(now, each));
    }

    fn touch(
        &self,
        visit: &mut dyn FnMut(Change),
        rows: impl Fn(&dyn AnyTable, &mut dyn FnMut(AnyRow)),
    ) {
        for (i, table) in self.tables.iter().enumerate() {
            rows(table.as_ref(), &mut |row| {
                let row = Some(row);
                visit(Change { table: TableId(i as u16), before: row.clone(), after: row });
            });
        }
    }

    /// The earliest deadline of any row.
    pub fn next_wake(&self) -> Option<Time> {
        self.tables.iter().filter_map(|table| table.next_wake()).min()
    }

    /// Rows by table, for figures.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.tables.iter().map(|table| (table.name(), table.count()))
    }

    /// Rebuild everything derived from rows and compare. Empty when all is well.
    pub fn audit(&self) -> Vec<String> {
        self.tables.iter().flat_map(|table| table.audit()).collect()
    }

    pub(crate) fn set_image(
        &mut self,
        id: TableId,
        was: &Option<AnyRow>,
        becomes: &Option<AnyRow>,
    ) {
        self.table_mut(id).set_image(was, becomes);
    }
}

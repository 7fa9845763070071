//! What a slice declares of its rows: key, version, deadline, indexes and tallies.

use std::fmt::Debug;
use std::sync::Arc;

use core_types::{AccountId, Id128, Region, Scope, Time};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::kept::Trace;
use crate::table::Table;

/// A row's key: ordered, cheap to clone, with a least value so that a prefix can be scanned.
pub trait RowKey:
    Ord + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// No key orders before this one.
    fn least() -> Self;
}

macro_rules! least {
    ($($t:ty => $least:expr),* $(,)?) => {$(
        impl RowKey for $t {
            fn least() -> Self { $least }
        }
    )*};
}
least! {
    () => (), bool => false, u8 => 0, u16 => 0, u32 => 0, u64 => 0, i64 => i64::MIN,
    Arc<str> => Arc::from(""), String => String::new(),
    Id128 => Id128([0; 16]), AccountId => AccountId::default(), Region => Region::default(),
    Scope => Scope::default(), Time => Time(i64::MIN),
}

impl<T: RowKey> RowKey for Option<T> {
    fn least() -> Self {
        None
    }
}

macro_rules! least_of_tuples {
    ($(($($t:ident),+)),*) => {$(
        impl<$($t: RowKey),+> RowKey for ($($t,)+) {
            fn least() -> Self { ($($t::least(),)+) }
        }
    )*};
}
least_of_tuples!((A, B), (A, B, C), (A, B, C, D));

/// A kind of row, owned by one slice.
///
/// On disk a row is JSON under its table's name with the format's `VERSION`. New optional members
/// need no new version (`#[serde(default)]`); anything else raises it and teaches `upgrade`.
pub trait Row:
    Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    type Key: RowKey;
    const TABLE: &'static str;
    const VERSION: u32 = 1;

    fn key(&self) -> Self::Key;

    /// When loops that watch this table must look at the row again, if nothing else happens.
    fn wake_at(&self) -> Option<Time> {
        None
    }

    /// Name the indexes and tallies of this table.
    fn declare(_: &mut Declare<'_, Self>) {}

    /// Turn a row written by an older format into one of the next format; called once a version.
    fn upgrade(from: u32, _: serde_json::Value) -> Result<serde_json::Value, String> {
        Err(format!("{} rows of format {from} are not known", Self::TABLE))
    }
}

/// A second order over a table: zero or more keys a row.
pub trait Index: 'static {
    type Row: Row;
    type Key: RowKey;
    fn keys(row: &Self::Row, add: &mut dyn FnMut(Self::Key));
}

/// Sums over a table, kept current by every put: how many tasks of this service run, and so on.
///
/// Sums that change together stand together: each key that a put touches is a path in a tree.
pub trait Tally: 'static {
    type Row: Row;
    type Key: RowKey;
    type Sum: Sum;
    fn counts(row: &Self::Row, add: &mut dyn FnMut(Self::Key, Self::Sum));
}

/// What a tally adds up. The default is nothing, and is not kept.
pub trait Sum: Copy + Default + PartialEq + Send + Sync + 'static {
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
}

impl Sum for i64 {
    fn plus(self, other: i64) -> i64 {
        self + other
    }

    fn minus(self, other: i64) -> i64 {
        self - other
    }
}

/// Collects what [`Row::declare`] names.
pub struct Declare<'a, R: Row> {
    pub(crate) table: &'a mut Table<R>,
}

impl<R: Row> Declare<'_, R> {
    pub fn index<I: Index<Row = R>>(&mut self) {
        self.table.add_index::<I>();
    }

    pub fn tally<T: Tally<Row = R>>(&mut self) {
        self.table.add_tally::<T>();
    }

    pub fn trace<T: Trace<Row = R>>(&mut self) {
        self.table.add_trace::<T>();
    }
}

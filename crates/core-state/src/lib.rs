//! State: typed tables in memory with declared indexes and tallies, and transactions over them.
//!
//! Three ideas carry it:
//! * Tables are persistent (copy-on-write) ordered maps, so a clone of the whole [`State`] is a
//!   handful of reference counts. A reader takes the clone of a revision and is never in the way.
//! * [`Tx::put`] keeps the before-image. Undo replays the list backwards, commit hands the same
//!   list on as the change feed. A put that changes nothing leaves no entry.
//! * A deadline is a field of a row ([`Row::wake_at`]); the table keeps the order. There is no
//!   timer anywhere that could be lost.

mod kept;
mod row;
mod state;
mod table;
mod tx;

pub use kept::Trace;
pub use row::{Declare, Index, Row, RowKey, Sum, Tally};
pub use state::{EncodedChange, LoadError, Schema, SchemaBuilder, State, TableId};
pub use tx::{Change, Tx};

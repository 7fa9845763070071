//! The words every pure crate shares: time, accounts, regions, scopes, ids and ARNs.
//!
//! The idea: small `Copy` values that order and print the same everywhere, so that they can be
//! parts of row keys. Nothing here knows a service.

mod arn;
mod dice;
mod ids;
mod scope;
mod time;

pub use arn::{Arn, ArnError};
pub use dice::Dice;
pub use ids::Id128;
pub use scope::{AccountId, PARTITION, Region, Scope, ScopeError};
pub use time::Time;

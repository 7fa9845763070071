//! The cluster query language, with instants as AWS writes them.

use aws_protocol::Timestamp;
use core_placement::BadQuery;
pub use core_placement::{Facts, Query};
use core_types::Time;

pub fn parse(text: &str) -> Result<Query, BadQuery> {
    Query::parse(text, |text| Some(Time(Timestamp::parse_any(text)?.as_millis())))
}

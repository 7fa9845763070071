//! Rules: names, defaults and limits, as AWS has them.

pub mod clusters;
pub mod lists;
pub mod tags;

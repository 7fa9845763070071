//! Rules, one file a topic.

pub mod listing;
pub mod vpc;
pub mod zones;

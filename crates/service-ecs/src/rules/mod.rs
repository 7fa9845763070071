//! Rules: names, defaults and limits, as AWS has them.

pub mod clusters;
pub mod lists;
pub mod query;
pub mod settings;
pub mod tags;
pub mod task_definition;
pub mod task_definitions;

//! Rules: names, defaults and limits, as AWS has them.

pub mod capacity_providers;
pub mod clusters;
pub mod lists;
pub mod query;
pub mod settings;
pub mod strategy;
pub mod tags;
pub mod task_definition;
pub mod task_definitions;

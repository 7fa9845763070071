//! Rules: names, defaults and limits, as AWS has them.

pub mod attributes;
pub mod capacity_providers;
pub mod changes;
pub mod clusters;
pub mod daemon_task_definitions;
pub mod instances;
pub mod interfaces;
pub mod launch;
pub mod life;
pub mod lists;
pub mod overrides;
pub mod placing;
pub mod protection;
pub mod query;
pub mod resources;
pub mod settings;
pub mod strategy;
pub mod tagged;
pub mod tags;
pub mod task_definition;
pub mod task_definitions;
pub mod tasks;
pub mod timing;
pub mod unsupported;

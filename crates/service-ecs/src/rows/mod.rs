//! Rows: what the slice remembers, one file a table.

pub mod account_setting;
pub mod alarm;
pub mod capacity_provider;
pub mod cluster;
pub mod container_instance;
pub mod daemon;
pub mod daemon_history;
pub mod daemon_task_definition;
pub mod exec_session;
pub mod managed_scaling;
pub mod progress;
pub mod run_token;
pub mod service;
pub mod service_history;
pub mod service_tasks;
pub mod task;
pub mod task_definition;
mod task_indexes;
pub mod task_set;
pub mod timing;
pub mod waiting;

//! The list of tables.

use core_state::SchemaBuilder;

use crate::rows::account_setting::AccountSetting;
use crate::rows::alarm::Alarm;
use crate::rows::capacity_provider::CapacityProvider;
use crate::rows::cluster::Cluster;
use crate::rows::container_instance::ContainerInstance;
use crate::rows::daemon::Daemon;
use crate::rows::daemon_history::{DaemonDeployment, DaemonRevision};
use crate::rows::daemon_task_definition::{DaemonFamily, DaemonTaskDefinition};
use crate::rows::exec_session::ExecSession;
use crate::rows::managed_scaling::ManagedScaling;
use crate::rows::run_token::RunToken;
use crate::rows::service::Service;
use crate::rows::service_history::{DeploymentRecord, ServiceEvent, ServiceRevision};
use crate::rows::task::Task;
use crate::rows::task_definition::{Family, TaskDefinition};
use crate::rows::task_set::TaskSet;
use crate::rows::timing::Timing;

pub fn declare(schema: &mut SchemaBuilder) {
    schema.table::<AccountSetting>();
    schema.table::<Alarm>();
    schema.table::<CapacityProvider>();
    schema.table::<Cluster>();
    schema.table::<ContainerInstance>();
    schema.table::<Daemon>();
    schema.table::<DaemonDeployment>();
    schema.table::<DaemonFamily>();
    schema.table::<DaemonRevision>();
    schema.table::<DaemonTaskDefinition>();
    schema.table::<DeploymentRecord>();
    schema.table::<ExecSession>();
    schema.table::<Family>();
    schema.table::<ManagedScaling>();
    schema.table::<RunToken>();
    schema.table::<Service>();
    schema.table::<ServiceEvent>();
    schema.table::<ServiceRevision>();
    schema.table::<Task>();
    schema.table::<TaskDefinition>();
    schema.table::<TaskSet>();
    schema.table::<Timing>();
}

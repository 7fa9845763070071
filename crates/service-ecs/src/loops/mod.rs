//! The list of loops: one file each.

use core_step::{LoopDef, loop_def};

mod daemon_hosts;
mod daemons;
mod deleted_task_definitions;
mod hosts;
mod managed_scaling;
mod retired;
mod services;
mod shifts;
mod task_sets;
mod tasks;
mod terminations;
mod waiting;

use crate::rows::capacity_provider::CapacityProvider;
use crate::rows::cluster::Cluster;
use crate::rows::container_instance::ContainerInstance;
use crate::rows::daemon_task_definition::DaemonTaskDefinition;
use crate::rows::exec_session::ExecSession;
use crate::rows::run_token::RunToken;

pub const LOOPS: &[LoopDef] = &[
    loop_def::<deleted_task_definitions::DeletedTaskDefinitions>(),
    loop_def::<hosts::Hosts>(),
    loop_def::<tasks::Tasks>(),
    // Before services: a daemon has its place first.
    loop_def::<daemons::Daemons>(),
    loop_def::<daemon_hosts::DaemonHosts>(),
    // And what waits has it before what is new.
    loop_def::<waiting::Waiting>(),
    loop_def::<services::Services>(),
    loop_def::<terminations::Terminations>(),
    loop_def::<managed_scaling::ManagedScaling>(),
    loop_def::<retired::Forget<CapacityProvider>>(),
    loop_def::<retired::Forget<Cluster>>(),
    loop_def::<retired::Forget<ContainerInstance>>(),
    loop_def::<retired::Forget<DaemonTaskDefinition>>(),
    loop_def::<retired::Forget<ExecSession>>(),
    loop_def::<retired::Forget<RunToken>>(),
];

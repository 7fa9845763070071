//! The list of loops: one file each.

use core_step::{LoopDef, loop_def};

mod deleted_task_definitions;
mod retired_clusters;

pub const LOOPS: &[LoopDef] = &[
    loop_def::<deleted_task_definitions::DeletedTaskDefinitions>(),
    loop_def::<retired_clusters::RetiredClusters>(),
];

//! The list of loops: one file each.

use core_step::{LoopDef, loop_def};

mod retired_clusters;

pub const LOOPS: &[LoopDef] = &[loop_def::<retired_clusters::RetiredClusters>()];

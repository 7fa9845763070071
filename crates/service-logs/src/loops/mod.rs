//! The list of loops: one file each.

use core_step::{LoopDef, loop_def};

mod orphans;

pub const LOOPS: &[LoopDef] = &[loop_def::<orphans::Orphans>()];

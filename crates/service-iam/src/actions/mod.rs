//! The list of actions: one file each.

use core_step::Action;

pub const ACTIONS: &[Action] = &[];

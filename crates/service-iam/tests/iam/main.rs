//! IAM's actions with policies enforced.

#![allow(clippy::unwrap_used)]

#[path = "../world/mod.rs"]
mod world;

mod access;
mod account;
mod entities;
mod policies;
mod refusals;
mod simulator;

use core_step::Slice;
use world::World;

fn world() -> World {
    static SLICES: &[&Slice] = &[&service_iam::SLICE];
    World::of(SLICES)
}

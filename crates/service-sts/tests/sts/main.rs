//! STS with IAM's policies enforced: sessions, what they may do, and how they end.

#![allow(clippy::unwrap_used)]

#[path = "../../../service-iam/tests/world/mod.rs"]
mod world;

mod assume;
mod federation;
mod sessions;

use core_step::Slice;
use world::World;

fn world() -> World {
    static SLICES: &[&Slice] = &[&service_iam::SLICE, &service_sts::SLICE];
    World::of(SLICES)
}

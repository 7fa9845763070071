//! The one list of services.

use std::sync::Arc;

use core_step::{Registry, Slice};

/// In the order of who may ask whom: a slice only knows those before it.
static SLICES: &[&Slice] = &[&service_iam::SLICE, &service_sts::SLICE, &service_ecs::SLICE];

pub fn registry() -> Arc<Registry> {
    Registry::new(SLICES, Box::new(service_iam::IamIdentity))
}

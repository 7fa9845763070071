//! Images on a host: fetched from registries, loaded from archives or built from folders, kept once
//! for all, unpacked safely into directories that overlayfs stacks.
//!
//! The store is files under one directory and no daemon. Content is named by its digest and appears
//! by rename, so nothing half is ever seen; locks end with the process that held them, so several
//! agents share a store, and any of them may die at any time.

mod behavior;
mod build;
mod digest;
mod error;
mod files;
mod leases;
mod load;
mod pack;
mod pull;
mod reference;
mod registry;
mod save;
pub mod spec;
mod store;
mod sweep;
mod table;
mod tarstream;
mod unpack;

pub use behavior::{BadBehavior, PullBehavior, PullPlan};
pub use build::{Copy, HealthRecipe, Port, Recipe};
pub use digest::{BadDigest, Digest};
pub use error::{Error, Result};
pub use pull::{Listener, Progress, PullOptions, Stage, error_name};
pub use reference::{BadReference, Reference};
pub use registry::{Credentials, CredentialsError, Registry, RegistryError, Resolved, Settings};
pub use store::{Image, Store};
pub use sweep::{Policy, Removed, Swept};
pub use unpack::{Limits, UnpackError};

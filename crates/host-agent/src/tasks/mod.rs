//! The tasks of this host: what was given, one actor for each, and the door through which the plane's
//! messages come in.

mod actor;
mod ended;
pub mod firelens;
mod given;
mod keeper;
mod submit;

pub use ended::Remembered;
pub use given::{Given, NetworkMode, Record};
pub use keeper::{Credentials, Live, Parts, Tasks, TasksError, random};

//! One suite for all runtimes. Each test makes a runtime of its own with a name that no other test
//! has, and looks afterwards whether anything is left of it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod hostile;
mod life;
mod world;

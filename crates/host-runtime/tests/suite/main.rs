//! One suite for all runtimes. Each test makes a runtime of its own with a name that no other test
//! has, and looks afterwards whether anything is left of it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

/// Tests for all runtimes: each for those without a daemon, and all of them in one with Docker's.
macro_rules! suite {
    ($($name:ident)*) => {
        mod each {
            $(#[test] fn $name() { crate::world::on_all(super::$name); })*
        }

        pub fn all() -> Vec<(&'static str, crate::world::Test)> {
            vec![$((stringify!($name), Box::new(|world| Box::pin($name(world))))),*]
        }
    };
}

/// Tests of what only the embedded runtime has.
macro_rules! embedded_alone {
    ($($name:ident)*) => {
        mod embedded {
            use crate::world::{Kind, on};

            $(#[test] fn $name() { on(Kind::Embedded, super::$name); })*
        }
    };
}

/// How long a test waits before it looks for its condition again.
const BETWEEN_LOOKS: std::time::Duration = std::time::Duration::from_millis(5);

mod daemon;
mod docker;
mod hostile;
mod life;
mod world;

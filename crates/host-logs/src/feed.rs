//! A container's output as drivers see it.

use crate::{Later, LogError};

/// Which of its two outputs a container wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Stdout,
    Stderr,
}

/// A piece of output, without its line's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub source: Source,
    /// Nanoseconds since 1970.
    pub at: i64,
    pub text: Vec<u8>,
    /// The text goes on in the next line of the same source.
    pub partial: bool,
}

impl Line {
    pub fn millis(&self) -> i64 {
        self.at.div_euclid(1_000_000)
    }
}

/// A place in a container's output, as the runtime counts: worth keeping, and ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub major: u64,
    pub minor: u64,
}

/// What a container writes, from where the last acknowledgement left off.
pub trait Feed: Send {
    /// The next lines, each with the position behind it; waits for some. None: the container has
    /// ended and all has been read. Who stops waiting loses none.
    fn next(&mut self) -> Later<'_, Result<Vec<(Line, Position)>, LogError>>;

    /// All before this is delivered, and need not be kept.
    fn acknowledge(&mut self, position: Position) -> Later<'_, Result<(), LogError>>;
}

//! The engine: two threads between pure core and the world.
//!
//! The *core thread* owns [`core_step::Core`]: it drains its bounded queue, steps a batch and hands
//! the result on without waiting. The *journal thread* makes batches durable (many in one sync),
//! then publishes the new state, then answers. So a caller's next read sees its write, and while
//! one batch syncs the next is being stepped. What cannot be made durable is undone: core goes
//! back to the last durable state and everyone who was waiting is told why.

mod clock;
mod core_thread;
mod feed;
mod figures;
mod handle;
mod journal_thread;
mod sink;

pub use clock::Clock;
pub use feed::{Feed, News};
pub use figures::{Figures, FiguresNow};
pub use handle::{Engine, Options, Published, Refusal, StartError};
pub use plane_journal::{LeaderInfo, Role};

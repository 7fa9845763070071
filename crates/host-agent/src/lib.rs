//! The agent of one host: it takes tasks from the control plane, makes containers of them, and tells
//! what becomes of them.
//!
//! What to do next is decided by `engine`, which knows no clock and no I/O: a task's specification,
//! what is observed, and the time go in, steps come out. Everything else carries steps out.

pub mod engine;

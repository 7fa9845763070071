//! A task's life as a plain machine: what an observation does to what is known.
//!
//! A task is one-shot and its observed status only grows. Reports come late, twice and out of
//! order (an agent repeats a terminal state for a day), so an observation is a *join*: taking it
//! again, or after a later one, changes nothing. What the plane wants is a second, separate field.

mod observe;
mod status;

pub use observe::{
    Binding, ContainerReport, ContainerState, Effect, Ports, TaskReport, TaskState, observe,
};
pub use status::{ContainerStatus, Desired, TaskStatus};

//! What a control plane and an ECS agent say to each other, as types without sockets or clocks.
//!
//! Both ends of Wharf use these: the plane's links and `wharf agent`. The stock amazon-ecs-agent speaks
//! the same words, so they are AWS's, unaltered: camelCase members, and what is absent is omitted.
//! Members that nobody here knows are ignored, and so are message types: either end may be newer.
//!
//! - [`acs`]: the control plane's pushes and the agent's acknowledgements.
//! - [`task`]: the task as the agent is given it; [`docker`]: the two JSON strings inside its containers.
//! - [`tcs`]: metrics, container health and the instance's status, in frames that are signed.
//! - [`paths`]: where on a server the sockets are.
//! - [`exec`]: both ends of such a session, as machines that numbers and acknowledgements drive.
//! - [`channel`]: the binary data channel of an ExecuteCommand session, as session-manager-plugin speaks it.

mod shape;

pub mod acs;
pub mod channel;
pub mod docker;
pub mod exec;
pub mod frame;
pub mod paths;
pub mod task;
pub mod tcs;

pub use frame::FrameError;

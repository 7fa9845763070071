//! The control plane's links to hosts.
//!
//! An agent dials; the plane pushes. What is pushed is never an event that could be lost: a link looks at
//! the rows of its instance, compares them with what this connection was told, and tells the difference.
//! A change of a row only wakes the one link that it concerns ([`World::concerned`]); a link that missed
//! something looks at everything. So a reconnect, a restart and a lost message are all the same case.
//!
//! - [`World`]: what the rows say and where reports go. The binary implements it; nothing here knows a slice.
//! - [`Links`]: all connections, the gateway's door to them, and the feed that wakes them.
//! - `acs`, `delivery`: one agent's socket, and what it has been told.
//! - `tcs`, [`Telemetry`]: what agents measure.
//! - `exec`: ExecuteCommand sessions, the client's side paired with the host's.

mod acs;
mod credentials;
mod delivery;
mod exec;
mod links;
mod mailbox;
mod socket;
mod tcs;
mod telemetry;
mod world;

pub use links::{Links, Pace};
pub use telemetry::{ContainerFigures, LastFigures, TaskFigures, Telemetry};
pub use world::{
    Agent, Assignment, Credentials, Desired, ExecSession, Future, Issued, Poll, RoleType, Told,
    Touched, Want, World,
};

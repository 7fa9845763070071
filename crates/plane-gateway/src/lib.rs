//! The gateway: HTTP in, AWS answers out.
//!
//! A request passes named phases, each of which can answer and end it: bound the body, route,
//! authenticate, decode, then either read on a published revision or go through core. Nothing
//! before `authenticate` touches state, and nothing unauthenticated reaches an action.

mod admin;
mod authenticate;
mod figures;
mod phases;
mod serve;

pub use phases::{Gateway, Limits};
pub use serve::Serving;

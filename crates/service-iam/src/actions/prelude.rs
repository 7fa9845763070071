//! What nearly every action's file names.

pub use aws_protocol::ApiError;
pub use core_state::Tx;
pub use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View, WriteAction};
pub use model_iam::{self as api, errors};

pub(crate) use crate::rows::entity::{Entity, Holder, Key, fold, key_of};
pub(crate) use crate::rules::entities::{demand, demand_bounded, find, find_own};
pub(crate) use crate::rules::lists::{Asked, Page};
pub(crate) use crate::rules::tagged::demand_tagged;
pub(crate) use crate::rules::{entities, names, policies, tags};
pub(crate) use crate::views;

/// What running an operation gives.
pub type Reply<O> = Result<Output<O>, ApiError>;

/// A member that the model requires: the gateway lets no input through without it.
pub fn text(member: &Option<String>) -> &str {
    member.as_deref().unwrap_or_default()
}

//! What neighbours may ask.

use core_state::State;
use core_types::{Id128, Scope};

use crate::rows::group::{GroupById, LogGroup};
use crate::rows::stream::{LogStream, StreamById};

/// A stream by its id; lines of a stream that is gone are not shown.
pub fn stream(state: &State, id: Id128) -> Option<&LogStream> {
    state.by::<StreamById>(&id).next()
}

pub fn group(state: &State, id: Id128) -> Option<&LogGroup> {
    state.by::<GroupById>(&id).next()
}

pub fn group_named<'s>(state: &'s State, scope: Scope, name: &str) -> Option<&'s LogGroup> {
    state.get::<LogGroup>(&(scope, name.into()))
}

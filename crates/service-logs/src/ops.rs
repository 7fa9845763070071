//! What neighbours may ask.

use std::collections::BTreeSet;

use core_state::State;
use core_types::{Id128, Scope, Time};

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

/// The ids of all groups, each with the time before which its lines have expired.
pub fn groups(state: &State, now: Time) -> impl Iterator<Item = (Id128, Option<Time>)> + '_ {
    state.all::<LogGroup>().map(move |group| (group.id, group.expired(now)))
}

pub fn streams(state: &State, group: Id128) -> BTreeSet<Id128> {
    let rows = state.scan::<LogStream>((group, "".into()));
    rows.take_while(|row| row.key.0 == group).map(|row| row.id).collect()
}

//! What must hold in every state of the slice.

use core_state::State;
use core_step::Invariant;

use crate::rows::group::GroupById;
use crate::rows::stream::LogStream;

pub const INVARIANTS: &[Invariant] =
    &[Invariant { name: "logs/streams-have-their-group", check: streams }];

fn streams(state: &State, tell: &mut dyn FnMut(String)) {
    for stream in state.all::<LogStream>() {
        if state.by::<GroupById>(&stream.key.0).next().is_none() {
            tell(format!("{} is in group {}, which is not there", stream.name(), stream.key.0));
        }
    }
}

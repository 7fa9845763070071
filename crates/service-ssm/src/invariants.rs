//! What must hold in every state of the slice.

use core_state::State;
use core_step::Invariant;

use crate::rows::activation::Activation;

pub const INVARIANTS: &[Invariant] =
    &[Invariant { name: "ssm/activations-are-not-overused", check: limits }];

fn limits(state: &State, tell: &mut dyn FnMut(String)) {
    for row in state.all::<Activation>().filter(|row| row.registrations > row.limit) {
        tell(format!("{} was used {} times of {}", row.id, row.registrations, row.limit));
    }
}

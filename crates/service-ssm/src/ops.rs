//! What neighbours may ask.

use core_state::State;
use core_types::Scope;

use crate::rows::managed_instance::ManagedInstance;

/// Whether a machine of this id was activated there, with this role.
pub fn is_managed(state: &State, scope: Scope, id: &str, role: &str) -> bool {
    let row = state.get::<ManagedInstance>(&id.into()).filter(|row| row.scope == scope);
    row.is_some_and(|row| row.role.rsplit('/').next() == Some(role))
}

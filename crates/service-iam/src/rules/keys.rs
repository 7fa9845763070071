//! Whose access keys an action is about.

use aws_protocol::ApiError;
use core_state::State;
use core_step::{Call, Demand};
use model_iam::errors;

use super::entities::{find, user_or_caller};
use super::tagged::demand_tagged;
use crate::rows::access_key::{AccessKey, Owner};
use crate::rows::entity::fold;
use crate::rows::user::User;

/// The owner that is named, or the caller, with the name to show. The root user has none.
pub fn owner(
    state: &State,
    call: &Call,
    given: Option<&str>,
) -> Result<(Owner, Option<String>), ApiError> {
    match user_or_caller(call, given)? {
        Some(name) => {
            let user = find::<User>(state, call.account(), name)?;
            Ok((Owner::User(fold(&user.head.name)), Some(user.head.name.to_string())))
        }
        None => Ok((Owner::Root, None)),
    }
}

pub fn demand(state: &State, call: &Call, action: &'static str, given: Option<&str>) -> Demand {
    match user_or_caller(call, given) {
        Ok(Some(name)) => demand_tagged::<User>(state, call, action, name),
        Ok(None) => Demand::on(action, &*call.caller.arn),
        Err(_) => Demand::anywhere(action),
    }
}

/// A key of this owner, or AWS's error.
pub fn find_key<'s>(
    state: &'s State,
    call: &Call,
    owner: &Owner,
    id: &str,
) -> Result<&'s AccessKey, ApiError> {
    let row = state.get::<AccessKey>(&id.into());
    row.filter(|key| key.account == call.account() && key.owner == *owner).ok_or_else(|| {
        let text = format!("The Access Key with id {id} cannot be found.");
        errors::no_such_entity_exception(text)
    })
}

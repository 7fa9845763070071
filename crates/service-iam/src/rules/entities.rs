//! Finding users, groups, roles and instance profiles by name, or answering as AWS does.

use aws_protocol::ApiError;
use core_state::State;
use core_step::{Call, Demand, Principal};
use core_types::{AccountId, Dice, Time};
use model_iam::errors;

use crate::rows::entity::{Entity, Head, Holder, Key, Tags, key_of};
use crate::rules::names;

pub fn missing<R: Entity>(name: &str) -> ApiError {
    errors::no_such_entity_exception(R::MISSING.replace("{}", name))
}

pub fn find<'s, R: Entity<Key = Key>>(
    state: &'s State,
    account: AccountId,
    name: &str,
) -> Result<&'s R, ApiError> {
    state.get::<R>(&key_of(account, name)).ok_or_else(|| missing::<R>(name))
}

/// A holder that its owner may change.
pub fn find_own<'s, R: Holder>(
    state: &'s State,
    account: AccountId,
    name: &str,
) -> Result<&'s R, ApiError> {
    let row = find::<R>(state, account, name)?;
    check_unprotected(row)?;
    Ok(row)
}

pub fn check_unprotected<R: Holder>(row: &R) -> Result<(), ApiError> {
    if row.protected_by().is_none() {
        return Ok(());
    }
    let name = &row.head().name;
    Err(errors::unmodifiable_entity_exception(format!(
        "Cannot perform the operation on the protected role '{name}' - this role is only modifiable \
         by AWS"
    )))
}

/// A new entity's head; AWS's `/` where no path is given.
pub fn head(
    dice: &mut Dice,
    now: Time,
    account: AccountId,
    prefix: &str,
    name: &str,
    path: Option<&str>,
) -> Head {
    Head {
        account,
        name: name.into(),
        path: path.unwrap_or("/").into(),
        id: names::unique_id(dice, prefix).into(),
        // AWS shows these dates in whole seconds.
        created_at: Time(now.seconds() * 1000),
    }
}

/// The ARN a permission is asked on: that of the entity as it stands, or of what was named.
pub fn demanded_arn<R: Entity<Key = Key>>(state: &State, call: &Call, name: &str) -> String {
    match state.get::<R>(&key_of(call.account(), name)) {
        Some(row) => row.arn(),
        None => names::arn(call.account(), R::KIND, "/", name),
    }
}

/// The permission on a named holder of policies.
pub fn demand<R: Holder>(state: &State, call: &Call, action: &'static str, name: &str) -> Demand {
    let demand = Demand::on(action, demanded_arn::<R>(state, call, name));
    let row = state.get::<R>(&key_of(call.account(), name));
    match row.and_then(Holder::own_tags) {
        Some(tags) => with_resource_tags(demand, tags),
        None => demand,
    }
}

/// The same where policies may look at the holder's permissions boundary as it stands.
pub fn demand_bounded<R: Holder>(
    state: &State,
    call: &Call,
    action: &'static str,
    name: &str,
) -> Demand {
    let demand = demand::<R>(state, call, action, name);
    match state.get::<R>(&key_of(call.account(), name)).and_then(Holder::boundary) {
        Some(arn) => demand.with("iam:PermissionsBoundary", &**arn),
        None => demand,
    }
}

/// AWS: users and roles have their tags under IAM's own key as well; other resources do not.
pub fn with_resource_tags(demand: Demand, tags: &Tags) -> Demand {
    let pairs = || tags.iter().map(|(key, value)| (&**key, &**value));
    let mut demand = demand.resource_tags(pairs());
    let kind = demand.resource.splitn(6, ':').nth(5).unwrap_or_default();
    if !kind.starts_with("user/") && !kind.starts_with("role/") {
        return demand;
    }
    for (key, value) in pairs() {
        demand = demand.with(format!("iam:ResourceTag/{key}"), value);
    }
    demand
}

/// The user an action is about when none is named: the caller.
///
/// AWS: the root user may leave the name out too, and then means itself (`None` here).
pub fn user_or_caller<'n>(
    call: &'n Call,
    given: Option<&'n str>,
) -> Result<Option<&'n str>, ApiError> {
    if given.is_some() {
        return Ok(given);
    }
    match &call.caller.principal {
        Principal::Root => Ok(None),
        Principal::User { name } => Ok(Some(name)),
        Principal::AssumedRole { .. } | Principal::FederatedUser { .. } | Principal::Anonymous => {
            Err(ApiError::validation(
                "Must specify userName when calling with non-User credentials",
            ))
        }
    }
}

/// AWS: how many of a kind an account may have.
pub fn check_quota<R: Entity<Key = Key>>(
    state: &State,
    account: AccountId,
    quota: &str,
    most: usize,
) -> Result<(), ApiError> {
    // Counting all accounts' rows first spares walking them while there are few.
    if state.count::<R>() < most || super::lists::of_account::<R>(state, account, "").count() < most
    {
        return Ok(());
    }
    Err(exceeded(quota, most))
}

pub fn exceeded(quota: &str, most: usize) -> ApiError {
    errors::limit_exceeded_exception(format!("Cannot exceed quota for {quota}: {most}"))
}

/// What must be done with a holder's policies before it can be deleted.
pub fn policies_left<R: Holder>(row: &R) -> Option<&'static str> {
    if !row.held().attached.is_empty() {
        Some("detach all policies")
    } else if !row.held().inline.is_empty() {
        Some("delete policies")
    } else {
        None
    }
}

pub fn conflict(left: &str) -> ApiError {
    errors::delete_conflict_exception(format!("Cannot delete entity, must {left} first."))
}

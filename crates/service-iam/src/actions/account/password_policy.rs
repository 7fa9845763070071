//! UpdateAccountPasswordPolicy, GetAccountPasswordPolicy, DeleteAccountPasswordPolicy.

use crate::actions::prelude::*;
use crate::rows::account::{Account, PasswordPolicy};

fn missing(call: &Call) -> ApiError {
    errors::no_such_entity_exception(format!(
        "The Password Policy with domain name {} cannot be found.",
        call.account()
    ))
}

pub struct UpdateAccountPasswordPolicy;

impl WriteAction for UpdateAccountPasswordPolicy {
    type Op = api::ops::UpdateAccountPasswordPolicy;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("iam:UpdateAccountPasswordPolicy").into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let on = |flag: Option<bool>| flag.unwrap_or(false);
        // AWS: what is not given goes back to its default, not to what it was.
        let policy = PasswordPolicy {
            minimum_length: input.minimum_password_length.unwrap_or(6),
            symbols: on(input.require_symbols),
            numbers: on(input.require_numbers),
            uppercase: on(input.require_uppercase_characters),
            lowercase: on(input.require_lowercase_characters),
            users_may_change: on(input.allow_users_to_change_password),
            max_age: input.max_password_age,
            reuse_prevention: input.password_reuse_prevention,
            hard_expiry: input.hard_expiry,
        };
        let there = tx.get::<Account>(&call.account()).cloned();
        let mut account = there.unwrap_or_else(|| Account::new(call.account(), tx.now()));
        account.password_policy = Some(policy);
        tx.put(account);
        Ok(api::UpdateAccountPasswordPolicyResponse {})
    }
}

pub struct GetAccountPasswordPolicy;

impl ReadAction for GetAccountPasswordPolicy {
    type Op = api::ops::GetAccountPasswordPolicy;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("iam:GetAccountPasswordPolicy").into()
    }

    fn run(call: &Call, view: &View<'_>, _: Input<Self::Op>) -> Reply<Self::Op> {
        let account = view.get::<Account>(&call.account());
        let policy = account.and_then(|account| account.password_policy.as_ref());
        let policy = policy.ok_or_else(|| missing(call))?;
        let password_policy = api::PasswordPolicy {
            allow_users_to_change_password: Some(policy.users_may_change),
            expire_passwords: Some(policy.max_age.is_some_and(|days| days > 0)),
            hard_expiry: policy.hard_expiry,
            max_password_age: policy.max_age,
            minimum_password_length: Some(policy.minimum_length),
            password_reuse_prevention: policy.reuse_prevention,
            require_lowercase_characters: Some(policy.lowercase),
            require_numbers: Some(policy.numbers),
            require_symbols: Some(policy.symbols),
            require_uppercase_characters: Some(policy.uppercase),
        };
        Ok(api::GetAccountPasswordPolicyResponse { password_policy: Some(password_policy) })
    }
}

pub struct DeleteAccountPasswordPolicy;

impl WriteAction for DeleteAccountPasswordPolicy {
    type Op = api::ops::DeleteAccountPasswordPolicy;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("iam:DeleteAccountPasswordPolicy").into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, _: Input<Self::Op>) -> Reply<Self::Op> {
        let account = tx.get::<Account>(&call.account());
        if account.is_none_or(|account| account.password_policy.is_none()) {
            return Err(missing(call));
        }
        tx.edit::<Account>(&call.account(), |account| account.password_policy = None);
        Ok(api::DeleteAccountPasswordPolicyResponse {})
    }
}

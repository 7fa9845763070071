//! Login profiles: passwords of users. There is no page to sign in to yet; the API is whole.

use crate::actions::prelude::*;
use crate::rows::account::Account;
use crate::rows::user::{Login, User};
use crate::rules::passwords;
use core_step::Principal;

fn shown(user: &User, login: &Login) -> api::LoginProfile {
    api::LoginProfile {
        create_date: Some(views::time(login.created_at)),
        password_reset_required: Some(login.reset_required),
        user_name: Some(user.head.name.to_string()),
    }
}

fn no_login(user: &User) -> ApiError {
    let text = format!("Login Profile for User {} cannot be found.", user.head.name);
    errors::no_such_entity_exception(text)
}

/// The user that is named, or the caller.
fn target<'s>(
    state: &'s core_state::State,
    call: &Call,
    given: Option<&str>,
) -> Result<&'s User, ApiError> {
    match entities::user_or_caller(call, given)? {
        Some(name) => find::<User>(state, call.account(), name),
        // AWS: the root user's password is not a login profile.
        None => Err(ApiError::validation("UserName is missing.")),
    }
}

fn demand_on(view: &View<'_>, call: &Call, action: &'static str, given: Option<&str>) -> Demands {
    crate::rules::keys::demand(view, call, action, given).into()
}

pub struct CreateLoginProfile;

impl WriteAction for CreateLoginProfile {
    type Op = api::ops::CreateLoginProfile;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand_on(view, call, "iam:CreateLoginProfile", input.user_name.as_deref())
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let user = target(tx, call, input.user_name.as_deref())?;
        let mut user = user.clone();
        if user.login.is_some() {
            let text = format!("Login Profile for user {} already exists.", user.head.name);
            return Err(errors::entity_already_exists_exception(text));
        }
        let Some(password) = input.password.as_deref() else {
            return Err(ApiError::validation("Password is required to create a login profile."));
        };
        passwords::check(tx.get::<Account>(&call.account()), None, password)?;
        let now = tx.now();
        let login = Login {
            created_at: now,
            changed_at: now,
            reset_required: input.password_reset_required == Some(true),
            hash: passwords::hash(tx.dice, password),
            former: Vec::new(),
        };
        let login_profile = Some(shown(&user, &login));
        user.login = Some(login);
        tx.put(user);
        Ok(api::CreateLoginProfileResponse { login_profile })
    }
}

pub struct GetLoginProfile;

impl ReadAction for GetLoginProfile {
    type Op = api::ops::GetLoginProfile;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand_on(view, call, "iam:GetLoginProfile", input.user_name.as_deref())
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let user = target(view, call, input.user_name.as_deref())?;
        let login = user.login.as_ref().ok_or_else(|| no_login(user))?;
        Ok(api::GetLoginProfileResponse { login_profile: Some(shown(user, login)) })
    }
}

pub struct UpdateLoginProfile;

impl WriteAction for UpdateLoginProfile {
    type Op = api::ops::UpdateLoginProfile;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand_on(view, call, "iam:UpdateLoginProfile", input.user_name.as_deref())
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let mut user = find::<User>(tx, call.account(), text(&input.user_name))?.clone();
        let Some(mut login) = user.login.take() else { return Err(no_login(&user)) };
        if let Some(password) = &input.password {
            passwords::check(tx.get::<Account>(&call.account()), Some(&login), password)?;
            passwords::replace(&mut login, passwords::hash(tx.dice, password));
            login.changed_at = tx.now();
        }
        if let Some(required) = input.password_reset_required {
            login.reset_required = required;
        }
        user.login = Some(login);
        tx.put(user);
        Ok(api::UpdateLoginProfileResponse {})
    }
}

pub struct DeleteLoginProfile;

impl WriteAction for DeleteLoginProfile {
    type Op = api::ops::DeleteLoginProfile;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand_on(view, call, "iam:DeleteLoginProfile", input.user_name.as_deref())
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let user = target(tx, call, input.user_name.as_deref())?;
        let mut user = user.clone();
        if user.login.take().is_none() {
            return Err(no_login(&user));
        }
        tx.put(user);
        Ok(api::DeleteLoginProfileResponse {})
    }
}

pub struct ChangePassword;

impl WriteAction for ChangePassword {
    type Op = api::ops::ChangePassword;

    fn authorize(call: &Call, view: &View<'_>, _: &Input<Self::Op>) -> Demands {
        let account = view.get::<Account>(&call.account());
        let policy = account.and_then(|account| account.password_policy.as_ref());
        if policy.is_some_and(|policy| policy.users_may_change) {
            return Demands::Nothing { because: "the account lets users change their passwords" };
        }
        Demand::on("iam:ChangePassword", &*call.caller.arn).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let Principal::User { name } = &call.caller.principal else {
            return Err(errors::invalid_user_type_exception(
                "Only IAM Users can change their own password",
            ));
        };
        let mut user = find::<User>(tx, call.account(), name)?.clone();
        let Some(mut login) = user.login.take() else { return Err(no_login(&user)) };
        if !passwords::matches(&login.hash, text(&input.old_password)) {
            return Err(ApiError::access_denied("The old password was incorrect."));
        }
        let new = text(&input.new_password);
        passwords::check(tx.get::<Account>(&call.account()), Some(&login), new)?;
        passwords::replace(&mut login, passwords::hash(tx.dice, new));
        login.changed_at = tx.now();
        login.reset_required = false;
        user.login = Some(login);
        tx.put(user);
        Ok(api::ChangePasswordResponse {})
    }
}

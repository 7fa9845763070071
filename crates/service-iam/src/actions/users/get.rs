//! GetUser: of a user, or of the caller where no name is given.

use crate::actions::prelude::*;
use crate::rows::account::Account;
use crate::rows::user::User;

pub struct GetUser;

impl ReadAction for GetUser {
    type Op = api::ops::GetUser;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        match entities::user_or_caller(call, input.user_name.as_deref()) {
            Ok(Some(name)) => demand_tagged::<User>(view, call, "iam:GetUser", name).into(),
            Ok(None) => Demand::on("iam:GetUser", &*call.caller.arn).into(),
            Err(_) => Demand::anywhere("iam:GetUser").into(),
        }
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let account = call.account();
        let named = entities::user_or_caller(call, input.user_name.as_deref())?;
        let user = match named {
            Some(name) => views::user(find::<User>(view, account, name)?),
            None => {
                let since = view.get::<Account>(&account).map(|account| account.created_at);
                views::root_user(account, since.unwrap_or_default())
            }
        };
        Ok(api::GetUserResponse { user: Some(user) })
    }
}

//! GetAccessKeyLastUsed. Use is not tracked, which AWS tells of a key as `N/A`.

use crate::actions::prelude::*;
use crate::rows::access_key::{AccessKey, Owner};
use crate::rows::user::User;

pub struct GetAccessKeyLastUsed;

impl ReadAction for GetAccessKeyLastUsed {
    type Op = api::ops::GetAccessKeyLastUsed;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        const ACTION: &str = "iam:GetAccessKeyLastUsed";
        let key = view.get::<AccessKey>(&text(&input.access_key_id).into());
        match key.filter(|key| key.account == call.account()).map(|key| &key.owner) {
            Some(Owner::User(name)) => demand_tagged::<User>(view, call, ACTION, name).into(),
            _ => Demand::anywhere(ACTION).into(),
        }
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let id = text(&input.access_key_id);
        let key = view.get::<AccessKey>(&id.into()).filter(|key| key.account == call.account());
        let Some(key) = key else {
            let text = format!("The Access Key with id {id} cannot be found.");
            return Err(errors::no_such_entity_exception(text));
        };
        let user = view.get::<User>(&(key.account, key.owner.name()));
        Ok(api::GetAccessKeyLastUsedResponse {
            user_name: user.map(|user| user.head.name.to_string()),
            access_key_last_used: Some(api::AccessKeyLastUsed {
                last_used_date: None,
                region: Some("N/A".to_owned()),
                service_name: Some("N/A".to_owned()),
            }),
        })
    }
}

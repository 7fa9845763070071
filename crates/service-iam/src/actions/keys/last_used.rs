//! GetAccessKeyLastUsed. AWS: `N/A` where a key was never used.

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
        let (last, never) = (key.last_used.as_ref(), || "N/A".to_owned());
        Ok(api::GetAccessKeyLastUsedResponse {
            user_name: user.map(|user| user.head.name.to_string()),
            access_key_last_used: Some(api::AccessKeyLastUsed {
                last_used_date: last.map(|last| views::time(last.at)),
                region: Some(last.map_or_else(never, |last| last.region.to_string())),
                service_name: Some(last.map_or_else(never, |last| last.service.to_string())),
            }),
        })
    }
}

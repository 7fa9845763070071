//! ListAccessKeys.

use crate::actions::prelude::*;
use crate::rows::access_key::KeysOf;
use crate::rules::keys;

pub struct ListAccessKeys;

impl ReadAction for ListAccessKeys {
    type Op = api::ops::ListAccessKeys;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        keys::demand(view, call, "iam:ListAccessKeys", input.user_name.as_deref()).into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let name = input.user_name.as_deref();
        let (owner, user_name) = keys::owner(view, call, name)?;
        let marker = input.marker.as_deref();
        let asked = Asked { list: "ListAccessKeys", marker, max_items: input.max_items };
        let rows = view.by::<KeysOf>(&(call.account(), owner.name()));
        let page = asked.page(rows, |key| key.id.to_string())?;
        let page = page.map(|key| views::key_metadata(key, user_name.as_deref()));
        let Page { items, marker, is_truncated } = page;
        Ok(api::ListAccessKeysResponse { access_key_metadata: Some(items), marker, is_truncated })
    }
}

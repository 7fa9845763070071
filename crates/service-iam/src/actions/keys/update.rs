//! UpdateAccessKey: switch a key on or off.

use crate::actions::prelude::*;
use crate::rules::keys;

pub struct UpdateAccessKey;

impl WriteAction for UpdateAccessKey {
    type Op = api::ops::UpdateAccessKey;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        keys::demand(view, call, "iam:UpdateAccessKey", input.user_name.as_deref()).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let name = input.user_name.as_deref();
        let (owner, _) = keys::owner(tx, call, name)?;
        let mut row = keys::find_key(tx, call, &owner, text(&input.access_key_id))?.clone();
        row.active = match &input.status {
            Some(status) if *status == api::StatusType::ACTIVE => true,
            Some(status) if *status == api::StatusType::INACTIVE => false,
            // AWS: a key never is told to expire, though the type has the word.
            _ => return Err(ApiError::validation("Status must be Active or Inactive.")),
        };
        tx.put(row);
        Ok(api::UpdateAccessKeyResponse {})
    }
}

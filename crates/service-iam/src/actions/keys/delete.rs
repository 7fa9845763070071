//! DeleteAccessKey.

use crate::actions::prelude::*;
use crate::rows::access_key::AccessKey;
use crate::rules::keys;

pub struct DeleteAccessKey;

impl WriteAction for DeleteAccessKey {
    type Op = api::ops::DeleteAccessKey;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        keys::demand(view, call, "iam:DeleteAccessKey", input.user_name.as_deref()).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let name = input.user_name.as_deref();
        let (owner, _) = keys::owner(tx, call, name)?;
        let id = keys::find_key(tx, call, &owner, text(&input.access_key_id))?.id.clone();
        tx.delete::<AccessKey>(&id);
        Ok(api::DeleteAccessKeyResponse {})
    }
}

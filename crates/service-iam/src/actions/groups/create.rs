//! CreateGroup.

use crate::actions::prelude::*;
use crate::rows::group::Group;

pub struct CreateGroup;

/// AWS: groups in an account.
pub const QUOTA: usize = 300;

impl WriteAction for CreateGroup {
    type Op = api::ops::CreateGroup;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let path = input.path.as_deref().unwrap_or("/");
        let arn = names::arn(call.account(), Group::KIND, path, text(&input.group_name));
        Demand::on("iam:CreateGroup", arn).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let (account, name) = (call.account(), text(&input.group_name));
        if tx.get::<Group>(&key_of(account, name)).is_some() {
            let text = format!("Group with name {name} already exists.");
            return Err(errors::entity_already_exists_exception(text));
        }
        entities::check_quota::<Group>(tx, account, "GroupsPerAccount", QUOTA)?;
        let now = tx.now();
        let head = entities::head(tx.dice, now, account, "AGPA", name, input.path.as_deref());
        let row = Group { head, held: Default::default() };
        let group = Some(views::group(&row));
        tx.put(row);
        Ok(api::CreateGroupResponse { group })
    }
}

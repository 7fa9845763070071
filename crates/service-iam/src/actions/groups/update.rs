//! UpdateGroup: another name or path. Its members follow.

use crate::actions::prelude::*;
use crate::rows::group::Group;
use crate::rows::user::{MembersOf, User};

pub struct UpdateGroup;

impl WriteAction for UpdateGroup {
    type Op = api::ops::UpdateGroup;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let old = demand::<Group>(view, call, "iam:UpdateGroup", text(&input.group_name));
        let row = view.get::<Group>(&key_of(call.account(), text(&input.group_name)));
        let path = input.new_path.as_deref().or(row.map(|row| &*row.head.path)).unwrap_or("/");
        let name = input.new_group_name.as_deref().unwrap_or(text(&input.group_name));
        let new = names::arn(call.account(), Group::KIND, path, name);
        match new == old.resource {
            true => old.into(),
            false => vec![old, Demand::on("iam:UpdateGroup", new)].into(),
        }
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let account = call.account();
        let mut row = find::<Group>(tx, account, text(&input.group_name))?.clone();
        let old = key_of(account, &row.head.name);
        if let Some(path) = &input.new_path {
            row.head.path = path.as_str().into();
        }
        if let Some(name) = &input.new_group_name {
            let new = key_of(account, name);
            if new != old && tx.get::<Group>(&new).is_some() {
                let text = format!("Group with name {name} already exists.");
                return Err(errors::entity_already_exists_exception(text));
            }
            row.head.name = name.as_str().into();
        }
        let new = key_of(account, &row.head.name);
        tx.put(row);
        if new != old {
            let members: Vec<_> = tx.by::<MembersOf>(&old).cloned().collect();
            for mut user in members {
                user.groups.remove(&old.1);
                user.groups.insert(new.1.clone());
                tx.put::<User>(user);
            }
            tx.delete::<Group>(&old);
        }
        Ok(api::UpdateGroupResponse {})
    }
}

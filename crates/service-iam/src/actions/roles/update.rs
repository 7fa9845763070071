//! UpdateRole, UpdateRoleDescription and UpdateAssumeRolePolicy.

use crate::actions::prelude::*;
use crate::rows::role::Role;

pub struct UpdateRole;

impl WriteAction for UpdateRole {
    type Op = api::ops::UpdateRole;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand_bounded::<Role>(view, call, "iam:UpdateRole", text(&input.role_name)).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let mut row = find_own::<Role>(tx, call.account(), text(&input.role_name))?.clone();
        if let Some(seconds) = input.max_session_duration {
            row.max_session = seconds;
        }
        if let Some(description) = &input.description {
            row.description = Some(description.as_str().into());
        }
        tx.put(row);
        Ok(api::UpdateRoleResponse {})
    }
}

pub struct UpdateRoleDescription;

impl WriteAction for UpdateRoleDescription {
    type Op = api::ops::UpdateRoleDescription;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand_bounded::<Role>(view, call, "iam:UpdateRoleDescription", text(&input.role_name))
            .into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        // AWS: of a service-linked role the description is all that its account may change.
        let mut row = find::<Role>(tx, call.account(), text(&input.role_name))?.clone();
        row.description = Some(text(&input.description).into());
        let role = Some(views::role(&row));
        tx.put(row);
        Ok(api::UpdateRoleDescriptionResponse { role })
    }
}

pub struct UpdateAssumeRolePolicy;

impl WriteAction for UpdateAssumeRolePolicy {
    type Op = api::ops::UpdateAssumeRolePolicy;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand_bounded::<Role>(view, call, "iam:UpdateAssumeRolePolicy", text(&input.role_name))
            .into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let mut row = find_own::<Role>(tx, call.account(), text(&input.role_name))?.clone();
        row.trust = policies::parse_trust(tx, text(&input.policy_document))?;
        tx.put(row);
        Ok(api::UpdateAssumeRolePolicyResponse {})
    }
}

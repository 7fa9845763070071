//! CreateRole.

use crate::actions::prelude::*;
use crate::rows::role::Role;

pub struct CreateRole;

/// AWS: roles in an account.
pub const QUOTA: usize = 1000;
/// AWS: an hour, where nothing else is asked for.
const MAX_SESSION: i32 = 3600;

impl WriteAction for CreateRole {
    type Op = api::ops::CreateRole;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let path = input.path.as_deref().unwrap_or("/");
        let arn = names::arn(call.account(), Role::KIND, path, text(&input.role_name));
        let mut demand = Demand::on("iam:CreateRole", arn);
        if let Some(boundary) = &input.permissions_boundary {
            demand = demand.with("iam:PermissionsBoundary", boundary);
        }
        tags::demanded(demand, input.tags.as_deref()).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let (account, name) = (call.account(), text(&input.role_name));
        if tx.get::<Role>(&key_of(account, name)).is_some() {
            let text = format!("Role with name {name} already exists.");
            return Err(errors::entity_already_exists_exception(text));
        }
        if input.path.as_deref().is_some_and(|path| path.starts_with("/aws-service-role/")) {
            // AWS: such roles are made by CreateServiceLinkedRole alone.
            return Err(ApiError::validation(
                "The path /aws-service-role/ is reserved for service-linked roles.",
            ));
        }
        entities::check_quota::<Role>(tx, account, "RolesPerAccount", QUOTA)?;
        if let Some(arn) = &input.permissions_boundary {
            policies::check_boundary(tx, account, arn)?;
        }
        let trust = policies::parse_trust(tx, text(&input.assume_role_policy_document))?;
        let now = tx.now();
        let row = Role {
            head: entities::head(tx.dice, now, account, "AROA", name, input.path.as_deref()),
            held: Default::default(),
            trust,
            description: input.description.as_deref().map(Into::into),
            max_session: input.max_session_duration.unwrap_or(MAX_SESSION),
            boundary: input.permissions_boundary.as_deref().map(Into::into),
            tags: tags::parse(input.tags.as_deref())?,
            linked_to: None,
            last_used: None,
        };
        let role = Some(views::role(&row));
        tx.put(row);
        Ok(api::CreateRoleResponse { role })
    }
}

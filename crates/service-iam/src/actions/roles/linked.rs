//! Service-linked roles: made for a service by its name, changed by nobody, deleted by a task.

use crate::actions::prelude::*;
use crate::rows::role::{LinkedRoleDeletion, Role};
use crate::rules::linked_roles;

pub struct CreateServiceLinkedRole;

impl WriteAction for CreateServiceLinkedRole {
    type Op = api::ops::CreateServiceLinkedRole;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let service = text(&input.aws_service_name);
        let name = linked_roles::name(service, input.custom_suffix.as_deref());
        let path = linked_roles::path(service);
        let arn = names::arn(call.account(), Role::KIND, &path, &name.unwrap_or("*".to_owned()));
        Demand::on("iam:CreateServiceLinkedRole", arn).with("iam:AWSServiceName", service).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let suffix = input.custom_suffix.as_deref();
        let description = input.description.as_deref();
        let service = text(&input.aws_service_name);
        let row = linked_roles::make(tx, call.account(), service, suffix, description)?;
        let role = Some(views::role(&row));
        tx.put(row);
        Ok(api::CreateServiceLinkedRoleResponse { role })
    }
}

pub struct DeleteServiceLinkedRole;

impl WriteAction for DeleteServiceLinkedRole {
    type Op = api::ops::DeleteServiceLinkedRole;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = text(&input.role_name);
        demand_tagged::<Role>(view, call, "iam:DeleteServiceLinkedRole", name).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let account = call.account();
        let row = find::<Role>(tx, account, text(&input.role_name))?;
        let Some(service) = row.linked_to.clone() else {
            let text = format!("The role {} is not a service-linked role.", row.head.name);
            return Err(errors::invalid_input_exception(text));
        };
        let (key, name) = (key_of(account, &row.head.name), row.head.name.clone());
        let task = format!("task/aws-service-role/{service}/{name}/{}", tx.dice.uuid());
        tx.delete::<Role>(&key);
        let at = tx.now();
        tx.put(LinkedRoleDeletion { account, task: task.as_str().into(), at });
        Ok(api::DeleteServiceLinkedRoleResponse { deletion_task_id: Some(task) })
    }
}

pub struct GetServiceLinkedRoleDeletionStatus;

impl ReadAction for GetServiceLinkedRoleDeletionStatus {
    type Op = api::ops::GetServiceLinkedRoleDeletionStatus;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        // The task's id holds the role's path and name, between `task` and a unique part.
        let task = text(&input.deletion_task_id);
        let role = task.strip_prefix("task").and_then(|rest| rest.rsplit_once('/'));
        let arn = names::arn(call.account(), Role::KIND, role.map_or("/*", |(role, _)| role), "");
        Demand::on("iam:GetServiceLinkedRoleDeletionStatus", arn).into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let task = text(&input.deletion_task_id);
        if view.get::<LinkedRoleDeletion>(&(call.account(), task.into())).is_none() {
            let text = format!("Deletion task {task} cannot be found.");
            return Err(errors::no_such_entity_exception(text));
        }
        let status = Some(api::DeletionTaskStatusType::SUCCEEDED);
        Ok(api::GetServiceLinkedRoleDeletionStatusResponse { status, reason: None })
    }
}

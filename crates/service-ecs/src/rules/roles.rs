//! Whether the roles of a task may be lent to it: they are there, and trust ECS's tasks.

use aws_protocol::ApiError;
use core_state::State;
use core_types::{Scope, Time};
use model_ecs::{self as api, errors};
use service_iam::ops;

use super::launch::{Prepared, definition_of};
use crate::rows::task::Task;

/// AWS: who must be trusted by a task role and an execution role.
const PRINCIPAL: &str = "ecs-tasks.amazonaws.com";

/// The task's role and its execution role, those of the call over those of the definition.
pub fn of(
    definition: Option<&api::TaskDefinition>,
    over: Option<&api::TaskOverride>,
) -> (Option<String>, Option<String>) {
    let task = over.and_then(|over| over.task_role_arn.clone());
    let execution = over.and_then(|over| over.execution_role_arn.clone());
    (
        task.or_else(|| definition?.task_role_arn.clone()),
        execution.or_else(|| definition?.execution_role_arn.clone()),
    )
}

fn is_lent(state: &State, now: Time, scope: Scope, role: &str, source: &str) -> bool {
    let role = ops::role(state, role);
    role.is_some_and(|role| ops::trusts(now, &role, PRINCIPAL, scope.account, source))
}

fn refusal(role: &str) -> String {
    format!(
        "ECS was unable to assume the role '{role}' that was provided for this task. Please verify \
         that the role being passed has the proper trust relationship and permissions and that \
         your IAM user has permissions to pass this role."
    )
}

fn first_refused(
    state: &State,
    now: Time,
    scope: Scope,
    (task, execution): (Option<String>, Option<String>),
    source: &str,
) -> Option<String> {
    let mut all = execution.into_iter().chain(task);
    all.find(|role| !is_lent(state, now, scope, role, source)).map(|role| refusal(&role))
}

/// AWS: RunTask and StartTask refuse what could not be lent.
pub fn check(state: &State, now: Time, prepared: &Prepared) -> Result<(), ApiError> {
    let definition = &prepared.definition.definition;
    let roles = of(Some(definition), prepared.overrides.as_ref());
    let (scope, cluster) = &prepared.cluster;
    // AWS: trust is narrowed by `aws:SourceArn` to a region or an account, never to one task.
    let source = scope.arn("ecs", format_args!("task/{cluster}/*"));
    match first_refused(state, now, *scope, roles, &source) {
        Some(text) => Err(errors::client_exception(text)),
        None => Ok(()),
    }
}

/// Why a task's host cannot be given the keys of its roles, should that be so.
pub fn reason(state: &State, now: Time, task: &Task) -> Option<String> {
    let definition = definition_of(state, task);
    let over = task.extras.as_ref().and_then(|extras| extras.overrides.as_ref());
    first_refused(state, now, task.cluster.0, of(definition, over), &task.arn())
}

/// Whether one of them may be lent now.
pub fn may_lend(state: &State, now: Time, task: &Task, role: &str) -> bool {
    is_lent(state, now, task.cluster.0, role, &task.arn())
}

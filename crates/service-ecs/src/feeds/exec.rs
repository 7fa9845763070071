//! Sessions of ExecuteCommand as the links serve them: which a host is to open, and whose a token is.

use aws_agent::{acs, paths};
use core_state::{Change, State};
use core_types::{Id128, Time};

use super::{InstanceKey, place_of};
use crate::rows::cluster;
use crate::rows::exec_session::{ExecSession, SessionsOn};
use crate::rows::task::Task;

/// What a host is to be told of the sessions that it has not opened yet, without a message's id.
pub fn waiting(state: &State, instance: InstanceKey, now: Time) -> Vec<acs::Exec> {
    let Some((container_instance_arn, _)) = place_of(state, instance) else { return Vec::new() };
    let sessions = state.by::<SessionsOn>(&instance);
    let sessions = sessions.filter(|session| session.forget_at.is_some_and(|at| at > now));
    let told = sessions.filter_map(|session| {
        let task = state.get::<Task>(&session.task)?;
        Some(acs::Exec {
            cluster_arn: cluster::arn_of(task.cluster.0, &task.cluster.1),
            container_instance_arn: container_instance_arn.clone(),
            task_arn: task.arn(),
            container_name: session.container.to_string(),
            session_id: session.id.to_string(),
            command: session.command.clone(),
            interactive: session.interactive,
            path: format!("{}/{}", paths::EXEC, session.id),
            expires_at: session.forget_at.unwrap_or(now).millis(),
            ..Default::default()
        })
    });
    told.collect()
}

/// The session of a client that has its token.
pub fn of_client<'s>(state: &'s State, id: &str, token: &str) -> Option<&'s ExecSession> {
    state.get::<ExecSession>(&id.into()).filter(|session| same(&session.token, token))
}

/// The session that a host opens: its own ones only.
pub fn of_host<'s>(state: &'s State, id: &str, instance: InstanceKey) -> Option<&'s ExecSession> {
    state.get::<ExecSession>(&id.into()).filter(|session| session.host == instance)
}

/// The host that a change of sessions concerns.
pub fn touched(change: &Change) -> Option<Id128> {
    let (_, after) = change.of::<ExecSession>()?;
    after.filter(|session| session.opened_at.is_none()).map(|session| session.host)
}

/// Compares every byte, so that time tells nothing of how many were right.
fn same(a: &str, b: &str) -> bool {
    let differ = a.bytes().zip(b.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b));
    a.len() == b.len() && differ == 0
}

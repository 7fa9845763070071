//! What agents' links see of the rows, and where their reports go: the one place that knows the links and
//! the slices both.

use std::sync::Arc;
use std::time::Duration;

use aws_agent::task::{RoleCredentials, Task as Payload};
use aws_protocol::ApiError;
use core_state::{Change, Tx};
use core_step::{Call, Demands, Report, View};
use core_task::Desired as Wanted;
use core_types::Id128;
use plane_engine::{Engine, Refusal};
use plane_links::{
    Agent, Assignment, Credentials, Desired, ExecSession, Future, Issued, Poll, RoleType, Told,
    Touched, Want, World,
};
use service_ecs::feeds::{self, RoleAsked, RoleKind};
use service_ecs::reports;
use service_ecs::rows::container_instance::ContainerInstance;
use service_ecs::rows::exec_session::{ExecSession as Session, SessionsOn};
use service_ecs::rows::task::{Health, Task};
use service_iam::ops::{self, Given, Who};

/// AWS: a task's credentials live six hours.
const CREDENTIALS_LIVE: Duration = Duration::from_secs(6 * 3600);

/// The rows of the slices.
pub struct Rows {
    pub engine: Engine,
}

fn desired(wanted: Wanted) -> Desired {
    match wanted {
        Wanted::Running => Desired::Running,
        Wanted::Stopped => Desired::Stopped,
    }
}

fn wanted(desired: Desired) -> Wanted {
    match desired {
        Desired::Running => Wanted::Running,
        Desired::Stopped => Wanted::Stopped,
    }
}

fn role_type(kind: RoleKind) -> RoleType {
    match kind {
        RoleKind::Application => RoleType::Application,
        RoleKind::Execution => RoleType::Execution,
    }
}

fn assignment(view: &View<'_>, task: &Task) -> Option<Assignment> {
    let roles = feeds::roles(view, task);
    let has = |kind| roles.iter().any(|asked| asked.kind == kind);
    let scope = task.cluster.0;
    Some(Assignment {
        task: task.id,
        instance: task.host?,
        arn: task.arn(),
        cluster_arn: scope.arn("ecs", format_args!("cluster/{}", task.cluster.1)),
        desired: desired(task.desired_status),
        acknowledged: task.observed_acknowledged.map(desired),
        settled: task.is_settled(),
        application_role: has(RoleKind::Application),
        execution_role: has(RoleKind::Execution),
        attaching: feeds::attaching(view, task),
    })
}

fn exec_session(view: &View<'_>, row: &Session) -> ExecSession {
    let task = view.get::<Task>(&row.task);
    ExecSession {
        id: row.id.to_string(),
        instance: row.host,
        task_arn: task.map(Task::arn).unwrap_or_default(),
        container: row.container.to_string(),
        command: row.command.clone(),
        interactive: row.interactive,
        token: row.token.to_string(),
        opened: row.opened_at.is_some(),
        waits_until: row.forget_at.unwrap_or_default(),
    }
}

impl World for Rows {
    fn admit(&self, view: &View<'_>, call: &Call, poll: &Poll) -> Result<Agent, ApiError> {
        let (account, region) = (call.account(), call.region);
        let (cluster, arn) = (&*poll.cluster, &*poll.container_instance);
        let instance = feeds::find_instance(view, account, region, cluster, arn)?;
        if let Demands::Need(demands) = feeds::demands(view, call, instance, poll.action) {
            self.engine.registry().identity().authorize(call, view, &demands)?;
        }
        if feeds::is_inactive(view, instance) {
            // AWS: the agent stops its telemetry at this, and asks again after an hour.
            let text = "The container instance has been deregistered.";
            return Err(ApiError::new("InactiveInstanceException", 400, text));
        }
        let place = feeds::place_of(view, instance);
        let (arn, cluster_arn) = place.expect("an instance that was found has its place");
        Ok(Agent { instance, arn, cluster_arn })
    }

    fn is_registered(&self, view: &View<'_>, instance: Id128) -> bool {
        !feeds::is_inactive(view, instance)
    }

    fn concerned(&self, changes: &[Change], touch: &mut dyn FnMut(Id128, Touched)) {
        for change in changes {
            if let Some((before, after)) = change.of::<Task>() {
                // What a host has told of its task itself is no news to it.
                let news = |row: Option<&Task>| {
                    row.map(|row| (row.host, row.desired_status, row.is_settled()))
                };
                if news(before) != news(after)
                    && let Some((task, host)) =
                        after.or(before).and_then(|task| Some((task.id, task.host?)))
                {
                    touch(host, Touched::Task(task));
                }
            } else if let Some(row) = change.row::<Session>() {
                touch(row.host, Touched::Exec);
            } else if let Some((before, after)) = change.of::<ContainerInstance>()
                && before.map(|row| row.status) != after.map(|row| row.status)
                && let Some(row) = before
            {
                touch(row.id, Touched::Instance);
            }
        }
    }

    fn assignments(&self, view: &View<'_>, instance: Id128, each: &mut dyn FnMut(Assignment)) {
        for one in feeds::assignments(view, instance) {
            if let Some(row) = self.assignment(view, one.task) {
                each(row);
            }
        }
    }

    fn assignment(&self, view: &View<'_>, task: Id128) -> Option<Assignment> {
        assignment(view, view.get::<Task>(&task)?)
    }

    fn task(&self, view: &View<'_>, arn: &str) -> Option<Id128> {
        feeds::task_of(view, arn)
    }

    fn payload(
        &self,
        view: &View<'_>,
        task: Id128,
        endpoint: &str,
        credentials: Credentials,
    ) -> Option<Payload> {
        let Credentials { mut application, mut execution } = credentials;
        feeds::payload(view, task, endpoint, &mut |asked| match asked.kind {
            RoleKind::Application => application.take(),
            RoleKind::Execution => execution.take(),
        })
    }

    fn credentials<'a>(
        &'a self,
        engine: &'a Engine,
        wants: Vec<Want>,
    ) -> Future<'a, Result<Vec<Option<Issued>>, Refusal>> {
        Box::pin(async move {
            let made = engine.report(Box::new(IssueForTasks(wants))).await?;
            made.downcast().map(|made| *made).map_err(|_| Refusal::Failed)
        })
    }

    fn exec_sessions(&self, view: &View<'_>, instance: Id128, each: &mut dyn FnMut(ExecSession)) {
        for row in view.by::<SessionsOn>(&instance) {
            each(exec_session(view, row));
        }
    }

    fn exec_session(&self, view: &View<'_>, id: &str) -> Option<ExecSession> {
        view.get::<Session>(&id.into()).map(|row| exec_session(view, row))
    }

    fn tell<'a>(&'a self, engine: &'a Engine, told: Told) -> Future<'a, Result<(), Refusal>> {
        Box::pin(async move {
            if let Some(report) = report(told) {
                engine.report(report).await?;
            }
            Ok(())
        })
    }
}

/// The slice's report; `None` where an agent told what no agent of AWS tells.
fn report(told: Told) -> Option<Box<dyn Report>> {
    Some(match told {
        Told::Reset => Box::new(reports::ConnectionsReset),
        Told::Connected { instance, session } => {
            Box::new(reports::AgentConnected { instance, session })
        }
        Told::Disconnected { instance, session, away } => {
            Box::new(reports::AgentDisconnected { instance, session, away })
        }
        Told::Acknowledged { instance, tasks } => {
            let tasks = tasks.into_iter().map(|(task, told)| (task, wanted(told))).collect();
            Box::new(reports::PayloadAcknowledged { instance, tasks })
        }
        Told::Health { instance, task, container, status, since } => {
            let health = Health::parse(&status)?;
            Box::new(reports::ContainerHealth { instance, task, container, health, since })
        }
        Told::InstanceStatus { instance, check, status, at } => {
            Box::new(reports::InstanceHealth { instance, check, status, at })
        }
        Told::ExecOpened { session } => Box::new(reports::ExecOpened { session }),
        Told::ExecEnded { session } => Box::new(reports::ExecEnded { session }),
    })
}

/// Makes sessions of the tasks' roles. Tokens are sealed, not stored, so this changes no row.
struct IssueForTasks(Vec<Want>);

impl Report for IssueForTasks {
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Box<dyn std::any::Any + Send> {
        let made: Vec<Option<Issued>> = self.0.into_iter().map(|want| issue(tx, want)).collect();
        Box::new(made)
    }
}

fn issue(tx: &mut Tx<'_>, want: Want) -> Option<Issued> {
    let task = tx.get::<Task>(&want.task)?;
    let mut roles = feeds::roles(tx, task).into_iter();
    let RoleAsked { arn, credentials_id, .. } =
        roles.find(|asked| role_type(asked.kind) == want.role)?;
    if !feeds::may_lend(tx, tx.now(), task, &arn) {
        tracing::warn!(task = want.task.to_string(), "{arn} may not be lent to its task any more");
        return None;
    }
    let role = ops::role(tx, &arn)?;
    // AWS: the session of a task's role is named by the task's id.
    let session: Arc<str> = want.task.to_string().into();
    let (account, name, id) = (role.account(), role.name().clone(), role.id().clone());
    let (issued, expires) = (tx.now(), tx.now() + CREDENTIALS_LIVE);
    let made = ops::issue(tx, account, |secret| ops::Session {
        account,
        who: Who::Role { name, id, session },
        secret,
        issued,
        expires,
        given: Given::default(),
        source_identity: None,
        mfa: false,
    });
    let credentials = RoleCredentials {
        credentials_id,
        role_arn: arn,
        access_key_id: made.access_key_id,
        secret_access_key: made.secret.to_string(),
        session_token: made.token,
        expiration: made.expires.to_string(),
        credential_scope: String::new(),
    };
    Some(Issued { credentials, expires: made.expires })
}

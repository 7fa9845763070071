//! CreateDaemon: what is wanted is written down; the loop brings it about.

use std::sync::Arc;

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs::{self as api, errors};

use crate::rows::daemon::{self, Daemon, DaemonKey, DaemonStatus};
use crate::rows::daemon_history::{DaemonRevision, deployment_arn};
use crate::rules::daemon_settings::{self as settings, Given};
use crate::rules::{clusters, daemons, deployments, launch, tags};
use crate::views;

pub struct CreateDaemon;

const LONGEST_TOKEN: usize = 36;
/// Daemons of one cluster.
const MOST_DAEMONS: usize = 1000;

fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

fn given(input: &Input<api::ops::CreateDaemon>) -> Given<'_> {
    Given {
        definition: input.daemon_task_definition_arn.as_deref(),
        providers: input.capacity_provider_arns.as_deref(),
        critical: input.critical,
        managed_tags: input.enable_ecs_managed_tags,
        exec_enabled: input.enable_execute_command,
        propagate: input.propagate_tags.as_ref(),
    }
}

impl WriteAction for CreateDaemon {
    type Op = api::ops::CreateDaemon;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let cluster = clusters::key_of(call, input.cluster_arn.as_deref());
        let name = input.daemon_name.as_deref().unwrap_or_default();
        let arn = daemon::arn_of(&(cluster, name.into()));
        let tags = input.tags.as_deref();
        let demand = daemons::demand(view, call, "ecs:CreateDaemon", Some(&arn))
            .request_tags(tags::pairs(tags.unwrap_or_default()));
        let mut demands = given(input).demands(demand, view, call);
        demands.extend(tags::demand_on_create(view, call, "CreateDaemon", arn, tags));
        demands.into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        mut input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let name: Arc<str> = input.daemon_name.as_deref().unwrap_or_default().into();
        settings::check_name(&name)?;
        let token = token(&input)?;
        let cluster = clusters::find_cluster(tx, call, input.cluster_arn.as_deref())?.key.clone();
        let key: DaemonKey = (cluster, name);
        if let Some(there) = tx.get::<Daemon>(&key) {
            check_again(there, token.as_ref())?;
            if there.is_active() {
                return Ok(answer(there));
            }
            daemons::forget(tx, &key);
        }
        let there = tx.scan::<Daemon>((key.0.clone(), "".into()));
        if there.take_while(|row| row.key.0 == key.0).nth(MOST_DAEMONS - 1).is_some() {
            return Err(errors::client_exception("Too many daemons in the cluster."));
        }
        let now = tx.now();
        let providers = settings::providers(tx, &key.0, input.capacity_provider_arns.as_deref())?;
        let revision = given(&input).revision(tx, call, &key, now)?;
        let configuration = settings::configuration(input.deployment_configuration.take())?;
        let tags = input.tags.take().unwrap_or_default();
        tags::check_tags(&tags)?;
        let number = deployments::number(tx.dice);
        let mut row = Daemon {
            key: key.clone(),
            status: DaemonStatus::Active,
            created_at: now,
            updated_at: now,
            tags,
            client_token: token,
            revision: number,
            providers,
            deployment: "".into(),
            good: None,
            given_up: false,
            failed_tasks: 0,
            failures: 0,
            failed_at: None,
            waiting: false,
            short_at: None,
            look_at: None,
            forget_at: None,
        };
        tx.put(DaemonRevision { key: (key, number), ..revision });
        daemons::begin(tx, &mut row, Some(number), configuration);
        let shown = answer(&row);
        tx.put(row);
        Ok(shown)
    }
}

/// The call's token, with the call's fingerprint.
fn token(input: &Input<api::ops::CreateDaemon>) -> Result<Option<(Arc<str>, u64)>, ApiError> {
    let token = input.client_token.as_deref().filter(|token| !token.is_empty());
    let printable = |b: u8| (33..=126).contains(&b);
    if token.is_some_and(|token| token.len() > LONGEST_TOKEN || !token.bytes().all(printable)) {
        return Err(invalid("clientToken cannot be longer than 36 characters."));
    }
    Ok(token.map(|token| (token.into(), launch::fingerprint(input))))
}

/// AWS: only the same call again, under its token, is the same daemon.
fn check_again(there: &Daemon, token: Option<&(Arc<str>, u64)>) -> Result<(), ApiError> {
    match there.status {
        DaemonStatus::Deleted => Ok(()),
        DaemonStatus::DeleteInProgress => {
            Err(invalid("Unable to create a daemon while its deployment deletion is ongoing."))
        }
        DaemonStatus::Active if token.is_some() && there.client_token.as_ref() == token => Ok(()),
        DaemonStatus::Active => Err(invalid("Creation of daemon was not idempotent.")),
    }
}

fn answer(row: &Daemon) -> api::CreateDaemonResponse {
    api::CreateDaemonResponse {
        daemon_arn: Some(row.arn()),
        deployment_arn: Some(deployment_arn(&row.key, &row.deployment)),
        status: views::daemon_status(row),
        created_at: views::timestamp(row.created_at),
    }
}

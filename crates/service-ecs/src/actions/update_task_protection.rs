//! UpdateTaskProtection: a service's task that says so is not stopped by scale-in or deployments.

use std::time::Duration;

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs::{self as api, errors};

use crate::rows::task::Task;
use crate::rules::{clusters, protection, tasks};

pub struct UpdateTaskProtection;

/// AWS: ten tasks a call; two hours where nothing is said, two days at most.
const MOST: usize = 10;
const USUAL_MINUTES: i32 = 120;
const MOST_MINUTES: i32 = 2880;

impl WriteAction for UpdateTaskProtection {
    type Op = api::ops::UpdateTaskProtection;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let names = input.tasks.as_deref().unwrap_or_default();
        let cluster = input.cluster.as_deref();
        protection::demands(view, call, "ecs:UpdateTaskProtection", cluster, names).into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let invalid = |text: &str| errors::invalid_parameter_exception(text);
        let cluster = clusters::find_cluster(tx, call, input.cluster.as_deref())?.key.clone();
        let names = input.tasks.unwrap_or_default();
        tasks::check_names(&names, MOST)?;
        let Some(enabled) = input.protection_enabled else {
            return Err(invalid("protectionEnabled cannot be empty."));
        };
        let minutes = match input.expires_in_minutes {
            Some(_) if !enabled => {
                return Err(invalid("expiresInMinutes is only valid with protectionEnabled."));
            }
            Some(minutes) if !(1..=MOST_MINUTES).contains(&minutes) => {
                return Err(invalid("expiresInMinutes must be between 1 and 2880."));
            }
            minutes => minutes.unwrap_or(USUAL_MINUTES),
        };
        let minutes = u64::try_from(minutes).expect("it was just checked");
        let until = enabled.then(|| tx.now() + Duration::from_secs(60 * minutes));
        let (mut protected, mut failures) = (Vec::new(), Vec::new());
        for name in &names {
            match protection::find(tx, call, &cluster, name)? {
                Err(failure) => failures.push(failure),
                Ok(row) => {
                    let id = row.id;
                    tx.edit::<Task>(&id, |task| {
                        let extras = task.extras.get_or_insert_default();
                        extras.protected_until = until;
                    });
                    let row = tx.get::<Task>(&id).expect("it was just found");
                    protected.push(protection::shown(row, tx.now()));
                }
            }
        }
        Ok(api::UpdateTaskProtectionResponse {
            protected_tasks: Some(protected),
            failures: Some(failures),
        })
    }
}

//! GetTaskProtection: which of a service's tasks are protected, and how long.

use aws_protocol::ApiError;
use core_step::{Call, Demands, Input, Output, ReadAction, View};
use model_ecs as api;

use crate::rules::{clusters, protection, tasks};

pub struct GetTaskProtection;

/// AWS: a hundred a call.
const MOST: usize = 100;

impl ReadAction for GetTaskProtection {
    type Op = api::ops::GetTaskProtection;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let names = input.tasks.as_deref().unwrap_or_default();
        let cluster = input.cluster.as_deref();
        protection::demands(view, call, "ecs:GetTaskProtection", cluster, names).into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let cluster = clusters::find_cluster(view, call, input.cluster.as_deref())?.key.clone();
        let names = input.tasks.unwrap_or_default();
        tasks::check_names(&names, MOST)?;
        let (mut protected, mut failures) = (Vec::new(), Vec::new());
        for name in &names {
            match protection::find(view, call, &cluster, name)? {
                Ok(row) => protected.push(protection::shown(row, view.now())),
                Err(failure) => failures.push(failure),
            }
        }
        Ok(api::GetTaskProtectionResponse {
            protected_tasks: Some(protected),
            failures: Some(failures),
        })
    }
}

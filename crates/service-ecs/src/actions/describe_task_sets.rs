//! DescribeTaskSets: those that are named, or all of a service.

use aws_protocol::ApiError;
use core_step::{Call, Demands, Input, Output, ReadAction, View};
use model_ecs as api;

use crate::rows::task_set::{TaskSet, arn_of};
use crate::rules::{lists, task_sets};
use crate::views;

pub struct DescribeTaskSets;

/// AWS: a hundred a call.
const MOST: usize = 100;

impl ReadAction for DescribeTaskSets {
    type Op = api::ops::DescribeTaskSets;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let action = "ecs:DescribeTaskSets";
        let of = (input.cluster.as_deref(), input.service.as_deref());
        match input.task_sets.as_deref().unwrap_or_default() {
            [] => task_sets::demand(view, call, action, of, None).into(),
            names => {
                let names = names.iter().take(MOST);
                let demands =
                    names.map(|name| task_sets::demand(view, call, action, of, Some(name)));
                demands.collect::<Vec<_>>().into()
            }
        }
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let mut tags = false;
        for field in input.include.unwrap_or_default() {
            match field.as_str() {
                "TAGS" => tags = true,
                other => return Err(lists::bad_value("include", other)),
            }
        }
        let (cluster, service) = (input.cluster.as_deref(), input.service.as_deref());
        let key = task_sets::find_service(view, call, cluster, service)?.key.clone();
        let names = input.task_sets.unwrap_or_default();
        if names.len() > MOST {
            return Err(lists::bad_value("taskSets", "more than 100 elements"));
        }
        if names.is_empty() {
            let all = task_sets::all(view, &key).map(|set| views::task_set(view, set, tags));
            return Ok(api::DescribeTaskSetsResponse {
                task_sets: Some(all.collect()),
                failures: Some(Vec::new()),
            });
        }
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for name in &names {
            let id = task_sets::id_of(name);
            match view.get::<TaskSet>(&(key.clone(), id.into())) {
                Some(set) => found.push(views::task_set(view, set, tags)),
                None => failures.push(api::Failure {
                    arn: Some(arn_of(&key, id)),
                    reason: Some("MISSING".to_owned()),
                    ..Default::default()
                }),
            }
        }
        Ok(api::DescribeTaskSetsResponse { task_sets: Some(found), failures: Some(failures) })
    }
}

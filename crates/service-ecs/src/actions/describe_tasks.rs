//! DescribeTasks: stopped ones too, for an hour or as long as the operator keeps them.

use aws_protocol::ApiError;
use core_step::{Call, Demands, Input, Output, ReadAction, View};
use model_ecs as api;

use crate::rules::{clusters, lists, tasks};
use crate::views;

pub struct DescribeTasks;

/// AWS: a hundred a call.
const MOST: usize = 100;

impl ReadAction for DescribeTasks {
    type Op = api::ops::DescribeTasks;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let action = "ecs:DescribeTasks";
        let names = input.tasks.as_deref().unwrap_or_default();
        let cluster = input.cluster.as_deref();
        match names {
            [] => tasks::demand(view, call, action, cluster, "*").into(),
            _ => {
                let names = names.iter().take(MOST);
                let demands = names.map(|name| tasks::demand(view, call, action, cluster, name));
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
        let cluster = clusters::find_cluster(view, call, input.cluster.as_deref())?.key.clone();
        let names = input.tasks.unwrap_or_default();
        tasks::check_names(&names, MOST)?;
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for name in &names {
            match tasks::look_up(view, call, &cluster, name)? {
                Some(row) => found.push(views::task(view, row, tags)),
                None => failures.push(tasks::missing(call, &cluster, name)),
            }
        }
        Ok(api::DescribeTasksResponse { tasks: Some(found), failures: Some(failures) })
    }
}

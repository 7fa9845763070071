//! DescribeClusters: what is not there is a failure entry, not an error.

use aws_protocol::ApiError;
use core_step::{Call, Demands, Input, Output, ReadAction, View};
use model_ecs::{self as api, errors};

use crate::rules::clusters;
use crate::views::{self, Include};

pub struct DescribeClusters;

/// AWS: up to 100 clusters a call.
const MOST: usize = 100;

impl ReadAction for DescribeClusters {
    type Op = api::ops::DescribeClusters;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let demand =
            |given: Option<&str>| clusters::demand(view, call, "ecs:DescribeClusters", given);
        match input.clusters.as_deref() {
            None | Some([]) => demand(None).into(),
            Some(names) => {
                let demands: Vec<_> = names.iter().take(MOST).map(|n| demand(Some(n))).collect();
                demands.into()
            }
        }
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let mut include = Include::default();
        for field in input.include.unwrap_or_default() {
            match field.as_str() {
                "ATTACHMENTS" => include.attachments = true,
                "CONFIGURATIONS" => include.configurations = true,
                "SETTINGS" => include.settings = true,
                "STATISTICS" => include.statistics = true,
                "TAGS" => include.tags = true,
                other => {
                    return Err(errors::invalid_parameter_exception(format!(
                        "Invalid value for include: {other}"
                    )));
                }
            }
        }
        let mut names = input.clusters.unwrap_or_default();
        if names.len() > MOST {
            return Err(errors::invalid_parameter_exception(
                "Clusters cannot have more than 100 elements.",
            ));
        }
        if names.is_empty() {
            names.push(clusters::DEFAULT.to_owned());
        }
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for name in &names {
            match clusters::look_up(view, call, Some(name)) {
                Some(row) => found.push(views::cluster(view, row, include)),
                None => failures.push(api::Failure {
                    arn: Some(clusters::demanded_arn(call, Some(name))),
                    reason: Some("MISSING".to_owned()),
                    ..Default::default()
                }),
            }
        }
        Ok(api::DescribeClustersResponse { clusters: Some(found), failures: Some(failures) })
    }
}

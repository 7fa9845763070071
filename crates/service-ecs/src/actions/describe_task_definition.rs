//! DescribeTaskDefinition: by family (the latest ACTIVE one), by revision, by ARN.

use aws_protocol::ApiError;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ecs as api;

use crate::rules::task_definition::check_enum;
use crate::rules::task_definitions;
use crate::views;

pub struct DescribeTaskDefinition;

impl ReadAction for DescribeTaskDefinition {
    type Op = api::ops::DescribeTaskDefinition;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("ecs:DescribeTaskDefinition").into()
    }

    fn run(
        call: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let include = input.include.unwrap_or_default();
        for field in &include {
            check_enum("include", Some(field.as_str()), api::TaskDefinitionField::VALUES)?;
        }
        let given = input.task_definition.as_deref().unwrap_or_default();
        let row = task_definitions::find_described(view, call, given)?;
        let wants_tags = !include.is_empty();
        Ok(api::DescribeTaskDefinitionResponse {
            task_definition: Some(views::task_definition(row)),
            tags: Some(if wants_tags { row.tags.clone() } else { Vec::new() }),
        })
    }
}

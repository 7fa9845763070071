//! ListServicesByNamespace: services that are in a namespace of Cloud Map. Service Connect is not
//! here, so that none is in any; a namespace that could be one has none.

use aws_protocol::ApiError;
use core_step::{Call, Demand, Demands, Input, Output, ReadAction, View};
use model_ecs::{self as api, errors};

use crate::rules::lists;

pub struct ListServicesByNamespace;

const LIST: &str = "ListServicesByNamespace";

impl ReadAction for ListServicesByNamespace {
    type Op = api::ops::ListServicesByNamespace;

    fn authorize(_: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let namespace = input.namespace.clone().unwrap_or_default();
        Demand::anywhere("ecs:ListServicesByNamespace").with("ecs:namespace", namespace).into()
    }

    fn run(_: &Call, _: &View<'_>, input: Input<Self::Op>) -> Result<Output<Self::Op>, ApiError> {
        lists::size(input.max_results)?;
        lists::after(LIST, input.next_token.as_deref())?;
        let namespace = input.namespace.as_deref().unwrap_or_default();
        if namespace.is_empty() || !namespace.starts_with("arn:") {
            // AWS: a name is looked up, and no namespace of this name is here.
            return Err(errors::namespace_not_found_exception("Namespace not found."));
        }
        Ok(api::ListServicesByNamespaceResponse {
            service_arns: Some(Vec::new()),
            ..Default::default()
        })
    }
}

//! Which resource a permission is asked on.
//!
//! AWS: permissions on a group are asked on the stream without a name inside it, so that a policy
//! for `log-group:NAME:*` holds for the group and its streams alike; only tags are asked for on the
//! group's own ARN.

use core_step::{Call, Demand, View};

use super::groups;
use crate::rows::group::arn_of;

/// On a group named or identified in the call.
pub fn on_group(call: &Call, view: &View<'_>, action: &'static str, identifier: &str) -> Demand {
    on_stream(call, view, action, identifier, "")
}

pub fn on_stream(
    call: &Call,
    view: &View<'_>,
    action: &'static str,
    identifier: &str,
    stream: &str,
) -> Demand {
    let name = groups::name_in(identifier);
    let resource = format!("{}:log-stream:{stream}", arn_of(call.scope(), name));
    with_tags(call, view, Demand::on(action, resource), name)
}

/// On the group's own ARN.
pub fn on_tags(call: &Call, view: &View<'_>, action: &'static str, identifier: &str) -> Demand {
    let name = groups::name_in(identifier);
    let demand = Demand::on(action, arn_of(call.scope(), name));
    with_tags(call, view, demand, name)
}

fn with_tags(call: &Call, view: &View<'_>, demand: Demand, name: &str) -> Demand {
    match crate::ops::group_named(view, call.scope(), name) {
        Some(group) => {
            demand.resource_tags(group.tags.iter().map(|(k, v)| (k.as_str(), v.as_str())))
        }
        None => demand,
    }
}

/// AWS: seeing what is masked takes a permission of its own. Nothing is masked here, as no data
/// protection policy can be made, but the permission is asked all the same.
pub fn unmask(
    call: &Call,
    view: &View<'_>,
    demands: &mut Vec<Demand>,
    asked: Option<bool>,
    identifier: &str,
) {
    if asked == Some(true) {
        demands.push(on_group(call, view, "logs:Unmask", identifier));
    }
}

//! Network interfaces of tasks in `awsvpc` mode: the one place where EC2's slice is asked for
//! subnets, security groups and addresses.

use std::sync::Arc;

use aws_agent::task::{ElasticNetworkInterface, Ipv4Address};
use aws_protocol::ApiError;
use core_state::{State, Tx};
use core_types::{Id128, Scope};
use model_ecs::{self as api, errors};
use serde::{Deserialize, Serialize};
use service_ec2::ops;

use super::task_definition::is_mode;
use crate::rows::task::{Attachment, AttachmentStatus, Task};

/// AWS: sixteen subnets and five security groups.
const MOST_SUBNETS: usize = 16;
const MOST_GROUPS: usize = 5;
const KIND: &str = "ElasticNetworkInterface";

fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

/// Where a task's interface may be: subnets with their zones, and its security groups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    subnets: Vec<(String, String)>,
    groups: Vec<String>,
}

impl Wanted {
    pub fn zones(&self) -> Vec<String> {
        self.subnets.iter().map(|(_, zone)| zone.clone()).collect()
    }
}

/// A network configuration that fits the definition, what it names there.
pub fn check(
    state: &State,
    scope: Scope,
    definition: &api::TaskDefinition,
    given: Option<&api::NetworkConfiguration>,
) -> Result<Option<Wanted>, ApiError> {
    let given = given.and_then(|given| given.awsvpc_configuration.as_ref());
    let Some(given) = given else {
        return match is_mode(definition, "awsvpc") {
            true => Err(invalid(
                "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
            )),
            false => Ok(None),
        };
    };
    if !is_mode(definition, "awsvpc") {
        return Err(invalid(
            "Network Configuration is not valid for the given networkMode of this task definition.",
        ));
    }
    let ids = given.subnets.as_deref().unwrap_or_default();
    if ids.is_empty() {
        return Err(invalid("subnets can not be empty."));
    }
    if ids.len() > MOST_SUBNETS {
        return Err(invalid("subnets can have at most 16 items."));
    }
    let groups = given.security_groups.as_deref().unwrap_or_default();
    if groups.len() > MOST_GROUPS {
        return Err(invalid("securityGroups can have at most 5 items."));
    }
    let told = |what: &str, id: &str, error: ApiError| {
        let ApiError { code, message, .. } = error;
        let message = message.trim_end_matches('.');
        invalid(format!(
            "Error retrieving {what} information for [{id}]: {message} (ErrorCode: {code})"
        ))
    };
    let mut subnets = Vec::new();
    for id in ids {
        let found = ops::find_subnet(state, scope, id);
        let found = found.map_err(|error| told("subnet", id, error))?;
        subnets.push((found.id, found.zone_name));
    }
    let found = ops::find_groups(state, scope, groups);
    let groups = found.map_err(|error| told("security group", &groups.join(", "), error))?;
    Ok(Some(Wanted { subnets, groups }))
}

/// Give a task on a host in `zone` its interface; the error is why it has none, in AWS's words.
pub fn create(
    tx: &mut Tx<'_>,
    scope: Scope,
    wanted: &Wanted,
    zone: Option<&str>,
    host: Option<Arc<str>>,
) -> Result<Attachment, String> {
    let near = wanted.subnets.iter().find(|(_, of)| Some(of.as_str()) == zone);
    let (subnet, _) = near.unwrap_or(&wanted.subnets[0]);
    let id = tx.dice.id();
    let description = scope.arn("ecs", format_args!("attachment/{}", id.dashed()));
    let new = ops::NewInterface { subnet, groups: wanted.groups.clone(), description };
    let made = ops::create_interface(tx, scope, new).map_err(|error| {
        format!(
            "Unexpected EC2 error while attempting to Create Network Interface in subnet \
             '{subnet}': {}",
            error.code
        )
    })?;
    if let Some(host) = host {
        ops::attach_interface(tx, &made.key, host);
    }
    let details = [
        ("subnetId", subnet.clone()),
        ("networkInterfaceId", made.key.to_string()),
        ("macAddress", made.mac()),
        ("privateDnsName", ops::private_dns_name(scope.region, made.address)),
        ("privateIPv4Address", made.address.to_string()),
    ];
    Ok(Attachment {
        id,
        kind: KIND.into(),
        observed_status: AttachmentStatus::Attaching,
        details: details.into_iter().map(|(name, value)| (name.into(), value)).collect(),
    })
}

fn is_interface(attachment: &&Attachment) -> bool {
    &*attachment.kind == KIND
}

fn detail<'a>(attachment: &'a Attachment, name: &str) -> Option<&'a str> {
    let found = attachment.details.iter().find(|(key, _)| &**key == name);
    found.map(|(_, value)| value.as_str())
}

/// Whether a task still has an interface.
pub fn has_any(task: &Task) -> bool {
    let mut all = task.extras.iter().flat_map(|extras| &extras.attachments).filter(is_interface);
    all.any(|attachment| attachment.observed_status < AttachmentStatus::Deleted)
}

/// Give the addresses of a task back.
pub fn release(tx: &mut Tx<'_>, id: &Id128) {
    let Some(task) = tx.get::<Task>(id) else { return };
    let all = task.extras.iter().flat_map(|extras| &extras.attachments).filter(is_interface);
    let keys: Vec<Arc<str>> =
        all.filter_map(|one| Some(detail(one, "networkInterfaceId")?.into())).collect();
    keys.iter().for_each(|key| ops::delete_interface(tx, key));
    tx.edit::<Task>(id, |task| {
        let all = task.extras.iter_mut().flat_map(|extras| &mut extras.attachments);
        all.for_each(|one| one.observed_status = AttachmentStatus::Deleted);
        task.version += 1;
    });
}

/// A task's interfaces as its host is told of them.
pub fn told(state: &State, task: &Task) -> Vec<ElasticNetworkInterface> {
    told_if(state, task, |_| true)
}

/// Those that are still to appear there.
pub fn attaching(state: &State, task: &Task) -> Vec<ElasticNetworkInterface> {
    told_if(state, task, |one| one.observed_status < AttachmentStatus::Attached)
}

fn told_if(
    state: &State,
    task: &Task,
    wanted: impl Fn(&Attachment) -> bool,
) -> Vec<ElasticNetworkInterface> {
    let scope = task.cluster.0;
    let all = task.extras.iter().flat_map(|extras| &extras.attachments).filter(is_interface);
    let interface = |one: &Attachment| {
        let text = |name: &str| detail(one, name).unwrap_or_default().to_owned();
        let subnet = ops::find_subnet(state, scope, detail(one, "subnetId")?).ok()?;
        let prefix = subnet.cidr.prefix_len();
        Some(ElasticNetworkInterface {
            ec2_id: text("networkInterfaceId"),
            mac_address: text("macAddress"),
            attachment_arn: scope.arn("ecs", format_args!("attachment/{}", one.id.dashed())),
            index: 1,
            ipv4_addresses: vec![Ipv4Address {
                primary: true,
                private_address: text("privateIPv4Address"),
            }],
            subnet_gateway_ipv4_address: format!("{}/{prefix}", ops::gateway(&subnet)),
            private_dns_name: text("privateDnsName"),
            interface_association_protocol: "default".to_owned(),
            ..Default::default()
        })
    };
    all.filter(|one| wanted(one)).filter_map(interface).collect()
}

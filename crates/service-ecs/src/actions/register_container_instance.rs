//! RegisterContainerInstance: an agent tells what its host is and has.
//!
//! The agent registers again at each start, with the ARN that it remembers; a machine that has
//! lost its memory is known by its instance id. Either way it stays one instance.

use std::sync::Arc;

use aws_protocol::ApiError;
use core_state::{State, Tx};
use core_step::{Call, Demands, Input, Output, Principal, View, WriteAction};
use model_ecs::{self as api, errors};
use serde::Deserialize;

use crate::rows::cluster::{Cluster, ClusterKey};
use crate::rows::container_instance::{
    ContainerInstance, InstanceOfMachine, InstanceOfToken, InstanceStatus,
};
use crate::rows::task::{StopCode, Task, TasksOn};
use crate::rules::tags;
use crate::rules::{attributes, capacity_providers, clusters, daemons, instances, life, resources};
use crate::views;

pub struct RegisterContainerInstance;

/// Longer identity documents are none.
const LONGEST_DOCUMENT: usize = 16 * 1024;
/// More attributes than any agent has.
const MOST_ATTRIBUTES: usize = 500;
const MOST_GPUS: usize = 64;
/// Tokens are UUIDs; devices have names of about that length.
const LONGEST_TOKEN: usize = 128;

impl WriteAction for RegisterContainerInstance {
    type Op = api::ops::RegisterContainerInstance;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let action = "ecs:RegisterContainerInstance";
        let given = input.tags.as_deref();
        let demand = clusters::demand(view, call, action, input.cluster.as_deref());
        let mut demands = vec![demand.request_tags(tags::pairs(given.unwrap_or_default()))];
        let (scope, cluster) = clusters::key_of(call, input.cluster.as_deref());
        let arn = scope.arn("ecs", format_args!("container-instance/{cluster}/*"));
        let name = "RegisterContainerInstance";
        demands.extend(tags::demand_on_create(view, call, name, arn, given));
        // Who registered an instance speaks for it; another one's is not to be taken over.
        let machine = Machine::of(view, call, input).unwrap_or_default();
        let known = known(call, view.state(), &(scope, cluster), input, &machine);
        demands.extend(known.ok().flatten().and_then(|row| instances::on_behalf(call, row)));
        demands.into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let cluster: &Cluster = clusters::find_cluster(tx, call, input.cluster.as_deref())?;
        let cluster = cluster.key.clone();
        let given_tags = input.tags.clone().unwrap_or_default();
        tags::check_tags(&given_tags)?;
        let machine = Machine::of(tx, call, &input)?;
        let attributes = told(&input, &machine)?;
        let capacity_provider = capacity_providers::of_machine(&attributes)?;
        let awaits = daemons::first_wait(tx, &cluster, capacity_provider.as_ref());
        let known = known(call, tx, &cluster, &input, &machine)?.cloned();
        let client_token = token(&input)?.map(Into::into);
        let gpus = gpus(&input)?;
        let resources = input.total_resources.unwrap_or_default();
        if resources.iter().any(|resource| resource.integer_value.is_some_and(|n| n < 0)) {
            return Err(errors::invalid_parameter_exception("A resource cannot be negative."));
        }
        let resources = resources.into_iter().map(resources::filled).collect();
        let named = input.container_instance_arn.as_deref().is_some_and(|arn| !arn.is_empty());
        let forgetful = known.is_some() && machine.instance_id.is_some() && !named;
        let row = match known {
            Some(there) => {
                check_type(&there, &attributes)?;
                let told = match named {
                    true => attributes::told_again(attributes, &there.agent_attributes),
                    // Who has lost its memory tells all of them, as if for the first time.
                    false => attributes,
                };
                ContainerInstance {
                    version: there.version + 1,
                    agent_attributes: told,
                    resources,
                    version_info: input.version_info.or(there.version_info),
                    tags: if given_tags.is_empty() { there.tags } else { given_tags },
                    registered_by: there.registered_by.or(Some(call.caller.arn.clone())),
                    client_token: client_token.or(there.client_token),
                    gpus,
                    // AWS: an agent tells the attributes of its configuration once.
                    capacity_provider: capacity_provider.or(there.capacity_provider),
                    ..there
                }
            }
            None => ContainerInstance {
                id: tx.dice.id(),
                cluster,
                status: InstanceStatus::Active,
                ec2_instance_id: machine.instance_id.map(Into::into),
                registered_at: tx.now(),
                version: 1,
                agent_attributes: attributes,
                custom_attributes: Vec::new(),
                resources,
                version_info: input.version_info,
                tags: given_tags,
                observed_connected: false,
                observed_session: 0,
                lost_at: None,
                terminating: None,
                registered_by: Some(call.caller.arn.clone()),
                client_token,
                gpus,
                agent_update: None,
                observed_checks: Vec::new(),
                awaits,
                capacity_provider,
                forget_at: None,
            },
        };
        let shown = views::container_instance(tx, &row, true, false);
        if forgetful {
            forget_tasks(tx, &row);
        }
        tx.put(row);
        Ok(api::RegisterContainerInstanceResponse { container_instance: Some(shown) })
    }
}

/// An agent remembers its tasks where it remembers its instance's ARN. One that comes without has
/// lost both: its tasks are nobody's any more, and may not be counted as running.
fn forget_tasks(tx: &mut Tx<'_>, host: &ContainerInstance) {
    let reason = life::host_gone(host);
    let known = |task: &&Task| !task.is_stopped() && task.observed_acknowledged.is_some();
    let tasks: Vec<_> = tx.by::<TasksOn>(&host.id).filter(known).map(|task| task.id).collect();
    for task in tasks {
        life::give_up(tx, task, StopCode::TerminationNotice, &reason, true);
    }
}

/// What an instance identity document says; hosts elsewhere send an empty text.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Machine {
    instance_id: Option<String>,
    availability_zone: Option<String>,
    instance_type: Option<String>,
    image_id: Option<String>,
}

impl Machine {
    /// AWS: a machine elsewhere has no document, and is the managed instance whose session it has.
    fn of(
        state: &State,
        call: &Call,
        input: &api::RegisterContainerInstanceRequest,
    ) -> Result<Machine, ApiError> {
        let mut machine = Machine::read(input.instance_identity_document.as_deref())?;
        if machine.instance_id.is_none()
            && let Principal::AssumedRole { role, session } = &call.caller.principal
            && service_ssm::ops::is_managed(state, call.scope(), session, role)
        {
            machine.instance_id = Some(session.to_string());
        }
        Ok(machine)
    }

    fn read(document: Option<&str>) -> Result<Machine, ApiError> {
        let Some(text) = document.filter(|text| !text.is_empty()) else {
            return Ok(Machine::default());
        };
        // Serde would take a list for the structure's members in order; a document is an object.
        let object = text.trim_start().starts_with('{') && text.len() <= LONGEST_DOCUMENT;
        let machine = serde_json::from_str(text).ok().filter(|_| object);
        let bad = || errors::client_exception("Instance identity document is not valid.");
        machine.ok_or_else(bad)
    }
}

/// The agent's attributes, every one of them, and what the document adds.
///
/// The agent ends itself when one that it sent does not come back with the same value.
fn told(
    input: &api::RegisterContainerInstanceRequest,
    machine: &Machine,
) -> Result<Vec<api::Attribute>, ApiError> {
    let mut all = input.attributes.clone().unwrap_or_default();
    if all.len() > MOST_ATTRIBUTES {
        return Err(errors::invalid_parameter_exception("Too many attributes."));
    }
    if all.iter().any(|attribute| attribute.name.as_deref().unwrap_or_default().is_empty()) {
        return Err(errors::invalid_parameter_exception("Attribute name cannot be empty."));
    }
    let long = |text: &Option<String>| text.as_ref().is_some_and(|text| text.len() > 128);
    if all.iter().any(|attribute| long(&attribute.name) || long(&attribute.value)) {
        return Err(errors::invalid_parameter_exception(
            "Attribute names and values are at most 128 characters long.",
        ));
    }
    for (name, value) in [
        ("ecs.availability-zone", &machine.availability_zone),
        ("ecs.instance-type", &machine.instance_type),
        ("ecs.ami-id", &machine.image_id),
    ] {
        let there = all.iter().any(|attribute| attribute.name.as_deref() == Some(name));
        if let (Some(value), false) = (value, there) {
            all.push(api::Attribute {
                name: Some(name.to_owned()),
                value: Some(value.clone()),
                ..Default::default()
            });
        }
    }
    Ok(all)
}

/// The instance that registers again: by its ARN, else as the machine that it is, else by the
/// token of the call that is repeated (hosts elsewhere have nothing else).
fn known<'s>(
    call: &Call,
    state: &'s State,
    cluster: &ClusterKey,
    input: &api::RegisterContainerInstanceRequest,
    machine: &Machine,
) -> Result<Option<&'s ContainerInstance>, ApiError> {
    if let Some(arn) = input.container_instance_arn.as_deref().filter(|arn| !arn.is_empty()) {
        let row = instances::look_up(state, call, cluster, arn);
        let row = row.filter(|row| row.status != InstanceStatus::Inactive);
        let gone = || {
            errors::invalid_parameter_exception(
                "The referenced container instance is not registered in the cluster.",
            )
        };
        return row.map(Some).ok_or_else(gone);
    }
    if let Some(id) = &machine.instance_id {
        let key = (cluster.clone(), id.as_str().into());
        return Ok(state.by::<InstanceOfMachine>(&key).next());
    }
    let Some(token) = token(input)? else { return Ok(None) };
    Ok(state.by::<InstanceOfToken>(&(cluster.clone(), token.into())).next())
}

fn token(input: &api::RegisterContainerInstanceRequest) -> Result<Option<&str>, ApiError> {
    match input.client_token.as_deref().filter(|token| !token.is_empty()) {
        Some(token) if token.len() > LONGEST_TOKEN => {
            Err(errors::invalid_parameter_exception("clientToken is too long."))
        }
        token => Ok(token),
    }
}

/// The ids of the GPUs that the agent names.
fn gpus(input: &api::RegisterContainerInstanceRequest) -> Result<Vec<Arc<str>>, ApiError> {
    let all = input.platform_devices.iter().flatten();
    let gpus = all.filter(|one| one.r#type.as_ref().is_some_and(|kind| kind.as_str() == "GPU"));
    let ids: Vec<Arc<str>> = gpus.filter_map(|one| Some(one.id.as_deref()?.into())).collect();
    if ids.len() > MOST_GPUS || ids.iter().any(|id| id.len() > LONGEST_TOKEN) {
        return Err(errors::invalid_parameter_exception("Too many platform devices."));
    }
    Ok(ids)
}

/// AWS: an instance keeps its type; a resized machine registers anew.
fn check_type(there: &ContainerInstance, new: &[api::Attribute]) -> Result<(), ApiError> {
    let of = |list: &[api::Attribute]| {
        let found = list.iter().find(|a| a.name.as_deref() == Some("ecs.instance-type"));
        found.and_then(|attribute| attribute.value.clone())
    };
    match (of(&there.agent_attributes), of(new)) {
        (Some(old), Some(new)) if old != new => Err(errors::client_exception(format!(
            "Container instance type changes are not supported. Container instance {} was \
             previously registered as {old}.",
            there.id
        ))),
        _ => Ok(()),
    }
}

//! StartTask: on the instances that the caller names; each that cannot take it is a failure.

use aws_protocol::ApiError;
use core_placement::{Pool, Refused};
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs::{self as api, errors};

use crate::rows::container_instance::InstanceStatus;
use crate::rows::task::{Launch, Task};
use crate::rules::launch::{self, Given};
use crate::rules::{clusters, instances, placing, roles, tags};
use crate::views;

pub struct StartTask;

/// AWS: ten instances a call.
const MOST: usize = 10;

fn given(input: &Input<api::ops::StartTask>) -> Given {
    Given {
        task_definition: input.task_definition.clone(),
        overrides: input.overrides.clone(),
        group: input.group.clone(),
        started_by: input.started_by.clone(),
        tags: input.tags.clone().unwrap_or_default(),
        propagate_tags: input.propagate_tags.clone(),
        managed_tags: input.enable_ecs_managed_tags.unwrap_or_default(),
        exec_enabled: input.enable_execute_command.unwrap_or_default(),
        network: input.network_configuration.clone(),
        volumes: input.volume_configurations.clone().unwrap_or_default(),
        reference_id: input.reference_id.clone(),
        platform_version: None,
    }
}

impl WriteAction for StartTask {
    type Op = api::ops::StartTask;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let key = clusters::key_of(call, input.cluster.as_deref());
        let cluster = clusters::demanded_arn(call, input.cluster.as_deref());
        let given = given(input);
        let mut demands = launch::demands(view, call, "ecs:StartTask", cluster, &given);
        let names = input.container_instances.iter().flatten().take(MOST);
        let arns: Vec<String> = names.map(|n| instances::told_arn(call, &key, n)).collect();
        if !arns.is_empty() {
            let first = demands.remove(0);
            demands.insert(0, first.with_all("ecs:container-instances", arns));
        }
        let arn = key.0.arn("ecs", format_args!("task/{}/*", key.1));
        demands.extend(tags::demand_on_create(view, call, "StartTask", arn, Some(&given.tags)));
        demands.into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let cluster = clusters::find_cluster(tx, call, input.cluster.as_deref())?.key.clone();
        let names = input.container_instances.clone().unwrap_or_default();
        if names.is_empty() {
            return Err(errors::client_exception("Container Instances cannot be empty."));
        }
        if names.len() > MOST {
            return Err(errors::invalid_parameter_exception(
                "Container instances cannot have more than 10 elements.",
            ));
        }
        let (mut tasks, mut failures) = (Vec::new(), Vec::new());
        let mut prepared = None;
        for name in &names {
            let Some(row) = instances::look_up(tx, call, &cluster, name) else {
                failures.push(instances::missing(call, &cluster, name));
                continue;
            };
            let launch = match row.is_external() {
                true => Launch::External,
                false => Launch::Ec2,
            };
            let id = row.id;
            let gone = row.status == InstanceStatus::Inactive;
            let mut pool = Pool::default();
            pool.put(core_placement::Instance {
                // AWS: StartTask may name a draining instance.
                active: !gone,
                ..placing::instance(tx, row)
            });
            let fresh = launch::prepare(tx, call, &cluster, launch, given(&input))?;
            roles::check(tx, tx.now(), &fresh)?;
            let ask = fresh.ask(&[], &[])?;
            match pool.place_on(&ask, id) {
                Ok(placed) => {
                    let id = fresh.start(tx, &placed, None);
                    let row = tx.get::<Task>(&id).expect("it was just started");
                    tasks.push(views::task(tx, row, true));
                }
                Err(reason) => {
                    let refused = Refused { instance: id, reason };
                    failures.push(placing::failure(&cluster, &ask, pool.get(id), &refused));
                }
            }
            prepared = Some(fresh);
        }
        if prepared.is_none() {
            // Nothing was there to start on; the rest of the call is judged all the same.
            launch::prepare(tx, call, &cluster, Launch::Ec2, given(&input))?;
        }
        Ok(api::StartTaskResponse { tasks: Some(tasks), failures: Some(failures) })
    }
}

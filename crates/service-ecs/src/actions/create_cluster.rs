//! CreateCluster. Naming a cluster that is there already returns it unchanged.

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demands, Input, Output, View, WriteAction};
use model_ecs::{self as api, errors};

use crate::rows::cluster::{Cluster, ClusterStatus};
use crate::rules::{clusters, settings, strategy, tags};
use crate::views::{self, Include};

pub struct CreateCluster;

impl WriteAction for CreateCluster {
    type Op = api::ops::CreateCluster;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let given = input.tags.as_deref();
        let arn = clusters::demanded_arn(call, input.cluster_name.as_deref());
        let mut demand =
            clusters::demand(view, call, "ecs:CreateCluster", input.cluster_name.as_deref())
                .request_tags(tags::pairs(given.unwrap_or_default()));
        if let Some(providers) = input.capacity_providers.as_ref().filter(|p| !p.is_empty()) {
            let arns = providers.iter().map(|name| views::provider_arn(call.scope(), name));
            demand = demand.with_all("ecs:capacity-provider", arns.collect());
        }
        let mut demands = vec![clusters::with_storage_key(demand, input.configuration.as_ref())];
        demands.extend(tags::demand_on_create(view, call, "CreateCluster", arn, given));
        demands.into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let name = clusters::name_of(input.cluster_name.as_deref());
        clusters::check_name(name)?;
        let key = (call.scope(), name.into());
        let asked = input.clone();
        let given_tags = input.tags.unwrap_or_default();
        tags::check_tags(&given_tags)?;
        let insights = settings::effective_for(tx, call, "containerInsights");
        let providers = input.capacity_providers.unwrap_or_default();
        let providers = strategy::check_providers(tx, call.scope(), name, &providers)?;
        let items = input.default_capacity_provider_strategy.unwrap_or_default();
        let row = Cluster {
            key: key.clone(),
            status: ClusterStatus::Active,
            created_at: tx.now(),
            settings: clusters::settings_with_defaults(
                input.settings.unwrap_or_default(),
                insights,
            )?,
            configuration: clusters::check_configuration(input.configuration)?,
            default_strategy: strategy::check_strategy(&providers, items)?,
            capacity_providers: providers,
            service_connect: clusters::check_namespace(input.service_connect_defaults)?,
            tags: given_tags,
            forget_at: None,
        };
        match tx.get::<Cluster>(&key).filter(|c| c.status == ClusterStatus::Active) {
            Some(there) => check_same(there, &row, &asked)?,
            None => tx.put(row),
        }
        let row = tx.get::<Cluster>(&key).expect("it was there or was put");
        Ok(api::CreateClusterResponse { cluster: Some(views::cluster(tx, row, Include::WRITTEN)) })
    }
}

/// AWS: making a cluster again must not mean another one. What is not given is not compared.
fn check_same(
    there: &Cluster,
    wanted: &Cluster,
    asked: &api::CreateClusterRequest,
) -> Result<(), ApiError> {
    let same = (asked.settings.is_none() || there.settings == wanted.settings)
        && (asked.configuration.is_none() || there.configuration == wanted.configuration)
        && (asked.capacity_providers.is_none()
            || there.capacity_providers == wanted.capacity_providers)
        && (asked.default_capacity_provider_strategy.is_none()
            || there.default_strategy == wanted.default_strategy)
        && (asked.service_connect_defaults.is_none()
            || there.service_connect == wanted.service_connect)
        && (asked.tags.as_ref().is_none_or(|tags| tags.is_empty()) || there.tags == wanted.tags);
    match same {
        true => Ok(()),
        false => Err(errors::invalid_parameter_exception(
            "Arguments on this idempotent request are inconsistent with arguments used in \
             previous request(s).",
        )),
    }
}

//! Capacity providers of a cluster, and strategies over them.

use aws_protocol::ApiError;
use core_state::State;
use core_types::{Arn, Scope};
use model_ecs::{self as api, errors};

use super::deployments::revision_of;
use crate::rows::capacity_provider::CapacityProvider;
use crate::rows::cluster::Cluster;
use crate::rows::service::ServicesIn;
use crate::rows::task::{Task, TasksIn};

/// Built in: they cannot be made, changed or deleted.
pub const BUILT_IN: [&str; 2] = ["FARGATE", "FARGATE_SPOT"];

/// AWS: twenty items a strategy.
const MOST: usize = 20;

fn invalid(text: impl Into<String>) -> ApiError {
    errors::invalid_parameter_exception(text)
}

/// The name inside a capacity provider's short name or ARN.
pub fn provider_name(given: &str) -> &str {
    Arn::parse(given).ok().and_then(|arn| arn.resource_of("capacity-provider")).unwrap_or(given)
}

/// Providers by their names, each there and fit for the cluster.
pub fn check_providers(
    state: &State,
    scope: Scope,
    cluster: &str,
    given: &[String],
) -> Result<Vec<String>, ApiError> {
    let mut names: Vec<String> = Vec::new();
    for one in given {
        let name = provider_name(one);
        if names.iter().any(|other| other == name) {
            return Err(invalid(
                "The specified capacity providers contain a duplicate. Remove it and try again.",
            ));
        }
        check_provider(state, scope, cluster, name)?;
        names.push(name.to_owned());
    }
    Ok(names)
}

/// AWS: a cluster keeps a provider for as long as a service of its names it or a task runs on it.
pub fn check_unused(
    state: &State,
    cluster: &Cluster,
    remaining: &[String],
) -> Result<(), ApiError> {
    let mut removed = cluster.capacity_providers.clone();
    removed.retain(|name| !remaining.contains(name));
    if removed.is_empty() {
        return Ok(());
    }
    let goes = |name: Option<&str>| name.is_some_and(|name| removed.iter().any(|one| one == name));
    let services = state.by::<ServicesIn>(&cluster.key);
    let revisions = services.filter_map(|row| revision_of(state, row));
    let named = revisions
        .flat_map(|revision| &revision.providers)
        .any(|item| goes(item.capacity_provider.as_deref()));
    let on = |task: &Task| task.extras.as_ref().and_then(|extras| extras.capacity_provider.clone());
    let running =
        || state.by::<TasksIn>(&(cluster.key.clone(), true)).any(|task| goes(on(task).as_deref()));
    match named || running() {
        false => Ok(()),
        true => Err(errors::resource_in_use_exception(
            "The specified capacity provider is in use and cannot be removed.",
        )),
    }
}

fn check_provider(state: &State, scope: Scope, cluster: &str, name: &str) -> Result<(), ApiError> {
    if BUILT_IN.contains(&name) {
        return Ok(());
    }
    let missing = || {
        invalid(
            "The specified capacity provider was not found. Specify a valid name or ARN and try \
             again.",
        )
    };
    let row = state.get::<CapacityProvider>(&(scope, name.into())).ok_or_else(missing)?;
    if !row.active {
        return Err(invalid(
            "The specified capacity provider is not in an ACTIVE state. Specify a valid capacity \
             provider and try again.",
        ));
    }
    // AWS: a provider of managed instances belongs to one cluster.
    if row.cluster.as_deref().is_some_and(|of| of != cluster) {
        return Err(missing());
    }
    Ok(())
}

/// A strategy with its defaults, over providers that the cluster has.
pub fn check_strategy(
    providers: &[String],
    given: Vec<api::CapacityProviderStrategyItem>,
) -> Result<Vec<api::CapacityProviderStrategyItem>, ApiError> {
    if given.len() > MOST {
        return Err(invalid(
            "The specified capacity provider strategy cannot contain more than 20 items.",
        ));
    }
    let mut items: Vec<api::CapacityProviderStrategyItem> = Vec::with_capacity(given.len());
    for item in given {
        let name = provider_name(item.capacity_provider.as_deref().unwrap_or_default());
        if !providers.iter().any(|provider| provider == name) {
            return Err(invalid(
                "The specified capacity provider strategy cannot contain a capacity provider \
                 that is not associated with the cluster. Associate the capacity provider with \
                 the cluster and try again.",
            ));
        }
        if items.iter().any(|other| other.capacity_provider.as_deref() == Some(name)) {
            return Err(invalid(
                "The specified capacity provider strategy contains a capacity provider more than \
                 once.",
            ));
        }
        let (base, weight) = (item.base.unwrap_or(0), item.weight.unwrap_or(0));
        if !(0..=100_000).contains(&base) {
            return Err(invalid("The base value must be between 0 and 100000."));
        }
        if !(0..=1000).contains(&weight) {
            return Err(invalid("The weight value must be between 0 and 1000."));
        }
        items.push(api::CapacityProviderStrategyItem {
            capacity_provider: Some(name.to_owned()),
            base: Some(base),
            weight: Some(weight),
        });
    }
    if items.iter().filter(|item| item.base > Some(0)).count() > 1 {
        return Err(invalid(
            "The specified capacity provider strategy contains multiple capacity providers with \
             a base value defined.",
        ));
    }
    let fargate = |item: &api::CapacityProviderStrategyItem| {
        item.capacity_provider.as_deref().is_some_and(|name| BUILT_IN.contains(&name))
    };
    if items.iter().any(fargate) && !items.iter().all(fargate) {
        return Err(invalid(
            "A capacity provider strategy cannot contain a mix of capacity providers using Auto \
             Scaling groups and Fargate providers. Specify one or the other and try again.",
        ));
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str, base: i32, weight: i32) -> api::CapacityProviderStrategyItem {
        api::CapacityProviderStrategyItem {
            capacity_provider: Some(name.to_owned()),
            base: Some(base),
            weight: Some(weight),
        }
    }

    #[test]
    fn strategies_are_checked() {
        let has = ["FARGATE", "FARGATE_SPOT", "asg"].map(String::from);
        let check = |items: &[api::CapacityProviderStrategyItem]| {
            check_strategy(&has, items.to_vec()).map_err(|error| error.message)
        };
        let good = [item("FARGATE", 1, 1), item("FARGATE_SPOT", 0, 4)];
        assert_eq!(check(&good).unwrap(), good);
        let bare = api::CapacityProviderStrategyItem {
            capacity_provider: Some("asg".into()),
            ..Default::default()
        };
        assert_eq!(check(&[bare]).unwrap(), [item("asg", 0, 0)]);
        for (items, text) in [
            (vec![item("FARGATE", 1, 1), item("FARGATE_SPOT", 1, 1)], "multiple"),
            (vec![item("FARGATE", 0, 1), item("asg", 0, 1)], "mix"),
            (vec![item("other", 0, 1)], "not associated"),
            (vec![item("asg", 0, 1), item("asg", 0, 1)], "more than once"),
            (vec![item("asg", 100_001, 1)], "base"),
            (vec![item("asg", 0, 1001)], "weight"),
        ] {
            let error = check(&items).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }
}

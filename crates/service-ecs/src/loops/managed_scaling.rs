//! Managed scaling: keeps what is decided of each Auto Scaling group's size true to what is there and
//! what waits.

use core_state::{Change, State, Tx};
use core_step::Loop;

use super::waiting::key_of;
use crate::rows::capacity_provider::CapacityProvider;
use crate::rows::cluster::{Cluster, ClustersWith};
use crate::rows::container_instance::ContainerInstance;
use crate::rows::managed_scaling::{ManagedScaling as Scaling, ScaledProviders, ScalingKey};
use crate::rows::task::Task;
use crate::rules::capacity;
use crate::rules::scaling::{self, Decision, Measure, Past, Settings, Sight, Turn};

pub struct ManagedScaling;

impl Loop for ManagedScaling {
    type Key = ScalingKey;
    const NAME: &'static str = "ecs/managed-scaling";

    fn wake(change: &Change, state: &State, add: &mut dyn FnMut(ScalingKey)) {
        if let Some(row) = change.row::<Scaling>() {
            add(row.key.clone());
        }
        if let Some(row) = change.row::<CapacityProvider>() {
            let with = state.by::<ClustersWith>(&row.key);
            with.for_each(|cluster| add((cluster.key.clone(), row.key.1.clone())));
        }
        if let Some(row) = change.row::<Cluster>() {
            let names = row.capacity_providers.iter();
            names.for_each(|name| add((row.key.clone(), name.as_str().into())));
            // Those that it had.
            state.by::<ScaledProviders>(&row.key).for_each(|row| add(row.key.clone()));
        }
        if let Some((before, after)) = change.of::<ContainerInstance>() {
            let rows = before.into_iter().chain(after);
            rows.filter_map(key_of).for_each(&mut *add);
        }
        if let Some((before, after)) = change.of::<Task>() {
            let seen = |row: Option<&Task>| {
                let row = row?;
                Some((row.host, row.is_stopped(), row.waiting().is_some()))
            };
            if seen(before) == seen(after) && before != after {
                return;
            }
            for row in before.into_iter().chain(after) {
                let own = row.provider().map(|name| (row.cluster.clone(), name.clone()));
                let host = row.host.and_then(|host| state.get::<ContainerInstance>(&host));
                own.into_iter().chain(host.and_then(key_of)).for_each(&mut *add);
            }
        }
    }

    fn reconcile(tx: &mut Tx<'_>, key: &ScalingKey) {
        let row = tx.get::<Scaling>(key).cloned();
        let Some(settings) = capacity::settings(tx, &key.0, &key.1) else {
            if row.is_some() {
                tx.delete::<Scaling>(key);
            }
            return;
        };
        let starting = row.as_ref().map_or(0, |row| row.observed_starting);
        let sight = capacity::sight(tx, key, starting);
        let measure = scaling::measure(&settings, &sight);
        let past = row.as_ref().map_or(Past::found(&sight), past);
        let decision = scaling::decide(&settings, &sight, past, tx.now());
        let reason = reason(&settings, &sight, &measure, &decision, row.as_ref());
        let Decision { past, look_at, .. } = decision;
        tx.put(Scaling {
            key: key.clone(),
            observed_starting: starting,
            needed: measure.needed,
            there: measure.there,
            registered: sight.registered,
            reservation: measure.reservation,
            desired_size: past.size,
            reason,
            scaled_out_at: past.scaled_out_at,
            scaled_in_at: past.scaled_in_at,
            low_since: past.low_since,
            look_at,
        });
    }
}

fn past(row: &Scaling) -> Past {
    Past {
        size: row.desired_size,
        registered: row.registered,
        scaled_out_at: row.scaled_out_at,
        scaled_in_at: row.scaled_in_at,
        low_since: row.low_since,
    }
}

/// Why it is of the size that it is; told anew when the size changes.
fn reason(
    settings: &Settings,
    sight: &Sight,
    measure: &Measure,
    decision: &Decision,
    known: Option<&Scaling>,
) -> String {
    let size = decision.past.size;
    let waits: u32 = sight.waiting.iter().map(|group| group.tasks).sum();
    let at = format!("at a target capacity of {}%", settings.target);
    match (decision.turn, known.filter(|row| row.desired_size == size)) {
        (_, Some(row)) => row.reason.clone(),
        (Turn::Out, None) => format!(
            "{waits} tasks wait: {} instances are needed, {} are there; {size} {at}.",
            measure.needed, measure.there
        ),
        (Turn::In, None) => format!(
            "{} instances of {} run tasks, and that for a while; {size} {at}.",
            sight.busy, measure.there
        ),
        (Turn::Holds, None) => "It is as large as it was found.".to_owned(),
    }
}

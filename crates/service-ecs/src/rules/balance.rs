//! Which services even out their tasks over the zones, when, and what they tell of it.
//!
//! AWS: a service that is steady is watched. Where one zone has more tasks than another, new ones
//! are started where there are few, and once they serve as many go from where there are most.

use std::collections::BTreeMap;

use aws_protocol::ApiError;
use core_placement::Reason;
use core_rollout::{Census, Tasks, Zone, plan_balance};
use core_state::{State, Tx};
use core_types::Time;
use model_ecs::{self as api, errors};

use super::pictures::Seen;
use super::service_placing::{self, Next, Started, ZONE};
use super::services::tell;
use super::setbacks::Setback;
use super::{placing, pools, rollout};
use crate::rows::container_instance::{ContainerInstance, FargatePool, InstancesIn, OpenZones};
use crate::rows::service::{Controller, Rollout, Service, place_of};
use crate::rows::task::Launch;

/// Why a service cannot have its zones evened out.
fn unfit(row: &Service) -> Option<&'static str> {
    let first = row.strategy.first();
    let spread = first.is_none_or(|one| {
        let by_zone = one.field.as_deref().and_then(|field| field.strip_prefix("attribute:"));
        one.r#type == Some(api::PlacementStrategyType::SPREAD) && by_zone == Some(ZONE)
    });
    let mut expressions = row.constraints.iter().filter_map(|one| one.expression.as_deref());
    match () {
        () if row.daemon => Some("the DAEMON scheduling strategy"),
        () if row.controller == Controller::External => Some("the EXTERNAL deployment controller"),
        () if row.launch == Launch::External => Some("the EXTERNAL launch type"),
        () if row.configuration.maximum_percent.is_some_and(|most| most <= 100) => {
            Some("a maximumPercent of 100 or less")
        }
        () if !spread => Some("a first placement strategy other than Availability Zone spread"),
        () if expressions.any(|text| text.contains(ZONE)) => {
            Some("placement constraints on the Availability Zone")
        }
        () => None,
    }
}

/// What a call makes of the setting. `default`: what it is where nothing is said.
pub fn wanted(
    row: &Service,
    given: Option<&api::AvailabilityZoneRebalancing>,
    default: bool,
) -> Result<bool, ApiError> {
    let unfit = unfit(row);
    match (given.map(|given| given.as_str()), unfit) {
        (None, _) => Ok(default && unfit.is_none()),
        (Some("DISABLED"), _) => Ok(false),
        (Some("ENABLED"), None) => Ok(true),
        (Some("ENABLED"), Some(why)) => Err(errors::invalid_parameter_exception(format!(
            "Availability Zone rebalancing does not support {why}."
        ))),
        (Some(_), _) => Err(errors::invalid_parameter_exception(
            "availabilityZoneRebalancing should be one of [ENABLED, DISABLED]",
        )),
    }
}

/// AWS: not while a deployment is under way.
fn is_watched(row: &Service) -> bool {
    row.rebalancing
        && row.deployments.len() == 1
        && row.primary().is_some_and(|one| one.rollout == Rollout::Completed)
}

/// Whether what was started beyond the desired count has come up, so that as many go now.
pub fn ends(row: &mut Service, census: &Census) -> bool {
    row.uneven &= row.rebalancing;
    if row.extra == 0 || !is_watched(row) {
        row.extra = 0;
        return false;
    }
    let wanted = row.desired_count.saturating_add(row.extra);
    let serving = census.count(|version, kind| version == 0 && kind.serves());
    let ends = serving >= wanted;
    if ends {
        row.extra = 0;
    }
    ends
}

/// A steady service, looked at: start what evens it out.
pub fn even_out(tx: &mut Tx<'_>, row: &mut Service, now: Time) -> Started {
    let mut started = Started::default();
    if !is_watched(row) || row.batch_at == Some(now) {
        return started;
    }
    let seen = Seen::of(tx, row);
    let most = rollout::bounds(row, row.desired_count).most;
    let room = most.saturating_sub(seen.census().all());
    let mut zones = seen.zones();
    let place = place_of(&row.key.0, row.launch);
    for ((_, zone), _) in
        tx.sums::<OpenZones>((place.clone(), "".into())).take_while(|((at, _), _)| *at == place)
    {
        zones.entry(zone.to_string()).or_default().open = true;
    }
    let mut starts = plan_balance(&zones, room);
    let next = match starts.is_empty() {
        true => None,
        false => service_placing::next(tx, row),
    };
    if let Some(next) = &next {
        shut(tx, row, next, &mut zones);
        starts = plan_balance(&zones, room);
    }
    let Some(next) = next.filter(|_| !starts.is_empty()) else {
        if std::mem::take(&mut row.uneven) {
            tell(tx, row, &format!("is AZ balanced with {}.", told(&zones, true)));
        }
        return started;
    };
    if !row.uneven {
        row.uneven = true;
        let line =
            format!("is not AZ balanced with {}. AZ Rebalancing in progress.", told(&zones, false));
        tell(tx, row, &line);
    }
    for (zone, count) in starts {
        let mut there = next.clone();
        there.ask.need.zones = vec![zone.clone()];
        // One that waited would go wherever an instance comes up first, and nothing would be
        // even.
        let made = service_placing::start_now(tx, row, &there, count as usize);
        row.extra += made.tasks.len() as u32;
        if !made.tasks.is_empty() {
            let tasks: Vec<String> =
                made.tasks.iter().map(|task| format!("(task {task})")).collect();
            let (count, tasks) = (made.tasks.len(), tasks.join(" "));
            tell(
                tx,
                row,
                &format!("has started {count} tasks in {zone} to AZ Rebalance: {tasks}."),
            );
        }
        if let Some(problem) = made.problem {
            let text = unable(row.launch, &zone);
            started.problem.get_or_insert(Setback { text, ..problem });
        }
    }
    started
}

fn unable(launch: Launch, zone: &str) -> String {
    match launch {
        Launch::Fargate => format!("is unable to place a task in {zone}."),
        Launch::Ec2 | Launch::External => format!(
            "is unable to place a task in {zone} because no container instance met all of its \
             requirements."
        ),
    }
}

/// Zones without any instance that the service's tasks could ever go to are not open to it.
fn shut(state: &State, row: &Service, next: &Next, zones: &mut BTreeMap<String, Zone>) {
    let mut open = Vec::new();
    let mut look = |one: &ContainerInstance| {
        let Some(zone) = one.zone().filter(|zone| !open.iter().any(|known| known == zone)) else {
            return;
        };
        let fits = || {
            matches!(
                next.ask.refusal(&placing::instance(state, one)),
                None | Some(
                    Reason::Cpu
                        | Reason::Memory
                        | Reason::Port { .. }
                        | Reason::Gpu
                        | Reason::DistinctInstance
                )
            )
        };
        let takes = pools::takes(state, &row.key.0, row.launch, one);
        if takes && service_placing::provides(next, one) && fits() {
            open.push(zone.to_owned());
        }
    };
    match row.launch {
        Launch::Fargate => state.by::<FargatePool>(&row.key.0.0).for_each(&mut look),
        Launch::Ec2 | Launch::External => state.by::<InstancesIn>(&row.key.0).for_each(&mut look),
    }
    zones.iter_mut().for_each(|(name, zone)| zone.open &= open.contains(name));
}

/// `3 tasks in us-east-1a, 1 in us-east-1b, and 0 in us-east-1c`. AWS says `tasks` of each once all
/// is even.
fn told(zones: &BTreeMap<String, Zone>, even: bool) -> String {
    let shown = zones.iter().filter(|(_, zone)| zone.open || zone.tasks > 0);
    let words: Vec<String> = shown
        .enumerate()
        .map(|(nth, (name, zone))| match nth == 0 || even {
            true => format!("{} tasks in {name}", zone.tasks),
            false => format!("{} in {name}", zone.tasks),
        })
        .collect();
    match words.as_slice() {
        [] => "no tasks".to_owned(),
        [one] => one.clone(),
        [one, other] => format!("{one} and {other}"),
        [some @ .., last] => format!("{}, and {last}", some.join(", ")),
    }
}

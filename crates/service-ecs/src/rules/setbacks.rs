//! What keeps a service from where it should be, in AWS's sentences and as its events name it.

use core_placement::{Need, Pool, Reason, Refused};
use core_rollout::{Census, Kind, Plan};
use core_types::Id128;

use super::placing;
use crate::rows::service::{Hindrance, Service};
use crate::rows::task::Launch;

#[derive(Clone, Debug, PartialEq)]
pub struct Setback {
    pub text: String,
    /// Where an event of its own tells of it.
    pub hindrance: Option<Hindrance>,
}

const SEE: &str = "For more information, see the Troubleshooting section of the Amazon ECS \
                   Developer Guide.";

/// AWS's words for a task without a place. The closest instance is the one that lacks least.
pub fn no_place(
    pool: &Pool,
    need: &Need,
    refused: &[Refused],
    (launch, provider): (Launch, Option<&str>),
) -> Setback {
    let place = |word: &str, instance| Hindrance::Place {
        word: word.into(),
        instance,
        provider: provider.map(Into::into),
    };
    if launch == Launch::Fargate {
        let text = format!(
            "was unable to place a task. Reason: Capacity is unavailable at this time. Please try \
             again later or in a different availability zone. {SEE}"
        );
        return Setback { text, hindrance: Some(place("RESOURCE:FARGATE", None)) };
    }
    let unable = "was unable to place a task because no container instance met all of its \
                  requirements.";
    let taking = refused.iter().filter(|one| one.reason != Reason::Inactive);
    let Some(closest) = taking.max_by_key(|one| (rank(&one.reason), left(pool, need, one))) else {
        let none = nobody(provider.is_some());
        let text = format!("{unable} Reason: {none} {SEE}");
        return Setback { text, hindrance: Some(place(none, None)) };
    };
    let word = placing::word(&closest.reason);
    let what = match &closest.reason {
        Reason::Inactive => unreachable!("they were left out"),
        Reason::Attribute(_) => "is missing an attribute required by your task.".to_owned(),
        Reason::Agent | Reason::MemberOf | Reason::DistinctInstance | Reason::Location => {
            format!("encountered error \"{word}\".")
        }
        Reason::Cpu => "has insufficient CPU units available.".to_owned(),
        Reason::Memory => "has insufficient memory available.".to_owned(),
        Reason::Port { .. } => "is already using a port required by your task.".to_owned(),
        Reason::Gpu => "has insufficient GPU resource available.".to_owned(),
    };
    let instance = closest.instance;
    let text =
        format!("{unable} The closest matching (container-instance {instance}) {what} {SEE}");
    Setback { text, hindrance: Some(place(word, Some(instance))) }
}

/// AWS: an empty capacity provider is named as such.
pub fn nobody(of_provider: bool) -> &'static str {
    match of_provider {
        true => "No Container Instances were found in your capacity provider.",
        false => "No Container Instances were found in your cluster.",
    }
}

/// What the service asks for is not there any more.
pub fn misconfigured(error: &str) -> Setback {
    Setback {
        text: format!("failed to launch a task with (error {error})."),
        hindrance: Some(Hindrance::Configuration { error: error.into() }),
    }
}

/// AWS: so many tasks of a cluster wait for their capacity provider that no more may.
pub fn too_many_wait() -> Setback {
    let text = "was unable to place tasks in your cluster because the tasks provisioning capacity \
                limit was exceeded.";
    Setback { text: text.to_owned(), hindrance: None }
}

/// What holds a plan up in which nothing is left to do although not all is as it should be.
pub fn stuck(row: &Service, plan: &Plan<Id128>, census: &Census) -> Option<Setback> {
    let starts = plan.start > 0 || plan.restore.is_some();
    let moves = starts || !plan.stop.is_empty() || census.count(|_, k| !k.serves()) > 0;
    if plan.steady || moves {
        return None;
    }
    if plan.held_up {
        let text = "was unable to stop or start tasks during a deployment because of the service \
                    deployment configuration. Update the minimumHealthyPercent or maximumPercent \
                    value and try again.";
        return Some(Setback { text: text.to_owned(), hindrance: None });
    }
    let protected = |place: usize| {
        census.count(|version: usize, kind: Kind| version == place && kind.protected)
    };
    let wanted = |place: usize| if place == 0 { row.desired_count } else { 0 };
    let kept = row.deployments.iter().enumerate();
    let (_, kept) = kept.rev().find(|(place, _)| protected(*place) > wanted(*place))?;
    let text = format!(
        "was unable to reach steady state because task set ({}) was unable to scale in. Reason: \
         The number of protected tasks are more than the desired count of tasks.",
        kept.id
    );
    Some(Setback { text, hindrance: None })
}

/// What is nearer to a place: an instance that lacks room is nearer than one that is unfit.
pub fn rank(reason: &Reason) -> u8 {
    match reason {
        Reason::Inactive => 0,
        Reason::Agent => 1,
        Reason::Location => 1,
        Reason::Attribute(_) => 2,
        Reason::MemberOf => 3,
        Reason::DistinctInstance => 4,
        Reason::Cpu | Reason::Memory | Reason::Gpu => 5,
        Reason::Port { .. } => 6,
    }
}

/// Of equals the one with the most of what is missing.
fn left(pool: &Pool, need: &Need, refused: &Refused) -> i64 {
    let Some(instance) = pool.get(refused.instance) else { return i64::MIN };
    match refused.reason {
        Reason::Cpu => instance.free.cpu - need.cpu,
        Reason::Memory => instance.free.memory - need.memory,
        _ => 0,
    }
}

//! A pass over a service whose newest deployment goes through lifecycle stages: where it is, what
//! that wants of each version's tasks, and the tasks themselves. Each version is kept like a
//! service of its own, so that the older one stays whole until it is given leave.

use std::ops::RangeInclusive;

use core_rollout::{
    Bounds, Census, Course, Kind, Next, Plan, Service as Problem, Sight, Stage, Stop, Tasks,
    Version, Wait, Why, plan_rolling,
};
use core_state::Tx;
use core_types::{Id128, Time};

use super::services::{MOST_STARTS, TOLD_AGAIN, note_ended, note_proven, stop, told_started};
use crate::rows::progress::Progress;
use crate::rows::service::{Rollout, Service};
use crate::rows::service_history::DeploymentRecord;
use crate::rules::pictures::{self, Seen};
use crate::rules::rollout::{self, earliest};
use crate::rules::service_placing::{self, Started};
use crate::rules::shifts::{self, Want, governing};
use crate::rules::{deployments, early, hooks, images};

/// More than there are stages, on the way there and on the way back, with steps of three percent.
const MOST_MOVES: usize = 256;

/// Whose turn it is after a pass.
pub enum Turn {
    /// All is done that was to be done.
    Done,
    /// The service rolls; stages move it on at this time.
    Rolls(Option<Time>),
}

/// One pass over what goes through stages.
pub fn advance(tx: &mut Tx<'_>, row: &mut Service) -> Turn {
    if shifts::rolling(tx, row).is_some() {
        note_ended(tx, row);
        pictures::refresh(tx, row, None);
        deployments::judge(tx, row);
        if shifts::rolling(tx, row).is_none() {
            return Turn::Rolls(None);
        }
        let wait = move_on(tx, row);
        let Some((_, progress)) = shifts::rolling(tx, row) else { return Turn::Rolls(None) };
        let wait = earliest(wait, shifts::look_at(progress));
        let held = progress.at.stage < Stage::ScaleUp;
        return match held && pass(tx, row, wait) {
            true => Turn::Done,
            false => Turn::Rolls(wait),
        };
    }
    if governing(tx, row).is_none() {
        return Turn::Rolls(None);
    }
    let now = tx.now();
    note_ended(tx, row);
    pictures::refresh(tx, row, None);
    let proven_at = Seen::of(tx, row).proven_at(now);
    note_proven(row, proven_at);
    deployments::judge(tx, row);
    let wait = move_on(tx, row);
    match pass(tx, row, wait) {
        true => Turn::Done,
        // It has come to its end: from here on the service is like any other.
        false => Turn::Rolls(None),
    }
}

/// The tasks of each version. False where no version is kept for itself.
fn pass(tx: &mut Tx<'_>, row: &mut Service, wait: Option<Time>) -> bool {
    let now = tx.now();
    let found = governing(tx, row).or_else(|| shifts::rolling(tx, row));
    let Some(progress) = found.map(|(_, progress)| progress.clone()) else { return false };
    let mut pass = Pass { plan: empty(), started: Started::default(), until: None };
    pass.tasks(tx, row, &progress);
    row.waiting = pass.started.problem.is_some();
    told_started(tx, row, &pass.started, now);
    row.extra = 0;
    stop(tx, row, &pass.plan, false);
    let seen = Seen::of(tx, row);
    let changes = seen.look_at(row, now);
    let kept = [Some(&progress.newer), progress.older.as_ref()];
    let mut place = 0;
    row.deployments.retain(|one| {
        let stays = kept.contains(&Some(&one.id)) || seen.has(place);
        place += 1;
        stays
    });
    row.steady_at = None;
    let again = row.told.as_ref().map(|told| told.at + TOLD_AGAIN);
    let times = [wait, pass.until, changes, again, shifts::look_at(&progress)];
    row.look_at = times.into_iter().flatten().min();
    true
}

fn empty() -> Plan<Id128> {
    Plan { start: 0, restore: None, stop: Vec::new(), steady: false, held_up: false }
}

/// From stage to stage as far as it goes; until when it waits there.
fn move_on(tx: &mut Tx<'_>, row: &mut Service) -> Option<Time> {
    let now = tx.now();
    for _ in 0..MOST_MOVES {
        let (record, progress) = governing(tx, row).or_else(|| shifts::rolling(tx, row))?;
        let (record, mut progress) = (record.clone(), progress.clone());
        hooks::keep_time(&mut progress, now);
        let key = record.key.clone();
        tx.edit::<DeploymentRecord>(&key, |record| {
            record.progress = Some(Box::new(progress.clone()));
        });
        let seen = Seen::of(tx, row);
        let mut sight = sight(row, &progress, seen.census());
        let terms = shifts::terms(&record, &progress);
        // AWS: what rolls is up once the older tasks are gone.
        sight.scaled_up &= !terms.rolling || sight.cleaned_up;
        if let Some(criteria) = early::criteria(tx, row).filter(|_| terms.rolling) {
            let (desired, census) = (row.desired_count, seen.census());
            sight.scaled_up = criteria.are_met(desired, census);
            sight.cleaned_up = criteria.are_fulfilled(desired, census);
        }
        match core_rollout::advance(&progress.at, &terms, &sight, now) {
            Next::Enter(at) => shifts::enter(tx, &record, at),
            Next::GiveUp(cause) => {
                deployments::give_up(tx, row, &shifts::why(&progress, cause), true);
            }
            Next::Wait(until) => return until,
            Next::Done => deployments::complete(tx, row),
        }
    }
    None
}

fn serves(kind: Kind) -> bool {
    kind.serves() && !kind.to_be_moved
}

fn serving(census: &Census, place: Option<usize>) -> u32 {
    census.count(|version, kind| Some(version) == place && serves(kind))
}

fn sight(row: &Service, progress: &Progress, census: &Census) -> Sight {
    let place = |id: &_| row.deployments.iter().position(|one| one.id == *id);
    let newer = place(&progress.newer);
    let older = progress.older.as_ref().and_then(place);
    let whole = |place: Option<usize>| serving(census, place) >= row.desired_count;
    let only = |place: Option<usize>| census.count(|version, _| Some(version) != place) == 0;
    let strange = |version: usize, _: Kind| ![newer, older].contains(&Some(version));
    let stays = match progress.at.course {
        Course::Back => older,
        Course::Forward | Course::Held => newer,
    };
    Sight {
        strays: older.is_some() && census.count(strange) > 0,
        scaled_up: whole(stays),
        cleaned_up: only(stays) && whole(stays),
        hooks: hooks::together(&progress.hooks),
    }
}

struct Pass {
    plan: Plan<Id128>,
    started: Started,
    /// When time alone lets more be started.
    until: Option<Time>,
}

impl Pass {
    fn tasks(&mut self, tx: &mut Tx<'_>, row: &mut Service, progress: &Progress) {
        let mut wants = shifts::wants(row, progress);
        if shifts::rolling(tx, row).is_some() {
            // Nothing goes before its turn, and what is between versions already only waits.
            let between = row.deployments.len() > 2;
            for want in wants.iter_mut().skip(1).filter(|want| between || **want == Want::Gone) {
                *want = Want::Leave;
            }
        }
        // The one that serves comes first, should there be too little room for both.
        for (place, want) in wants.iter().enumerate().rev() {
            match want {
                Want::Keep(count) => self.keep(tx, row, place, *count),
                Want::Leave => {}
                Want::Gone => self.gone(row, progress, &Seen::of(tx, row), place..=place),
            }
        }
        // Of versions that the service has forgotten.
        self.gone(row, progress, &Seen::of(tx, row), wants.len()..=usize::MAX);
    }

    /// Tasks of versions that neither come nor serve go, once the one that serves is whole.
    fn gone(
        &mut self,
        row: &Service,
        progress: &Progress,
        seen: &Seen<'_>,
        versions: RangeInclusive<usize>,
    ) {
        let stays = progress.older.as_ref().unwrap_or(&progress.newer);
        let place = row.deployments.iter().position(|one| one.id == *stays);
        let going = |version: usize, kind: Kind| {
            versions.contains(&version) && kind.stays() && !kind.protected
        };
        if serving(seen.census(), place) < row.desired_count || seen.census().count(going) == 0 {
            return;
        }
        let all = seen.each().into_iter().filter(|task| going(task.version, task.kind()));
        self.plan.stop.extend(all.map(|task| Stop { task: task.key, why: Why::Outdated }));
    }

    /// So many tasks of a version.
    fn keep(&mut self, tx: &mut Tx<'_>, row: &mut Service, place: usize, count: u32) {
        let now = tx.now();
        let deployment = &row.deployments[place];
        let wait = rollout::backoff(deployment).wait(now);
        if let Wait::Until(at) = wait {
            self.until = earliest(self.until, Some(at));
        }
        let may_start = deployment.rollout != Rollout::Failed && wait == Wait::None;
        let bounds = rollout::bounds(row, count);
        let own = Seen::of(tx, row).alone(place);
        let mut plan = plan_version(&own, count, bounds, may_start, false);
        if plan.start > 0 && row.batch_at != Some(now) {
            let deployment = &row.deployments[place];
            let most = images::may_start(tx, row, deployment, plan.start as usize);
            let next = service_placing::next_of(tx, row, deployment).filter(|_| most > 0);
            let most = most.min(MOST_STARTS);
            let started = next.map(|next| service_placing::start(tx, row, &next, most));
            let started = started.unwrap_or_default();
            images::note_started(tx, row, &row.deployments[place], &started.tasks);
            if started.tasks.len() == MOST_STARTS {
                row.batch_at = Some(now);
                let later = now + std::time::Duration::from_millis(1);
                self.until = earliest(self.until, Some(later));
            }
            if started.problem.is_some() {
                pictures::refresh(tx, row, None);
                let own = Seen::of(tx, row).alone(place);
                let stop = plan_version(&own, count, bounds, may_start, true).stop;
                plan = Plan { stop, ..plan };
            }
            self.started.tasks.extend(started.tasks);
            self.started.problem = self.started.problem.take().or(started.problem);
            self.started.waits = self.started.waits.take().or(started.waits);
        }
        self.plan.stop.extend(plan.stop);
    }
}

fn plan_version(
    own: &Seen<'_>,
    count: u32,
    bounds: Bounds,
    may_start: bool,
    crowded: bool,
) -> Plan<Id128> {
    let versions = [Version { may_start, crowded, keeps: 0 }];
    plan_rolling(&Problem {
        desired: count,
        bounds,
        proven: false,
        versions: &versions,
        tasks: own,
    })
}

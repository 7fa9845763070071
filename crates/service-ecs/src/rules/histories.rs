//! What services and managed daemons have in common in their past: deployments and revisions have
//! ARNs of one shape below their owner's, are described twenty at a time, and are listed the newest
//! first.

use aws_protocol::{ApiError, Timestamp};
use core_step::page::{Page, page};
use core_step::{Call, Demand, Demands};
use core_types::{Arn, Time};
use model_ecs::{self as api, errors};

use super::{lists, services};
use crate::rows::cluster;
use crate::rows::service::ServiceKey;

/// AWS: twenty a call.
const MOST: usize = 20;

/// The owner, and what comes behind it, of an ARN like `…:service-revision/c/s/1`.
pub fn child_of(call: &Call, given: &str, kind: &str) -> Option<(ServiceKey, String)> {
    let arn = Arn::parse(given).ok().filter(|arn| arn.service == "ecs")?;
    let scope = call.scope();
    if arn.account.parse() != Ok(scope.account) || arn.region.parse() != Ok(scope.region) {
        return None;
    }
    let mut rest = arn.resource_of(kind)?.split('/');
    let (cluster, name, last) = (rest.next()?, rest.next()?, rest.next()?);
    rest.next().is_none().then(|| (((scope, cluster.into()), name.into()), last.to_owned()))
}

/// The permission to do something with what lies beside a service.
pub fn demand_beside(call: &Call, action: &'static str, given: &str, kind: &str) -> Demand {
    let demand = Demand::on(action, given);
    match child_of(call, given, kind) {
        Some((((scope, name), service), _)) => demand
            .with("ecs:cluster", cluster::arn_of(scope, &name))
            .with("ecs:service", services::told_arn(&(scope, name), &service)),
        None => demand,
    }
}

/// What an action demands that describes several by their ARNs.
pub fn demands<D: IntoIterator<Item = Demand>>(
    action: &'static str,
    arns: Option<&[String]>,
    each: impl Fn(&str) -> D,
) -> Demands {
    match arns.unwrap_or_default() {
        [] => Demand::anywhere(action).into(),
        arns => arns.iter().take(MOST).flat_map(|arn| each(arn)).collect::<Vec<_>>().into(),
    }
}

/// What was found of what was asked for, and what was not. `member` is the list's name on the wire.
pub fn find<T>(
    call: &Call,
    (member, kind): (&str, &str),
    arns: Option<Vec<String>>,
    look: impl Fn(ServiceKey, &str) -> Option<T>,
) -> Result<(Vec<T>, Vec<api::Failure>), ApiError> {
    let arns = arns.unwrap_or_default();
    if arns.is_empty() || arns.len() > MOST {
        let text = format!("{member} must have between 1 and {MOST} elements.");
        return Err(errors::invalid_parameter_exception(text));
    }
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for arn in arns {
        match child_of(call, &arn, kind).and_then(|(key, last)| look(key, &last)) {
            Some(one) => found.push(one),
            None => failures.push(api::Failure {
                arn: Some(arn),
                reason: Some("MISSING".to_owned()),
                ..Default::default()
            }),
        }
    }
    Ok((found, failures))
}

/// What lists look at in a deployment: its number, its status, and when it was made.
pub type Seen = (u64, &'static str, Time);

/// Which page of a history is asked for.
pub struct Asked {
    pub list: &'static str,
    pub size: usize,
    pub next_token: Option<String>,
    pub statuses: Vec<String>,
    pub created: Option<api::CreatedAt>,
}

impl Asked {
    /// That page of `oldest_first`; `known` are the statuses that there are.
    pub fn page<'r, T>(
        self,
        known: &[&str],
        oldest_first: impl Iterator<Item = &'r T>,
        seen: impl Fn(&T) -> Seen,
    ) -> Result<Page<&'r T>, ApiError> {
        let after = lists::after(self.list, self.next_token.as_deref())?;
        let after: u64 = after.parse().unwrap_or(u64::MAX);
        if let Some(bad) = self.statuses.iter().find(|status| !known.contains(&status.as_str())) {
            return Err(lists::bad_value("status", bad));
        }
        let created = self.created.unwrap_or_default();
        let time = |at: Option<Timestamp>| at.map(|at| Time(at.as_millis()));
        let (from, until) = (time(created.after), time(created.before));
        let takes = |row: &&T| {
            let (number, status, created_at) = seen(row);
            number < after
                && (self.statuses.is_empty() || self.statuses.iter().any(|one| one == status))
                && from.is_none_or(|from| created_at >= from)
                && until.is_none_or(|until| created_at <= until)
        };
        let mut rows: Vec<&T> = oldest_first.filter(takes).collect();
        rows.reverse();
        Ok(page(self.list, self.size, rows, |row: &&T| seen(row).0.to_string()))
    }
}

//! StartLiveTail: lines as they come, once a second.

use std::collections::{BTreeMap, BTreeSet};

use aws_protocol::ApiError;
use core_step::{Call, DataAction, Demands, Input, View};
use core_types::Id128;
use model_logs as api;

use crate::ops;
use crate::rules::pattern::FilterPattern;
use crate::rules::{groups, permissions};

pub struct StartLiveTail;

pub struct Job {
    /// The groups, each by the identifier that lines of it are told with.
    pub groups: BTreeMap<Id128, String>,
    pub pattern: FilterPattern,
    names: Option<Vec<String>>,
    prefixes: Option<Vec<String>>,
    pub start: api::LiveTailSessionStart,
}

impl DataAction for StartLiveTail {
    type Op = api::ops::StartLiveTail;
    type Job = Job;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let given = input.log_group_identifiers.as_deref().unwrap_or_default();
        let on = |name: &str| permissions::on_group(call, view, "logs:StartLiveTail", name);
        let demands: Vec<_> = given.iter().map(|identifier| on(identifier)).collect();
        if demands.is_empty() { on("").into() } else { demands.into() }
    }

    fn prepare(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Result<Job, ApiError> {
        let identifiers = input.log_group_identifiers.unwrap_or_default();
        let (names, prefixes) = (input.log_stream_names, input.log_stream_name_prefixes);
        if names.is_some() && prefixes.is_some() {
            return Err(groups::invalid(
                "LogStreamNames and LogStreamNamePrefixes are mutually exclusive parameters.",
            ));
        }
        if (names.is_some() || prefixes.is_some()) && identifiers.len() != 1 {
            return Err(groups::invalid(
                "LogStreamNames or LogStreamNamePrefixes can be given only with one log group.",
            ));
        }
        let mut found = BTreeMap::new();
        for identifier in &identifiers {
            if !identifier.starts_with("arn:") || identifier.ends_with('*') {
                return Err(groups::invalid(
                    "logGroupIdentifiers must be ARNs of log groups that do not end with an \
                     asterisk.",
                ));
            }
            let group = groups::identified(view, call, identifier)?;
            found.insert(group.id, format!("{}:{}", call.account(), group.name()));
        }
        let text = input.log_event_filter_pattern.unwrap_or_default();
        let pattern = FilterPattern::parse(&text);
        let pattern = pattern.map_err(|error| groups::invalid(error.to_string()))?;
        let start = api::LiveTailSessionStart {
            log_event_filter_pattern: Some(text),
            log_group_identifiers: Some(identifiers),
            log_stream_name_prefixes: Some(prefixes.clone().unwrap_or_default()),
            log_stream_names: Some(names.clone().unwrap_or_default()),
            request_id: Some(call.request_id.to_string()),
            session_id: Some(call.request_id.to_string()),
        };
        Ok(Job { groups: found, pattern, names, prefixes, start })
    }
}

impl Job {
    pub fn group_ids(&self) -> BTreeSet<Id128> {
        self.groups.keys().copied().collect()
    }

    /// The name of a stream whose lines are wanted.
    pub fn wanted<'v>(&self, view: &View<'v>, stream: Id128) -> Option<&'v str> {
        let name = ops::stream(view.state(), stream)?.name();
        let named = self.names.as_ref().is_none_or(|names| names.iter().any(|one| one == name));
        let begins = |prefixes: &Vec<String>| prefixes.iter().any(|one| name.starts_with(one));
        (named && self.prefixes.as_ref().is_none_or(begins)).then_some(name)
    }
}

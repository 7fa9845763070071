//! How far a deployment has got that goes through AWS's lifecycle stages: its stage, who has which
//! traffic, and the hooks of the stage. It lies in the deployment's entry of the history.
//!
//! A call of a webhook is a row like any effect: `due` says that call number `calls` is to be made.
//! Whoever makes it reports what came of it under that number, so that an answer that comes twice
//! counts once, and a call whose maker died is made again.

use std::sync::Arc;

use core_types::Time;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub at: core_rollout::Progress,
    /// The deployment that comes, and the one that serves until then.
    pub newer: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older: Option<Arc<str>>,
    /// The revision of the latter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older_revision: Option<u64>,
    /// Those of the present stage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<Hook>,
    /// How long its alarms are listened to at its end, in seconds, where nobody has said so.
    #[serde(default)]
    pub alarm_span: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HookStatus {
    AwaitingAction,
    InProgress,
    Succeeded,
    Failed,
    TimedOut,
}

impl HookStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            HookStatus::AwaitingAction => "AWAITING_ACTION",
            HookStatus::InProgress => "IN_PROGRESS",
            HookStatus::Succeeded => "SUCCEEDED",
            HookStatus::Failed => "FAILED",
            HookStatus::TimedOut => "TIMED_OUT",
        }
    }

    pub fn is_open(self) -> bool {
        matches!(self, HookStatus::AwaitingAction | HookStatus::InProgress)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hook {
    /// `ecs-pause-…` or `ecs-lambda-…`.
    pub id: Arc<str>,
    /// What a webhook is told as its execution.
    pub execution: Arc<str>,
    /// The URL of a webhook; a pause has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Arc<str>>,
    pub status: HookStatus,
    pub expires_at: Time,
    /// Whether the deployment is given up when the time is over, or goes on.
    pub rolls_back: bool,
    /// What the hook is told each time: from the service, and what it said itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
    /// Calls that were made, or are due.
    #[serde(default)]
    pub calls: u32,
    /// The last of these calls is to be made now.
    #[serde(default)]
    pub due: bool,
    /// When the next one is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_at: Option<Time>,
    /// Calls in a row that did not get through.
    #[serde(default)]
    pub failures: u32,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

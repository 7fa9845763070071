//! A session of ExecuteCommand, from the call until both sides have come and gone.

use std::sync::Arc;

use core_state::{Declare, Index, Row};
use core_types::{Id128, Scope, Time};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExecSession {
    pub id: Arc<str>,
    pub scope: Scope,
    pub task: Id128,
    pub host: Id128,
    pub container: Arc<str>,
    pub command: String,
    pub interactive: bool,
    /// Whoever has it is the client.
    pub token: Arc<str>,
    pub created_at: Time,
    /// Both sides have come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Time>,
    /// Not opened by then, it is not opened at all; an open one has no such time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forget_at: Option<Time>,
}

impl Row for ExecSession {
    type Key = Arc<str>;
    const TABLE: &'static str = "ecs-exec-sessions";

    fn key(&self) -> Arc<str> {
        self.id.clone()
    }

    fn wake_at(&self) -> Option<Time> {
        self.forget_at
    }

    fn declare(declare: &mut Declare<'_, Self>) {
        declare.index::<SessionsOn>();
    }
}

/// Sessions that a host is to open.
pub struct SessionsOn;

impl Index for SessionsOn {
    type Row = ExecSession;
    type Key = Id128;

    fn keys(row: &ExecSession, add: &mut dyn FnMut(Id128)) {
        if row.opened_at.is_none() {
            add(row.host);
        }
    }
}

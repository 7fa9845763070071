//! What there is: the slices with their lists. Hubs hold lists, so this file holds no behaviour.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use aws_protocol::{ApiError, ServiceDef};
use core_state::{SchemaBuilder, State, Tx};

use crate::action::{Action, View};
use crate::call::{Call, Caller, Demand};
use crate::loops::LoopDef;

/// Something that must hold in every state.
#[derive(Clone, Copy)]
pub struct Invariant {
    pub name: &'static str,
    /// Tells each violation in words.
    pub check: fn(&State, &mut dyn FnMut(String)),
}

/// One AWS service as a vertical slice.
pub struct Slice {
    pub service: &'static ServiceDef,
    pub actions: &'static [Action],
    pub loops: &'static [LoopDef],
    pub tables: fn(&mut SchemaBuilder),
    pub invariants: &'static [Invariant],
}

/// What the world reports into core: hosts, balancers, the start of the server itself.
pub trait Report: Send {
    /// Apply to rows; the result goes back to whoever reported. Must be idempotent: reports are
    /// repeated until acknowledged.
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Box<dyn Any + Send>;
}

/// The secret behind an access key, and whom it stands for.
pub struct Credentials {
    pub secret: Arc<str>,
    pub caller: Arc<Caller>,
}

/// Why credentials were not found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialError {
    /// No such key, or it is switched off; AWS tells neither apart.
    Unknown,
    /// The session token does not belong to the key or was tampered with.
    BadToken,
    Expired,
}

/// The identity slice as the rest of the plane sees it.
pub trait Identity: Send + Sync {
    fn credentials(
        &self,
        view: &View<'_>,
        access_key_id: &str,
        session_token: Option<&str>,
    ) -> Result<Credentials, CredentialError>;

    /// Is every demand granted? The error is AWS's AccessDenied, in its words.
    fn authorize(&self, call: &Call, view: &View<'_>, demands: &[Demand]) -> Result<(), ApiError>;
}

/// All slices, and the indexes that the hot path needs over their lists.
pub struct Registry {
    slices: &'static [&'static Slice],
    identity: Box<dyn Identity>,
    actions: HashMap<(&'static str, &'static str), &'static Action>,
}

impl Registry {
    pub fn new(slices: &'static [&'static Slice], identity: Box<dyn Identity>) -> Arc<Self> {
        let mut actions = HashMap::new();
        for slice in slices {
            for action in slice.actions {
                let name = (slice.service.id, action.op.name);
                assert!(actions.insert(name, action).is_none(), "{name:?} is listed twice");
            }
        }
        Arc::new(Registry { slices, identity, actions })
    }

    pub fn slices(&self) -> &'static [&'static Slice] {
        self.slices
    }

    pub fn identity(&self) -> &dyn Identity {
        &*self.identity
    }

    /// The action of an operation; `None` where the operation is not offered yet.
    pub fn action(&self, service: &str, operation: &str) -> Option<&'static Action> {
        self.actions.get(&(service, operation)).copied()
    }

    /// An empty state with every slice's tables.
    pub fn empty_state(&self) -> State {
        let mut schema = SchemaBuilder::default();
        self.slices.iter().for_each(|slice| (slice.tables)(&mut schema));
        schema.build()
    }

    pub fn loops(&self) -> impl Iterator<Item = &'static LoopDef> {
        self.slices.iter().flat_map(|slice| slice.loops)
    }

    /// Every violated invariant, and every index that differs from its rows.
    pub fn check(&self, state: &State) -> Vec<String> {
        let mut wrong = state.audit();
        for invariant in self.slices.iter().flat_map(|slice| slice.invariants) {
            (invariant.check)(state, &mut |violation| {
                wrong.push(format!("{}: {violation}", invariant.name));
            });
        }
        wrong
    }
}

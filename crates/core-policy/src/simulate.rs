//! What SimulatePrincipalPolicy and SimulateCustomPolicy answer, besides the decision itself: which
//! statements made it, where they stand, and which context keys were asked for in vain.

use crate::document::{Effect, Policy, Position, Statement};
use crate::evaluate::{Decision, Layer, Match, PolicySet, Request, evaluate_each, with_lower_case};
use std::borrow::Borrow;

#[derive(Debug, Clone, PartialEq)]
pub struct Simulation {
    pub decision: Decision,
    /// The statements that determine the decision: the denying ones where there are any.
    pub matched: Vec<MatchedStatement>,
    /// Keys that the statements about this action depend on and the request lacks.
    pub missing_context_values: Vec<String>,
    /// `None` without a boundary.
    pub allowed_by_permissions_boundary: Option<bool>,
    /// `None` without service control policies.
    pub allowed_by_organizations: Option<bool>,
}

/// A statement and its place in its document's text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MatchedStatement {
    pub found: Match,
    pub start: Position,
    pub end: Position,
}

/// AWS's three words for a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimulationOutcome {
    Allowed,
    ExplicitDeny,
    ImplicitDeny,
}

impl SimulationOutcome {
    pub fn as_str(self) -> &'static str {
        match self {
            SimulationOutcome::Allowed => "allowed",
            SimulationOutcome::ExplicitDeny => "explicitDeny",
            SimulationOutcome::ImplicitDeny => "implicitDeny",
        }
    }
}

impl Decision {
    pub fn outcome(&self) -> SimulationOutcome {
        match self {
            Decision::Allow => SimulationOutcome::Allowed,
            Decision::ExplicitDeny(_) => SimulationOutcome::ExplicitDeny,
            Decision::ImplicitDeny(_) => SimulationOutcome::ImplicitDeny,
        }
    }
}

/// Decides a request and explains the decision.
pub fn simulate<P: Borrow<Policy>>(set: &PolicySet<P>, request: &Request) -> Simulation {
    let mut found = Vec::new();
    let decision = evaluate_each(set, request, &mut |one| found.push(one));
    let allows = |layer: Layer| {
        let denied = found.iter().any(|m| m.layer == layer && m.effect == Effect::Deny);
        !denied && found.iter().any(|m| m.layer == layer && m.effect == Effect::Allow)
    };
    let refused = decision == Decision::ImplicitDeny(Layer::ServiceControl);
    let organizations =
        (!set.service_control.is_empty()).then(|| !refused && allows(Layer::ServiceControl));
    let boundary = set.boundary.map(|_| allows(Layer::Boundary));
    let decisive = |one: &Match| match decision {
        // AWS: a denying statement is the only one shown, whatever else allows.
        Decision::ExplicitDeny(_) => one.effect == Effect::Deny,
        // AWS: boundary and organization answer in fields of their own.
        _ => !matches!(one.layer, Layer::Boundary | Layer::ServiceControl),
    };
    let matched = found
        .iter()
        .filter(|one| decisive(one))
        .filter_map(|one| {
            let statement = set.statement(*one)?;
            Some(MatchedStatement { found: *one, start: statement.start(), end: statement.end() })
        })
        .collect();
    Simulation {
        decision,
        matched,
        missing_context_values: missing(set, request),
        allowed_by_permissions_boundary: boundary,
        allowed_by_organizations: organizations,
    }
}

impl<P: Borrow<Policy>> PolicySet<'_, P> {
    /// The statement that a match points to.
    pub fn statement(&self, found: Match) -> Option<&Statement> {
        let policy: &P = match found.layer {
            Layer::Identity => self.identity.get(found.policy)?,
            Layer::Session => self.session?.get(found.policy)?,
            Layer::Boundary => self.boundary?,
            Layer::Resource | Layer::Trust => self.resource?,
            Layer::ServiceControl => {
                self.service_control.iter().copied().flatten().nth(found.policy)?
            }
        };
        policy.borrow().statements().get(found.statement)
    }

    fn all(&self) -> impl Iterator<Item = &Policy> {
        let levels = self.service_control.iter().copied().flatten();
        let session = self.session.unwrap_or(&[]);
        (self.identity.iter().chain(session).chain(self.boundary).chain(self.resource))
            .chain(levels)
            .map(|policy| policy.borrow())
    }
}

fn missing<P: Borrow<Policy>>(set: &PolicySet<P>, request: &Request) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    with_lower_case(request.action, |action| {
        let statements = set.all().flat_map(Policy::statements);
        for statement in statements.filter(|statement| statement.covers_action(action)) {
            statement.for_each_key(|key| {
                let known = keys.iter().any(|have| have.eq_ignore_ascii_case(key));
                if !known && request.context.get(key).is_none() {
                    keys.push(key.to_owned());
                }
            });
        }
    });
    keys
}

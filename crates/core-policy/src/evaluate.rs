//! How policies of all types combine into one decision.
//!
//! Each layer is scanned by itself and yields two facts: the first Deny that applies, and whether
//! anything allows. The combination then reads like AWS's description of it: a Deny anywhere ends
//! it; service control policies bound the account; what a resource policy grants counts more the
//! more exactly it names the caller; identity policies grant, boundary and session policies limit.

use crate::context::Context;
use crate::document::{Effect, Policy, PolicyKind, Statement};
use crate::principal::{Grant, Principal};
use std::borrow::Borrow;

/// One question: may `principal` perform `action` on `resource`?
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub principal: Principal<'a>,
    pub action: &'a str,
    /// An ARN, or `*` for actions that work on no one resource.
    pub resource: &'a str,
    /// The account that owns the resource; empty where none does, which counts as the caller's own.
    pub resource_account: &'a str,
    pub context: &'a Context<'a>,
}

/// Everything that has a say. `P` is whatever lends a policy: `&Policy`, `Arc<Policy>`, …
#[derive(Debug)]
pub struct PolicySet<'a, P> {
    /// Inline and attached policies of the user with its groups, or of the role.
    pub identity: &'a [P],
    pub boundary: Option<&'a P>,
    /// `None` where the session was made without policies. Several count as one, by union.
    pub session: Option<&'a [P]>,
    /// One list a level, from the organization's root down; each level must allow.
    pub service_control: &'a [&'a [P]],
    /// The resource's own policy; for AssumeRole the role's trust policy.
    pub resource: Option<&'a P>,
    /// Whether the resource's policy must allow even inside the account, as with KMS keys. Trust
    /// policies always must.
    pub resource_must_allow: bool,
}

impl<P> Default for PolicySet<'_, P> {
    fn default() -> Self {
        PolicySet {
            identity: &[],
            boundary: None,
            session: None,
            service_control: &[],
            resource: None,
            resource_must_allow: false,
        }
    }
}

/// A type of policy, as decisions and error texts name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layer {
    ServiceControl,
    Resource,
    Trust,
    Identity,
    Boundary,
    Session,
}

/// A statement that applies to the request. `policy` and `statement` count within the layer's list;
/// for service control policies `policy` counts through all levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    pub layer: Layer,
    pub policy: usize,
    pub statement: usize,
    pub effect: Effect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Allow,
    /// A Deny statement applies.
    ExplicitDeny(Match),
    /// Nothing denies, but the layer does not allow.
    ImplicitDeny(Layer),
}

impl Decision {
    pub fn is_allowed(&self) -> bool {
        *self == Decision::Allow
    }
}

/// Decides a request.
pub fn evaluate<P: Borrow<Policy>>(set: &PolicySet<P>, request: &Request) -> Decision {
    with_lower_case(request.action, |action| Evaluation { set, request, action }.decide(None))
}

/// Decides a request and shows every statement that applies to it, decisive or not.
pub fn evaluate_each<P: Borrow<Policy>>(
    set: &PolicySet<P>,
    request: &Request,
    visit: &mut dyn FnMut(Match),
) -> Decision {
    with_lower_case(request.action, |action| {
        Evaluation { set, request, action }.decide(Some(visit))
    })
}

/// Folds the action's case once for all statements, on the stack for every real action.
pub(crate) fn with_lower_case<T>(action: &str, then: impl FnOnce(&str) -> T) -> T {
    let mut buffer = [0_u8; 128];
    match buffer.get_mut(..action.len()) {
        Some(folded) => {
            folded.copy_from_slice(action.as_bytes());
            folded.make_ascii_lowercase();
            then(std::str::from_utf8(folded).expect("folding ASCII letters keeps UTF-8 valid"))
        }
        None => then(&action.to_ascii_lowercase()),
    }
}

struct Evaluation<'e, 'p, P> {
    set: &'e PolicySet<'p, P>,
    request: &'e Request<'e>,
    action: &'e str,
}

type Visitor<'v> = Option<&'v mut dyn FnMut(Match)>;

/// What one layer says.
#[derive(Default)]
struct Verdict {
    deny: Option<Match>,
    allow: bool,
}

impl<P: Borrow<Policy>> Evaluation<'_, '_, P> {
    fn decide(&self, mut visit: Visitor) -> Decision {
        let set = self.set;
        let (service_control, bounded_by) = self.service_control(&mut visit);
        let resource_layer = self.resource_layer();
        let (resource, grant) = self.resource(resource_layer, &mut visit);
        let identity = self.layer(Layer::Identity, set.identity, 0, &mut visit);
        let boundary = set
            .boundary
            .map(|policy| self.layer(Layer::Boundary, std::slice::from_ref(policy), 0, &mut visit));
        let session =
            set.session.map(|policies| self.layer(Layer::Session, policies, 0, &mut visit));

        // The root user has no policies of its own to be denied by or limited to.
        let root = self.request.principal.is_root();
        let own = [Some(&identity), boundary.as_ref(), session.as_ref()];
        let own_deny = own.into_iter().flatten().find_map(|verdict| verdict.deny);
        let denies = [service_control, resource.deny, own_deny.filter(|_| !root)];
        if let Some(deny) = denies.into_iter().flatten().next() {
            return Decision::ExplicitDeny(deny);
        }
        if bounded_by {
            return Decision::ImplicitDeny(Layer::ServiceControl);
        }
        let Some(account) = self.request.principal.account() else {
            // Services, federated and anonymous callers have nothing but the resource's policy.
            return match grant {
                Some(_) => Decision::Allow,
                None => Decision::ImplicitDeny(resource_layer),
            };
        };
        let owner = self.request.resource_account;
        let same_account = owner.is_empty() || owner == account;
        // AWS: across accounts both sides must allow, however exactly the resource names the
        // caller.
        let weight = grant.filter(|_| same_account);
        if !root && weight != Some(Grant::Direct) {
            if weight.is_none_or(|grant| grant < Grant::Behind) && !identity.allow {
                return Decision::ImplicitDeny(Layer::Identity);
            }
            if boundary.is_some_and(|verdict| !verdict.allow) {
                return Decision::ImplicitDeny(Layer::Boundary);
            }
            if session.is_some_and(|verdict| !verdict.allow) {
                return Decision::ImplicitDeny(Layer::Session);
            }
        }
        // AWS: a trust policy must allow even inside the account; other policies of resources need
        // not.
        let must_allow = set.resource_must_allow || resource_layer == Layer::Trust;
        if grant.is_none() && (must_allow || !same_account) {
            return Decision::ImplicitDeny(resource_layer);
        }
        Decision::Allow
    }

    fn resource_layer(&self) -> Layer {
        let policy = self.set.resource.map(|policy| policy.borrow());
        match policy.is_some_and(|policy| policy.kind == PolicyKind::Trust) {
            true => Layer::Trust,
            false => Layer::Resource,
        }
    }

    /// The first Deny of any level, and whether some level does not allow.
    fn service_control(&self, visit: &mut Visitor) -> (Option<Match>, bool) {
        let (mut deny, mut missing, mut first) = (None, false, 0);
        for level in self.set.service_control {
            let verdict = self.layer(Layer::ServiceControl, level, first, visit);
            deny = deny.or(verdict.deny);
            missing |= !verdict.allow;
            first += level.len();
        }
        (deny, missing)
    }

    fn layer(&self, layer: Layer, policies: &[P], first: usize, visit: &mut Visitor) -> Verdict {
        let mut verdict = Verdict::default();
        for (nth, policy) in policies.iter().enumerate() {
            let policy: &Policy = policy.borrow();
            // Once something allows, only a Deny can change the answer.
            if verdict.allow && !policy.has_deny && visit.is_none() {
                continue;
            }
            for (statement, found) in policy.statements.iter().enumerate() {
                let decided = verdict.allow && found.effect == Effect::Allow && visit.is_none();
                if decided || !self.applies(found) {
                    continue;
                }
                let effect = found.effect;
                let found = Match { layer, policy: first + nth, statement, effect };
                if let Some(visit) = visit {
                    visit(found);
                }
                match effect {
                    Effect::Allow => verdict.allow = true,
                    Effect::Deny => verdict.deny = verdict.deny.or(Some(found)),
                }
            }
        }
        verdict
    }

    /// The resource's policy answers with how it names the caller.
    fn resource(&self, layer: Layer, visit: &mut Visitor) -> (Verdict, Option<Grant>) {
        let (mut verdict, mut grant) = (Verdict::default(), None);
        let Some(policy) = self.set.resource else { return (verdict, grant) };
        let caller = &self.request.principal;
        for (statement, found) in policy.borrow().statements.iter().enumerate() {
            let Some(clause) = &found.principal else { continue };
            let effect = found.effect;
            let granted = match effect {
                Effect::Allow => clause.allows(caller),
                Effect::Deny => None,
            };
            let named = match effect {
                Effect::Allow => granted.is_some(),
                Effect::Deny => clause.denies(caller, self.set.boundary.is_some()),
            };
            if !named || !self.applies(found) {
                continue;
            }
            let found = Match { layer, policy: 0, statement, effect };
            if let Some(visit) = visit {
                visit(found);
            }
            grant = grant.max(granted);
            if effect == Effect::Deny {
                verdict.deny = verdict.deny.or(Some(found));
            }
        }
        (verdict, grant)
    }

    fn applies(&self, statement: &Statement) -> bool {
        statement.covers_action(self.action)
            && statement.covers_resource(self.request.resource, self.request.context)
            && statement.conditions_hold(self.request.context)
    }
}

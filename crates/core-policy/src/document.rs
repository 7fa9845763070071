//! A compiled policy document: what parsing leaves behind and evaluation reads.

use crate::condition::Condition;
use crate::context::Context;
use crate::glob::Glob;
use crate::pattern::{Pattern, variable_keys};
use crate::principal::{PrincipalClause, PrincipalPattern};

/// What a document is for; it decides which elements it must and must not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicyKind {
    /// Embedded in a user, group or role.
    Inline,
    /// A managed policy, which is also what a permissions boundary is.
    Managed,
    /// Attached to a resource: names principals; the resource may be left out and is then its own.
    Resource,
    /// A role's trust policy.
    Trust,
    /// Passed to AssumeRole or GetFederationToken.
    Session,
    ServiceControl,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Allow,
    Deny,
}

/// A place in the document's text, counted from 1 in lines and characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

/// A parsed document. Keeps its text, because AWS returns documents as they were given.
#[derive(Debug, Clone)]
pub struct Policy {
    pub(crate) kind: PolicyKind,
    pub(crate) id: Option<Box<str>>,
    pub(crate) statements: Box<[Statement]>,
    pub(crate) has_deny: bool,
    pub(crate) text: Box<str>,
}

#[derive(Debug, Clone)]
pub struct Statement {
    pub(crate) sid: Option<Box<str>>,
    pub(crate) effect: Effect,
    pub(crate) principal: Option<PrincipalClause>,
    pub(crate) action: ActionClause,
    pub(crate) resource: Option<ResourceClause>,
    pub(crate) conditions: Box<[Condition]>,
    pub(crate) start: Position,
    pub(crate) end: Position,
}

/// `Action` or `NotAction`; the patterns are in lower case.
#[derive(Debug, Clone)]
pub(crate) struct ActionClause {
    pub(crate) negated: bool,
    pub(crate) patterns: Box<[Glob]>,
}

/// `Resource` or `NotResource`.
#[derive(Debug, Clone)]
pub(crate) struct ResourceClause {
    pub(crate) negated: bool,
    pub(crate) patterns: Box<[Pattern]>,
}

impl Policy {
    /// The document as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn kind(&self) -> PolicyKind {
        self.kind
    }

    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// The size that AWS's quotas count: characters that are not white space.
    pub fn quota_size(&self) -> usize {
        self.text.chars().filter(|c| !c.is_whitespace()).count()
    }

    /// The principals that the document names, for those who must check that they exist.
    pub fn principals(&self) -> impl Iterator<Item = &PrincipalPattern> {
        self.statements
            .iter()
            .filter_map(|statement| statement.principal.as_ref())
            .flat_map(|clause| &clause.patterns)
    }

    /// The context keys that the document refers to, each once, in order of appearance
    /// (GetContextKeysForCustomPolicy).
    pub fn context_keys(&self) -> Vec<&str> {
        let mut keys: Vec<&str> = Vec::new();
        for statement in &self.statements {
            statement.for_each_key(|key| {
                if !keys.iter().any(|have| have.eq_ignore_ascii_case(key)) {
                    keys.push(key);
                }
            });
        }
        keys
    }
}

impl Statement {
    pub fn sid(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    pub fn effect(&self) -> Effect {
        self.effect
    }

    pub fn start(&self) -> Position {
        self.start
    }

    pub fn end(&self) -> Position {
        self.end
    }

    /// `action` is in lower case.
    pub(crate) fn covers_action(&self, action: &str) -> bool {
        self.action.patterns.iter().any(|glob| glob.matches(action)) != self.action.negated
    }

    pub(crate) fn covers_resource(&self, resource: &str, context: &Context) -> bool {
        match &self.resource {
            // A resource policy without the element speaks of the resource that it is attached to.
            None => true,
            Some(clause) => {
                // A hole in an exception must not widen what is allowed around it.
                let holed = || clause.patterns.iter().any(|p| !p.resolves(context));
                if clause.negated && self.effect == Effect::Allow && holed() {
                    return false;
                }
                let listed = clause.patterns.iter().any(|p| p.matches(resource, context));
                listed != clause.negated
            }
        }
    }

    pub(crate) fn conditions_hold(&self, context: &Context) -> bool {
        self.conditions.iter().all(|condition| condition.holds(context))
    }

    pub(crate) fn for_each_key<'a>(&'a self, mut visit: impl FnMut(&'a str)) {
        for pattern in self.resource.iter().flat_map(|clause| &clause.patterns) {
            variable_keys(pattern.parts()).for_each(&mut visit);
        }
        for condition in &self.conditions {
            condition.for_each_key(&mut visit);
        }
    }
}

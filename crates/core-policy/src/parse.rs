//! From text to a compiled document, in three steps: syntax, AWS's checks, compilation.
//!
//! Syntax is everything that AWS answers with one text, "Syntax errors in policy.": broken JSON,
//! unknown or doubled elements, wrong JSON types. The checks of the second step each have a text
//! and an order of their own (`validate`). Only what passed both is compiled.

use crate::condition::{Condition, Operator};
use crate::document::{
    ActionClause, Effect, Policy, PolicyKind, Position, ResourceClause, Statement,
};
use crate::glob::Glob;
use crate::json::{Json, statement_spans};
use crate::pattern::Pattern;
use crate::principal::{PrincipalClause, PrincipalPattern};
use crate::validate;
use std::ops::Range;

/// AWS's models let a document have 131,072 characters, none above U+00FF: two bytes each at most.
pub const MAX_DOCUMENT_BYTES: usize = 262_144;

/// The document is refused; `message` is AWS's text for the error MalformedPolicyDocument.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct MalformedPolicy {
    pub message: String,
}

impl MalformedPolicy {
    pub(crate) fn new(message: impl Into<String>) -> MalformedPolicy {
        MalformedPolicy { message: message.into() }
    }
}

/// A document whose syntax is right and whose sense is unchecked.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) version: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) statements: Vec<DraftStatement>,
}

#[derive(Debug, Default)]
pub(crate) struct DraftStatement {
    pub(crate) sid: Option<String>,
    pub(crate) effect: String,
    pub(crate) principal: Option<Negatable<(PrincipalType, String)>>,
    pub(crate) action: Option<Negatable<String>>,
    pub(crate) resource: Option<Negatable<String>>,
    pub(crate) conditions: Vec<(Operator, String, Vec<String>)>,
}

/// `Action` or `NotAction`, and the like.
#[derive(Debug)]
pub(crate) struct Negatable<T> {
    pub(crate) negated: bool,
    pub(crate) values: Vec<T>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum PrincipalType {
    /// The bare string `"*"`.
    Star,
    Aws,
    Service,
    Federated,
    CanonicalUser,
}

impl Policy {
    /// Parses and checks a document as AWS does when it is stored.
    pub fn parse(text: &str, kind: PolicyKind) -> Result<Policy, MalformedPolicy> {
        let draft = (text.len() <= MAX_DOCUMENT_BYTES)
            .then(|| Json::parse(text))
            .flatten()
            .and_then(document)
            .ok_or_else(|| MalformedPolicy::new("Syntax errors in policy."))?;
        validate::check(&draft, kind)?;
        Ok(compile(text, kind, draft))
    }
}

fn document(json: Json) -> Option<Draft> {
    let Json::Object(members) = json else { return None };
    let mut draft = Draft::default();
    for (name, value) in members {
        match name.as_str() {
            "Version" => {
                let version = string(value)?;
                if !matches!(version.as_str(), "2008-10-17" | "2012-10-17") {
                    return None;
                }
                draft.version = Some(version);
            }
            "Id" => draft.id = Some(string(value)?),
            "Statement" => {
                let list = match value {
                    Json::Array(list) => list,
                    one => vec![one],
                };
                draft.statements = list.into_iter().map(statement).collect::<Option<_>>()?;
            }
            _ => return None,
        }
    }
    (!draft.statements.is_empty()).then_some(draft)
}

fn statement(json: Json) -> Option<DraftStatement> {
    let Json::Object(members) = json else { return None };
    let mut draft = DraftStatement::default();
    for (name, value) in members {
        match name.as_str() {
            "Sid" => draft.sid = Some(string(value)?),
            "Effect" => draft.effect = string(value)?,
            "Action" => put(&mut draft.action, false, strings(value)?)?,
            "NotAction" => put(&mut draft.action, true, strings(value)?)?,
            "Resource" => put(&mut draft.resource, false, strings(value)?)?,
            "NotResource" => put(&mut draft.resource, true, strings(value)?)?,
            "Principal" => put(&mut draft.principal, false, principals(value)?)?,
            "NotPrincipal" => put(&mut draft.principal, true, principals(value)?)?,
            "Condition" => draft.conditions = conditions(value)?,
            _ => return None,
        }
    }
    let known = ["allow", "deny"].iter().any(|effect| draft.effect.eq_ignore_ascii_case(effect));
    known.then_some(draft)
}

/// An element and its negation may not stand together.
fn put<T>(slot: &mut Option<Negatable<T>>, negated: bool, values: Vec<T>) -> Option<()> {
    match slot.replace(Negatable { negated, values }) {
        None => Some(()),
        Some(_) => None,
    }
}

fn principals(json: Json) -> Option<Vec<(PrincipalType, String)>> {
    let members = match json {
        Json::String(star) if star == "*" => return Some(vec![(PrincipalType::Star, star)]),
        Json::Object(members) => members,
        _ => return None,
    };
    let mut found = Vec::new();
    for (name, value) in members {
        let kind = match name.as_str() {
            "AWS" => PrincipalType::Aws,
            "Service" => PrincipalType::Service,
            "Federated" => PrincipalType::Federated,
            "CanonicalUser" => PrincipalType::CanonicalUser,
            _ => return None,
        };
        found.extend(strings(value)?.into_iter().map(|value| (kind, value)));
    }
    Some(found)
}

fn conditions(json: Json) -> Option<Vec<(Operator, String, Vec<String>)>> {
    let Json::Object(operators) = json else { return None };
    let mut found = Vec::new();
    for (name, keys) in operators {
        let Json::Object(keys) = keys else { return None };
        // AWS: an operator with no keys under it is not even looked up.
        if keys.is_empty() {
            continue;
        }
        let operator = Operator::parse(&name)?;
        for (key, values) in keys {
            let values = match values {
                Json::Array(values) => values.into_iter().map(scalar).collect::<Option<_>>()?,
                value => vec![scalar(value)?],
            };
            found.push((operator, key, values));
        }
    }
    Some(found)
}

fn string(json: Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text),
        _ => None,
    }
}

fn strings(json: Json) -> Option<Vec<String>> {
    match json {
        Json::String(text) => Some(vec![text]),
        Json::Array(list) => list.into_iter().map(string).collect(),
        _ => None,
    }
}

/// Condition values may be written as JSON booleans and numbers too.
fn scalar(json: Json) -> Option<String> {
    match json {
        Json::String(text) | Json::Number(text) => Some(text),
        Json::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

fn compile(text: &str, kind: PolicyKind, draft: Draft) -> Policy {
    // AWS: variables are read since version 2012-10-17; a document without a version is of 2008.
    let variables = draft.version.as_deref() == Some("2012-10-17");
    let spans = statement_spans(text);
    let mut places = Places { text, at: 0, line: 1, column: 1 };
    let statements: Box<[Statement]> = draft
        .statements
        .into_iter()
        .enumerate()
        .map(|(nth, draft)| {
            let Range { start, end } = spans.get(nth).cloned().unwrap_or_default();
            let (start, end) = (places.at(start), places.at(end));
            compile_statement(draft, variables, start, end)
        })
        .collect();
    Policy {
        kind,
        id: draft.id.map(Into::into),
        has_deny: statements.iter().any(|statement| statement.effect == Effect::Deny),
        statements,
        text: text.into(),
    }
}

fn compile_statement(
    draft: DraftStatement,
    variables: bool,
    start: Position,
    end: Position,
) -> Statement {
    let action = draft.action.expect("the checks require an action");
    let condition = |(operator, key, values): &(Operator, String, Vec<String>)| {
        Condition::new(*operator, key, values, variables)
    };
    Statement {
        sid: draft.sid.map(Into::into),
        effect: if draft.effect == "Deny" { Effect::Deny } else { Effect::Allow },
        principal: draft.principal.map(|clause| PrincipalClause {
            negated: clause.negated,
            patterns: clause.values.iter().map(|(kind, value)| principal(*kind, value)).collect(),
        }),
        // AWS: action names are not case-sensitive.
        action: ActionClause {
            negated: action.negated,
            patterns: action.values.iter().map(|a| Glob::new(&a.to_ascii_lowercase())).collect(),
        },
        resource: draft.resource.map(|clause| ResourceClause {
            negated: clause.negated,
            patterns: clause.values.iter().map(|value| Pattern::new(value, variables)).collect(),
        }),
        conditions: draft.conditions.iter().map(condition).collect(),
        start,
        end,
    }
}

fn principal(kind: PrincipalType, value: &str) -> PrincipalPattern {
    match kind {
        PrincipalType::Star => PrincipalPattern::Anyone,
        PrincipalType::Service => PrincipalPattern::Service(value.into()),
        PrincipalType::Federated => PrincipalPattern::Federated(value.into()),
        PrincipalType::CanonicalUser => PrincipalPattern::CanonicalUser(value.into()),
        PrincipalType::Aws if value == "*" => PrincipalPattern::Anyone,
        PrincipalType::Aws => match validate::account_of_principal(value) {
            Some(account) => PrincipalPattern::Account(account.into()),
            None if value.starts_with("arn:") => PrincipalPattern::Arn(value.into()),
            None => PrincipalPattern::UniqueId(value.into()),
        },
    }
}

/// Turns rising byte offsets into lines and columns, reading the text once.
struct Places<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    column: u32,
}

impl Places<'_> {
    fn at(&mut self, offset: usize) -> Position {
        for c in self.text.get(self.at..offset).unwrap_or("").chars() {
            match c {
                '\n' => (self.line, self.column) = (self.line + 1, 1),
                _ => self.column += 1,
            }
        }
        self.at = self.at.max(offset);
        Position { line: self.line, column: self.column }
    }
}

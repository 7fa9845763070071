//! Policy text that may hold variables: literals, wildcards and `${key}`.
//!
//! What has no variable is compiled when the document is parsed. What has one is kept in pieces and
//! filled in for each request. A filled-in value is always literal: a user named `*` gains nothing.

use crate::context::Context;
use crate::glob::{Glob, Token, push_tokens};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part {
    Token(Token),
    Variable { key: Box<str>, default: Option<Box<str>> },
}

/// Text compared as it stands (`StringEquals`).
#[derive(Debug, Clone)]
pub(crate) enum Literal {
    Fixed(Box<str>),
    Variable(Box<[Part]>),
}

/// A glob over a whole text (`Resource`, `StringLike`).
#[derive(Debug, Clone)]
pub(crate) enum Pattern {
    Fixed(Glob),
    Variable(Box<[Part]>),
}

/// A glob over each of the six parts of an ARN (`ArnLike`).
#[derive(Debug, Clone)]
pub(crate) enum ArnPattern {
    Anything,
    /// Not an ARN, so it matches none.
    Nothing,
    Fixed(Box<[Glob; 6]>),
    Variable(Box<[Part]>),
}

impl Literal {
    pub(crate) fn new(text: &str, variables: bool) -> Literal {
        let parts = cut(text, variables, false);
        match fixed(&parts) {
            Some(tokens) => Literal::Fixed(join(&tokens).into()),
            None => Literal::Variable(parts.into()),
        }
    }

    pub(crate) fn equals(&self, value: &str, ignore_case: bool, context: &Context) -> bool {
        let filled;
        let text = match self {
            Literal::Fixed(text) => &**text,
            Literal::Variable(parts) => match fill(parts, context) {
                Some(tokens) => {
                    filled = join(&tokens);
                    &filled
                }
                None => return false,
            },
        };
        if ignore_case { text.eq_ignore_ascii_case(value) } else { text == value }
    }

    pub(crate) fn parts(&self) -> &[Part] {
        match self {
            Literal::Fixed(_) => &[],
            Literal::Variable(parts) => parts,
        }
    }
}

impl Pattern {
    pub(crate) fn new(text: &str, variables: bool) -> Pattern {
        let parts = cut(text, variables, true);
        match fixed(&parts) {
            Some(tokens) => Pattern::Fixed(Glob::from_tokens(&tokens)),
            None => Pattern::Variable(parts.into()),
        }
    }

    pub(crate) fn matches(&self, value: &str, context: &Context) -> bool {
        match self {
            Pattern::Fixed(glob) => glob.matches(value),
            Pattern::Variable(parts) => {
                fill(parts, context).is_some_and(|tokens| Glob::from_tokens(&tokens).matches(value))
            }
        }
    }

    /// Whether every variable has a value or a default.
    pub(crate) fn resolves(&self, context: &Context) -> bool {
        variable_keys(self.parts()).all(|key| context.single(key).is_some())
    }

    pub(crate) fn parts(&self) -> &[Part] {
        match self {
            Pattern::Fixed(_) => &[],
            Pattern::Variable(parts) => parts,
        }
    }
}

impl ArnPattern {
    pub(crate) fn new(text: &str, variables: bool) -> ArnPattern {
        if text == "*" {
            return ArnPattern::Anything;
        }
        let parts = cut(text, variables, true);
        match fixed(&parts) {
            Some(tokens) => match globs_of(&tokens) {
                Some(globs) => ArnPattern::Fixed(Box::new(globs)),
                None => ArnPattern::Nothing,
            },
            None => ArnPattern::Variable(parts.into()),
        }
    }

    pub(crate) fn matches(&self, arn: &str, context: &Context) -> bool {
        match self {
            ArnPattern::Anything => true,
            ArnPattern::Nothing => false,
            ArnPattern::Fixed(globs) => arn_matches(globs, arn),
            ArnPattern::Variable(parts) => fill(parts, context)
                .and_then(|tokens| globs_of(&tokens))
                .is_some_and(|globs| arn_matches(&globs, arn)),
        }
    }

    pub(crate) fn parts(&self) -> &[Part] {
        match self {
            ArnPattern::Variable(parts) => parts,
            _ => &[],
        }
    }
}

/// The keys that the variables of `parts` ask for and that have no default.
pub(crate) fn variable_keys(parts: &[Part]) -> impl Iterator<Item = &str> {
    parts.iter().filter_map(|part| match part {
        Part::Variable { key, default: None } => Some(&**key),
        _ => None,
    })
}

fn arn_matches(globs: &[Glob; 6], arn: &str) -> bool {
    // AWS: each of the six components is matched by itself, so a star never crosses a colon of the
    // first five; the sixth holds the rest, colons included.
    let mut have = arn.splitn(6, ':');
    globs.iter().all(|glob| have.next().is_some_and(|part| glob.matches(part)))
}

fn globs_of(tokens: &[Token]) -> Option<[Glob; 6]> {
    let mut groups: Vec<Vec<Token>> = vec![Vec::new()];
    for token in tokens {
        let Token::Literal(text) = token else {
            groups.last_mut()?.push(token.clone());
            continue;
        };
        let left = 7 - groups.len();
        for (nth, part) in text.splitn(left, ':').enumerate() {
            if nth > 0 {
                groups.push(Vec::new());
            }
            groups.last_mut()?.push(Token::Literal(part.to_owned()));
        }
    }
    let globs: Vec<Glob> = groups.iter().map(|group| Glob::from_tokens(group)).collect();
    globs.try_into().ok()
}

fn fixed(parts: &[Part]) -> Option<Vec<Token>> {
    let token = |part: &Part| match part {
        Part::Token(token) => Some(token.clone()),
        Part::Variable { .. } => None,
    };
    parts.iter().map(token).collect()
}

/// `None` where a variable has neither a value nor a default.
fn fill(parts: &[Part], context: &Context) -> Option<Vec<Token>> {
    let token = |part: &Part| match part {
        Part::Token(token) => Some(token.clone()),
        Part::Variable { key, default } => {
            let value = context.single(key).or(default.as_deref())?;
            Some(Token::Literal(value.to_owned()))
        }
    };
    parts.iter().map(token).collect()
}

fn join(tokens: &[Token]) -> String {
    let mut text = String::new();
    for token in tokens {
        match token {
            Token::Literal(literal) => text.push_str(literal),
            Token::One => text.push('?'),
            Token::Many => text.push('*'),
        }
    }
    text
}

/// Cuts policy text into parts. Variables exist only since version 2012-10-17, wildcards only where
/// the place allows them.
fn cut(text: &str, variables: bool, wildcards: bool) -> Vec<Part> {
    let mut parts = Vec::new();
    let plain = |text: &str, parts: &mut Vec<Part>| {
        let mut tokens = Vec::new();
        match wildcards {
            true => push_tokens(text, &mut tokens),
            false if text.is_empty() => {}
            false => tokens.push(Token::Literal(text.to_owned())),
        }
        parts.extend(tokens.into_iter().map(Part::Token));
    };
    let mut rest = text;
    while let Some(start) = rest.find("${").filter(|_| variables) {
        let Some(length) = rest[start..].find('}') else { break };
        let inner = &rest[start + 2..start + length];
        let Some(part) = variable(inner) else {
            // Not a variable after all: the two characters stand for themselves.
            plain(&rest[..start], &mut parts);
            parts.push(Part::Token(Token::Literal("${".to_owned())));
            rest = &rest[start + 2..];
            continue;
        };
        plain(&rest[..start], &mut parts);
        parts.push(part);
        rest = &rest[start + length + 1..];
    }
    plain(rest, &mut parts);
    parts
}

/// Reads what stands between `${` and `}`.
fn variable(inner: &str) -> Option<Part> {
    // AWS: ${*}, ${?} and ${$} are how a policy names these characters themselves.
    if matches!(inner, "*" | "?" | "$") {
        return Some(Part::Token(Token::Literal(inner.to_owned())));
    }
    let (key, default) = match inner.split_once(',') {
        None => (inner.trim(), None),
        Some((key, default)) => {
            let quoted = default.trim().strip_prefix('\'')?.strip_suffix('\'')?;
            (key.trim(), Some(quoted.into()))
        }
    };
    let valid = !key.is_empty() && !key.contains(['{', '$', '*', '?', '\'']);
    valid.then(|| Part::Variable { key: key.into(), default })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(pattern: &str, value: &str, context: &Context) -> bool {
        Pattern::new(pattern, true).matches(value, context)
    }

    #[test]
    fn variables_are_filled_in_literally() {
        let context = Context::new().with("aws:username", "a*b");
        assert!(like("x/${aws:username}/*", "x/a*b/y", &context));
        assert!(!like("x/${aws:username}/*", "x/aZb/y", &context));
        assert!(like("${AWS:UserName}", "a*b", &context));
    }

    #[test]
    fn defaults_escapes_and_malformed_variables() {
        let context = Context::new().with_many("aws:TagKeys", ["k"]);
        assert!(like("b-${aws:PrincipalTag/team, 'all, of us'}", "b-all, of us", &context));
        assert!(!like("b-${aws:PrincipalTag/team}", "b-", &context));
        assert!(!like("${aws:TagKeys}", "k", &context), "a set is no variable");
        assert!(like("${*}${?}${$}", "*?$", &context));
        assert!(!like("${*}", "x", &context));
        assert!(like("${unclosed", "${unclosed", &context));
        assert!(like("${}x", "${}x", &context));
        assert!(like("${a, b}", "${a, b}", &context));
    }

    #[test]
    fn version_2008_has_no_variables() {
        let pattern = Pattern::new("${*}", false);
        assert!(pattern.matches("${anything}", &Context::new()));
    }

    #[test]
    fn arn_components_are_matched_one_by_one() {
        let context = Context::new().with("aws:PrincipalArn", "arn:aws:iam::1:role/r");
        let matches =
            |pattern: &str, arn: &str| ArnPattern::new(pattern, true).matches(arn, &context);
        assert!(matches("arn:aws:sns:*:1:t-*", "arn:aws:sns:eu-west-1:1:t-x:y"));
        assert!(!matches("arn:aws:sns:*:t", "arn:aws:sns:eu-west-1:1:t"));
        assert!(!matches("arn:*:t", "arn:aws:sns:eu-west-1:1:t"));
        assert!(matches("*", "anything"));
        assert!(matches("${aws:PrincipalArn}", "arn:aws:iam::1:role/r"));
        assert!(!matches("arn:aws:iam::1:role/r", "arn:aws:iam::1:role"));
        assert!(!matches("arn:aws:iam::1:role/r", "not an arn"));
    }
}

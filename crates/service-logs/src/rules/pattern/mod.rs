//! Filter patterns: terms, space-delimited fields in `[…]`, members of JSON in `{…}`.
//!
//! A pattern is parsed once into a small tree and then asked of every line. Its text is at most
//! 1,024 characters and its nesting is bounded, so neither takes long.

mod compare;
mod cursor;
mod fields;
mod json;
mod terms;

#[cfg(test)]
mod tests;

use cursor::Cursor;

/// Why a pattern is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPattern(String);

impl std::fmt::Display for BadPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Invalid filter pattern: {}", self.0)
    }
}

impl std::error::Error for BadPattern {}

fn bad<T>(why: impl Into<String>) -> Result<T, BadPattern> {
    Err(BadPattern(why.into()))
}

/// A parsed pattern.
#[derive(Clone, Debug)]
pub struct FilterPattern(Kind);

#[derive(Clone, Debug)]
enum Kind {
    All,
    Terms(terms::Terms),
    Fields(fields::Fields),
    Json(json::Expression),
}

impl FilterPattern {
    pub fn parse(text: &str) -> Result<FilterPattern, BadPattern> {
        let text = text.trim();
        // AWS: an empty phrase matches everything, like no pattern.
        if text.is_empty() || text.strip_prefix('"').is_some_and(|rest| rest.trim() == "\"") {
            return Ok(FilterPattern(Kind::All));
        }
        let mut cursor = Cursor::new(text);
        let kind = match text.as_bytes()[0] {
            b'{' => Kind::Json(json::parse(&mut cursor)?),
            b'[' => Kind::Fields(fields::parse(&mut cursor)?),
            _ => Kind::Terms(terms::parse(&mut cursor)?),
        };
        cursor.end()?;
        Ok(FilterPattern(kind))
    }

    pub fn matches(&self, message: &str) -> bool {
        match &self.0 {
            Kind::All => true,
            Kind::Terms(terms) => terms.matches(message),
            Kind::Fields(fields) => fields.matches(message),
            Kind::Json(expression) => expression.matches(message),
        }
    }
}

//! The words of the cluster query language.

use super::BadQuery;

#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    Word(String),
    /// Text in quotes: never an operator.
    Quoted(String),
    Sign(&'static str),
}

/// Longer signs stand before those that they begin with.
const SIGNS: &[&str] =
    &["&&", "||", "==", "!=", ">=", "<=", "=~", "!~", ">", "<", "!", "(", ")", "[", "]", ","];

pub fn tokens(text: &str) -> Result<Vec<Token>, BadQuery> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if first == '"' || first == '\'' {
            let end = rest[1..].find(first).ok_or(BadQuery)?;
            tokens.push(Token::Quoted(rest[1..=end].to_owned()));
            rest = &rest[end + 2..];
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
            // A pattern runs to the next blank: signs in it are the pattern's.
            if matches!(*sign, "=~" | "!~") {
                rest = pattern(rest.trim_start(), &mut tokens);
            }
        } else {
            let ends = |c: char| c.is_whitespace() || "&|=!<>()[],".contains(c);
            let end = rest.find(ends).unwrap_or(rest.len());
            if end == 0 {
                return Err(BadQuery);
            }
            let word = &rest[..end];
            tokens.push(Token::Word(word.to_owned()));
            rest = &rest[end..];
            if matches!(word, "matches" | "not_matches") {
                rest = pattern(rest.trim_start(), &mut tokens);
            }
        }
        rest = rest.trim_start();
    }
    Ok(tokens)
}

/// Take an unquoted pattern; a closing parenthesis that it did not open ends it.
fn pattern<'a>(rest: &'a str, tokens: &mut Vec<Token>) -> &'a str {
    if rest.starts_with(['"', '\'']) {
        return rest;
    }
    let mut open = 0usize;
    let mut end = rest.len();
    for (at, c) in rest.char_indices() {
        match c {
            '(' => open += 1,
            ')' if open > 0 => open -= 1,
            c if c == ')' || c.is_whitespace() => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    if end > 0 {
        tokens.push(Token::Quoted(rest[..end].to_owned()));
    }
    &rest[end..]
}

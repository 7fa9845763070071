//! The models' regular expressions are Java's; this makes the `regex` crate read them alike.
//!
//! Three things differ: Java's `\w \d \s` are ASCII, its text is UTF-16 (patterns name
//! surrogates), and it has look-around. The first two are rewritten; a pattern with look-around or
//! a back-reference is not checked, and the test of the generated models lists each such pattern.

use regex::{Regex, RegexBuilder};

/// Compiles a pattern so that it must match the whole text, as AWS does.
pub fn translate(pattern: &str) -> Option<Regex> {
    let body = rewrite(pattern);
    let anchored = format!(r"\A(?:{body})\z");
    RegexBuilder::new(&anchored).size_limit(32 << 20).dfa_size_limit(4 << 20).build().ok()
}

const WORD: &str = "0-9A-Za-z_";
const DIGIT: &str = "0-9";
const SPACE: &str = r"\t\n\x0B\f\r ";

/// Rewrites classes and surrogates.
fn rewrite(pattern: &str) -> String {
    let pattern = pattern
        .replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\x{10000}-\x{10FFFF}")
        .replace(r"\ud800\udc00-\udbff\udfff", r"\x{10000}-\x{10FFFF}");
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    let mut class_start = false;
    while let Some(c) = chars.next() {
        let at_start = std::mem::take(&mut class_start);
        match c {
            '\\' => match chars.next() {
                Some(escaped) => escape(&mut out, escaped, in_class),
                None => out.push_str(r"\\"),
            },
            '[' if !in_class => {
                in_class = true;
                class_start = true;
                out.push('[');
                if chars.peek() == Some(&'^') {
                    chars.next();
                    out.push('^');
                }
            }
            // Inside a class these are plain characters in the models, and operators to the crate.
            '[' | '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            '-' if in_class && (at_start || chars.peek().is_some_and(|&next| next == ']')) => {
                out.push_str(r"\-");
            }
            ']' if in_class && !at_start => {
                in_class = false;
                out.push(']');
            }
            c => out.push(c),
        }
    }
    out
}

fn escape(out: &mut String, escaped: char, in_class: bool) {
    let (set, negated) = match escaped {
        'w' => (WORD, false),
        'd' => (DIGIT, false),
        's' => (SPACE, false),
        'W' => (WORD, true),
        'D' => (DIGIT, true),
        'S' => (SPACE, true),
        other => {
            out.push('\\');
            out.push(other);
            return;
        }
    };
    match (in_class, negated) {
        (true, false) => out.push_str(set),
        (_, true) => {
            out.push_str("[^");
            out.push_str(set);
            out.push(']');
        }
        (false, false) => {
            out.push('[');
            out.push_str(set);
            out.push(']');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_ascii_and_whole_text_must_match() {
        let name = translate(r"[\w+=,.@-]+").unwrap();
        assert!(name.is_match("a-b_c@d"));
        assert!(!name.is_match("a b"));
        assert!(!name.is_match("é"));
        assert!(translate(r"[\S]+").unwrap().is_match("é"));
        assert!(translate(r"^\d{12}$").unwrap().is_match("123456789012"));
        assert!(translate(r"[\u0020-\uD7FF\uD800\uDC00-\uDBFF\uDFFF]*").unwrap().is_match("a😀"));
    }

    #[test]
    fn look_around_is_refused() {
        assert!(translate(r"(?!aws:)[a-z]+").is_none());
    }
}

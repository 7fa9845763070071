//! The models' regular expressions are Java's; this makes the `regex` crate read them alike.
//!
//! Java's `\w \d \s` and `\p{Print}` are ASCII, its text is UTF-16 (patterns name surrogates), and
//! its repetition counts cost nothing; these are rewritten. A pattern with look-around or a
//! back-reference is not checked: `tests/patterns.txt` lists each one of the services we name.

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
    // After `[\w` a hyphen cannot begin a range.
    let mut after_set = false;
    while let Some(c) = chars.next() {
        let at_start = std::mem::take(&mut class_start);
        let was_set = std::mem::take(&mut after_set);
        match c {
            '\\' => match chars.next() {
                Some('p') if chars.peek() == Some(&'{') => {
                    let name: String = chars.by_ref().take_while(|&c| c != '}').skip(1).collect();
                    property(&mut out, &name, in_class);
                    after_set = true;
                }
                Some(escaped) => {
                    after_set = escape(&mut out, escaped, in_class);
                }
                None => out.push_str(r"\\"),
            },
            '-' if in_class && was_set => out.push_str(r"\-"),
            '{' if !in_class => {
                let count: String = chars.by_ref().take_while(|&c| c != '}').collect();
                repetition(&mut out, &count);
            }
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

/// A count that large only repeats the shape's own length, and would take megabytes to compile.
const LARGEST_COUNT: u32 = 512;

fn repetition(out: &mut String, count: &str) {
    let large = |text: &str| text.parse().is_ok_and(|number: u32| number > LARGEST_COUNT);
    match count.split_once(',') {
        Some((low, high)) if large(high) && !large(low) => {
            out.push_str(&format!("{{{low},}}"));
        }
        _ if large(count) => out.push('+'),
        _ => out.push_str(&format!("{{{count}}}")),
    }
}

/// `\p{…}`: Java's POSIX classes are ASCII, its Unicode categories are the crate's.
fn property(out: &mut String, name: &str, in_class: bool) {
    let set = match name {
        "Print" => r"\x20-\x7E",
        "Graph" => r"\x21-\x7E",
        "ASCII" => r"\x00-\x7F",
        "Alpha" => "A-Za-z",
        "Alnum" => "0-9A-Za-z",
        "Punct" => r"!-/:-@\[-`{-~",
        _ => {
            out.push_str(&format!(r"\p{{{name}}}"));
            return;
        }
    };
    if in_class {
        out.push_str(set);
    } else {
        out.push_str(&format!("[{set}]"));
    }
}

/// Writes an escape; true where it stands for a set of characters.
fn escape(out: &mut String, escaped: char, in_class: bool) -> bool {
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
            return false;
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
    true
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
        assert!(translate(r"[\w-\/.]+").unwrap().is_match("a-/."));
        assert!(translate(r"\p{Print}{1,100000}").unwrap().is_match("a b"));
        assert!(!translate(r"\p{Print}+").unwrap().is_match("é"));
        assert!(translate(r"[\u0020-\uD7FF\uD800\uDC00-\uDBFF\uDFFF]*").unwrap().is_match("a😀"));
    }

    #[test]
    fn look_around_is_refused() {
        assert!(translate(r"(?!aws:)[a-z]+").is_none());
    }
}

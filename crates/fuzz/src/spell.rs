//! An input in a protocol's words, walked from its schema: JSON text, form pairs, CBOR bytes.

use aws_protocol::schema::{Kind, Member, Schema};

use crate::chance::Chance;
use crate::leaf;

/// Deeper than AWS's shapes go, and shallow enough to end.
const DEEPEST: usize = 9;

/// How many elements a list or map gets.
fn count(chance: &mut Chance, depth: usize) -> usize {
    match chance.below(100) {
        _ if depth >= DEEPEST => 0,
        _ if chance.tame => 1,
        0..=14 => 0,
        15..=69 => 1,
        70..=96 => 2,
        97 | 98 => 11,
        _ => 102,
    }
}

/// Members that no model requires and hardly any request goes without.
const USUAL: [&str; 5] = ["name", "image", "memory", "taskDefinition", "targetType"];

/// The members that a structure gets this time.
fn chosen<'a>(chance: &mut Chance, schema: &'a Schema, depth: usize) -> Vec<&'a Member> {
    let rare = chance.in_a_hundred(50);
    let members = schema.members().iter();
    let keep = |member: &&Member| {
        let share = match (member.required, depth >= DEEPEST, rare) {
            (true, ..) if chance.tame => 100,
            _ if chance.tame && USUAL.contains(&member.name) => 100,
            _ if chance.tame => 6,
            (true, ..) => 96,
            (false, true, _) => 0,
            (false, false, true) => 10,
            (false, false, false) => 40,
        };
        chance.in_a_hundred(share)
    };
    members.filter(keep).collect()
}

/// The whole input as JSON text.
pub fn json(chance: &mut Chance, schema: &Schema) -> String {
    let mut out = String::new();
    json_structure(chance, schema, 0, &mut out);
    out
}

fn json_structure(chance: &mut Chance, schema: &Schema, depth: usize, out: &mut String) {
    out.push('{');
    for (nth, member) in chosen(chance, schema, depth).into_iter().enumerate() {
        if nth > 0 {
            out.push(',');
        }
        quote(member.wire, out);
        out.push(':');
        json_value(chance, member, depth + 1, out);
    }
    out.push('}');
}

fn json_value(chance: &mut Chance, member: &Member, depth: usize, out: &mut String) {
    let schema = member.target;
    if !chance.tame && chance.below(150) == 0 {
        out.push_str("null");
        return;
    }
    match leaf::confused(chance, schema.kind) {
        Kind::String => quote(&leaf::text(chance, member), out),
        Kind::Blob => quote(chance.pick(&["", "AAAA", "====", "not base64!"]), out),
        Kind::Boolean => out.push_str(chance.pick(&["true", "false"])),
        Kind::Integer | Kind::Long | Kind::Float | Kind::Double | Kind::Timestamp => {
            out.push_str(&leaf::number(chance, schema));
        }
        Kind::Document => out.push_str(chance.pick(&["{}", "[[]]", "1", "\"x\""])),
        Kind::Structure => json_structure(chance, schema, depth, out),
        Kind::List => {
            out.push('[');
            for nth in 0..count(chance, depth) {
                if nth > 0 {
                    out.push(',');
                }
                match schema.members().first() {
                    Some(element) => json_value(chance, element, depth + 1, out),
                    None => out.push_str("{}"),
                }
            }
            out.push(']');
        }
        Kind::Map => {
            out.push('{');
            for nth in 0..count(chance, depth) {
                if nth > 0 {
                    out.push(',');
                }
                let [key, value] = schema.members() else { break };
                quote(&leaf::text(chance, key), out);
                out.push(':');
                json_value(chance, value, depth + 1, out);
            }
            // A map may end early where it is none; an open comma is one more way to be wrong.
            out.push('}');
        }
    }
}

/// A JSON string; control characters are escaped, the rest stands as it is.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// The input as form pairs, `Action` and `Version` first.
pub fn form(chance: &mut Chance, schema: &Schema, action: &str, version: &str) -> String {
    let mut out = format!("Action={action}&Version={version}");
    form_structure(chance, schema, "", 0, &mut out);
    out
}

fn form_structure(chance: &mut Chance, schema: &Schema, at: &str, depth: usize, out: &mut String) {
    for member in chosen(chance, schema, depth) {
        let dot = if at.is_empty() { "" } else { "." };
        form_value(chance, member, &format!("{at}{dot}{}", member.wire), depth + 1, out);
    }
}

fn form_value(chance: &mut Chance, member: &Member, at: &str, depth: usize, out: &mut String) {
    let schema = member.target;
    let text = match leaf::confused(chance, schema.kind) {
        Kind::String | Kind::Blob | Kind::Document => leaf::text(chance, member),
        Kind::Boolean => chance.pick(&["true", "false", "1", "yes"]).to_owned(),
        Kind::Integer | Kind::Long | Kind::Float | Kind::Double | Kind::Timestamp => {
            leaf::number(chance, schema)
        }
        Kind::Structure => return form_structure(chance, schema, at, depth, out),
        Kind::List => {
            let Some(element) = schema.members().first() else { return };
            for nth in 1..=count(chance, depth) {
                // Indexes that are wrong, huge or twice there, now and then.
                let nth =
                    if !chance.tame && chance.below(60) == 0 { chance.below(1 << 34) } else { nth };
                form_value(chance, element, &format!("{at}.member.{nth}"), depth + 1, out);
            }
            return;
        }
        Kind::Map => {
            let [key, value] = schema.members() else { return };
            for nth in 1..=count(chance, depth) {
                form_value(chance, key, &format!("{at}.entry.{nth}.key"), depth + 1, out);
                form_value(chance, value, &format!("{at}.entry.{nth}.value"), depth + 1, out);
            }
            return;
        }
    };
    out.push('&');
    out.push_str(at);
    out.push('=');
    escape(&text, out);
}

fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(byte as char),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
}

/// The input as CBOR.
pub fn cbor(chance: &mut Chance, schema: &Schema) -> Vec<u8> {
    let mut out = Vec::new();
    cbor_structure(chance, schema, 0, &mut out);
    out
}

fn head(major: u8, n: usize, out: &mut Vec<u8>) {
    out.push(major << 5 | 26);
    out.extend((n as u32).to_be_bytes());
}

fn cbor_text(text: &str, out: &mut Vec<u8>) {
    head(3, text.len(), out);
    out.extend(text.as_bytes());
}

fn cbor_structure(chance: &mut Chance, schema: &Schema, depth: usize, out: &mut Vec<u8>) {
    let members = chosen(chance, schema, depth);
    head(5, members.len(), out);
    for member in members {
        cbor_text(member.wire, out);
        cbor_value(chance, member, depth + 1, out);
    }
}

fn cbor_value(chance: &mut Chance, member: &Member, depth: usize, out: &mut Vec<u8>) {
    let schema = member.target;
    match leaf::confused(chance, schema.kind) {
        Kind::String | Kind::Document => cbor_text(&leaf::text(chance, member), out),
        Kind::Blob => head(2, 0, out),
        // False, true, null and undefined.
        Kind::Boolean => out.push(0xf4 + chance.below(4) as u8),
        Kind::Integer | Kind::Long => {
            out.push(if chance.in_a_hundred(80) { 0x1b } else { 0x3b });
            out.extend((chance.any() >> chance.below(64)).to_be_bytes());
        }
        Kind::Float | Kind::Double | Kind::Timestamp => {
            out.push(0xfb);
            out.extend(chance.any().to_be_bytes());
        }
        Kind::Structure => cbor_structure(chance, schema, depth, out),
        Kind::List => {
            let n = count(chance, depth);
            head(4, n, out);
            for _ in 0..n {
                match schema.members().first() {
                    Some(element) => cbor_value(chance, element, depth + 1, out),
                    None => out.push(0xf6),
                }
            }
        }
        Kind::Map => {
            let [key, value] = schema.members() else { return head(5, 0, out) };
            let n = count(chance, depth);
            head(5, n, out);
            for _ in 0..n {
                cbor_text(&leaf::text(chance, key), out);
                cbor_value(chance, value, depth + 1, out);
            }
        }
    }
}

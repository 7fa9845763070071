//! Rust names for AWS's names.

use std::collections::BTreeSet;

/// Words that a snake-case name must not fall apart into letters at.
const WHOLE: &[(&str, &str)] = &[
    ("IPv", "Ipv"),
    ("ARNs", "Arns"),
    ("IDs", "Ids"),
    ("IPs", "Ips"),
    ("URLs", "Urls"),
    ("DNs", "Dns"),
    ("ACLs", "Acls"),
    ("GBs", "Gbs"),
    ("vCpu", "Vcpu"),
    ("vGpu", "Vgpu"),
    ("GiB", "Gib"),
    ("MiB", "Mib"),
];

/// Names in scope of generated code, which a shape must not shadow.
const TAKEN: &[&str] = &[
    "Option",
    "Some",
    "None",
    "String",
    "Vec",
    "Box",
    "Result",
    "Ok",
    "Err",
    "From",
    "Self",
    "BTreeMap",
    "Blob",
    "Timestamp",
    "Document",
    "AsRef",
    "PartialEq",
    "Default",
    "Clone",
    "Debug",
];

const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let",
    "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return",
    "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use",
    "virtual", "where", "while", "yield",
];

/// `clusterArn` and `ClusterARN` both become `cluster_arn`.
pub fn snake(name: &str) -> String {
    let mut name = name.to_owned();
    for (from, to) in WHOLE {
        name = name.replace(from, to);
    }
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (index, &c) in chars.iter().enumerate() {
        if !c.is_ascii_alphanumeric() {
            if !out.ends_with('_') {
                out.push('_');
            }
            continue;
        }
        let before = index.checked_sub(1).map(|i| chars[i]);
        let after = chars.get(index + 1);
        let new_word = c.is_ascii_uppercase()
            && before.is_some_and(|b| {
                b.is_ascii_lowercase()
                    || (b.is_ascii_digit() && after.is_some_and(char::is_ascii_lowercase))
                    || (b.is_ascii_uppercase() && after.is_some_and(char::is_ascii_lowercase))
            });
        if new_word && !out.ends_with('_') {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out.trim_matches('_').to_owned()
}

/// A field: snake case, raw where it is a keyword.
pub fn field(name: &str) -> String {
    let name = snake(name);
    match name.as_str() {
        "self" | "super" | "crate" => format!("{name}_"),
        keyword if KEYWORDS.contains(&keyword) => format!("r#{name}"),
        _ => name,
    }
}

/// A constant.
pub fn constant(name: &str) -> String {
    let name = snake(name).to_ascii_uppercase();
    match name.chars().next() {
        None => "EMPTY".to_owned(),
        Some(c) if c.is_ascii_digit() => format!("N{name}"),
        _ => name,
    }
}

/// A type: AWS's name with a capital letter.
pub fn type_name(name: &str) -> String {
    let mut chars = name.chars().filter(|c| c.is_ascii_alphanumeric());
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    let name: String = first.into_iter().chain(chars).collect();
    if TAKEN.contains(&name.as_str()) { format!("{name}Shape") } else { name }
}

/// Gives out each name once.
#[derive(Default)]
pub struct Unique {
    taken: BTreeSet<String>,
}

impl Unique {
    pub fn name(&mut self, wanted: String) -> String {
        let mut name = wanted.clone();
        let mut number = 2;
        while !self.taken.insert(name.clone()) {
            name = format!("{wanted}_{number}");
            number += 1;
        }
        name
    }
}

//! What stands at a leaf of a request: names that exist here or next door, values at an edge, noise.

use aws_protocol::schema::{Kind, Member, Schema};

use crate::chance::Chance;
use crate::world::{NAMES, NEIGHBOUR, OWN};

const ODD_TEXTS: &[&str] = &[
    "",
    " ",
    "\0",
    "*",
    "?",
    "%00",
    "../../etc/passwd",
    "${aws:username}",
    "${jndi:ldap://x}",
    "null",
    "true",
    "0",
    "-1",
    "a b",
    "a/b",
    "a:b",
    "ü☃𝄞",
    "\u{202e}abc",
    "\u{feff}",
    "'\"<>&;",
    "arn:",
    "arn:aws:ecs",
    "arn:aws:ecs:::",
    "arn:aws:ecs:us-east-1:1:cluster/",
    "]]>",
    "{}",
    "[]",
    "99999999999999999999999",
    "v1",
    "web:1",
    "web:0",
    "web:4294967296",
    "web:-1",
    "aws:tag",
    "attribute:a == b and (not (c in [d, e]))",
    "((((((((((",
    "2026-01-01T00:00:00Z",
];

const POLICIES: &[&str] = &[
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"*"}}]}"#,
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","NotAction":["ecs:*","iam:Get*"],"NotResource":"arn:aws:ecs:*:*:cluster/*","Condition":{"ForAllValues:StringLikeIfExists":{"aws:TagKeys":["${aws:username}*","?"]},"NumericLessThan":{"aws:MultiFactorAuthAge":"x"}}}}"#,
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecs:*","Resource":"arn:aws:ecs:us-east-1:222222222222:*"}]}"#,
    r#"{"Statement":[]}"#,
    "{",
    "[]",
    r#"{"Version":"2012-10-17","Version":"x"}"#,
];

/// A text for a member; mostly one that a member of this name could hold.
pub fn text(chance: &mut Chance, member: &Member) -> String {
    let schema = member.target;
    if !schema.values.is_empty() && chance.in_a_hundred(85) {
        return chance.pick(schema.values).to_owned();
    }
    let name = member.name.to_ascii_lowercase();
    if chance.tame {
        return plausible(chance, &name);
    }
    match chance.below(100) {
        0..=69 => plausible(chance, &name),
        70..=79 => chance.pick(ODD_TEXTS).to_owned(),
        80..=84 => long(chance, schema),
        85..=89 => String::from_utf8_lossy(&chance.bytes(40)).into_owned(),
        90..=94 => arn(chance),
        _ => POLICIES[chance.below(POLICIES.len())].to_owned(),
    }
}

fn plausible(chance: &mut Chance, member: &str) -> String {
    if member.contains("document") || member == "policy" || member.contains("policyinput") {
        return POLICIES[chance.below(POLICIES.len())].to_owned();
    }
    if member.contains("policyarn") || member.contains("permissionsboundary") {
        let account = chance.pick(&["aws", OWN, NEIGHBOUR]);
        let name = chance.pick(&["ReadOnlyAccess", "AdministratorAccess", "web", "dock"]);
        return format!("arn:aws:iam::{account}:policy/{name}");
    }
    if member.ends_with("arn") {
        return arn(chance);
    }
    if member == "path" || member == "pathprefix" {
        return chance.pick(&["/", "/a/", "/a/b/", "no"]).to_owned();
    }
    if member.contains("image") {
        return chance.pick(&["nginx", "nginx:1", "a/b@sha256:0"]).to_owned();
    }
    if ["cpu", "memory", "value"].contains(&member) {
        return chance.pick(&["256", "512", "1024", "enabled", "disabled", "x"]).to_owned();
    }
    if member.contains("action") {
        return chance.pick(&["ecs:ListClusters", "iam:*", "sts:AssumeRole"]).to_owned();
    }
    let taskish = member.contains("taskdefinition") && chance.in_a_hundred(60);
    if taskish {
        return format!("{}:{}", chance.pick(&NAMES), chance.below(4));
    }
    if chance.in_a_hundred(10) {
        return format!("{}-{}", chance.pick(&NAMES), chance.below(50));
    }
    chance.pick(&NAMES).to_owned()
}

/// An ARN of this account, of the neighbour's, or of nobody.
pub fn arn(chance: &mut Chance) -> String {
    let account = chance.pick(&[OWN, OWN, NEIGHBOUR, NEIGHBOUR, "999999999999", "", "aws", "*"]);
    let name = chance.pick(&NAMES);
    let (service, region, kind) = [
        ("ecs", "us-east-1", "cluster/"),
        ("ecs", "us-east-1", "task-definition/"),
        ("ecs", "us-east-1", "capacity-provider/"),
        ("ecs", "eu-west-1", "cluster/"),
        ("iam", "", "user/"),
        ("iam", "", "role/"),
        ("iam", "", "policy/"),
        ("iam", "", "group/"),
        ("iam", "", "instance-profile/"),
        ("iam", "", ""),
    ][chance.below(10)];
    let name = if kind.is_empty() { "root" } else { name };
    let revision = if kind.starts_with("task") { ":1" } else { "" };
    format!("arn:aws:{service}:{region}:{account}:{kind}{name}{revision}")
}

fn long(chance: &mut Chance, schema: &Schema) -> String {
    let edge = schema.bounds.max.filter(|max| (1..100_000).contains(max)).unwrap_or(300) as usize;
    let length = [edge, edge + 1, edge.saturating_sub(1), 5_000, 70_000][chance.below(5)];
    chance.pick(&["a", "ü", "/", "{", "%"]).repeat(length)
}

/// A number as text; mostly small, sometimes beyond every type.
pub fn number(chance: &mut Chance, schema: &Schema) -> String {
    let edges = [
        "0",
        "-1",
        "1",
        "2147483647",
        "2147483648",
        "-2147483648",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "1e400",
        "1e-400",
        "0.5",
        "1E+2",
        "-0",
        "65535",
        "65536",
        "100",
        "101",
        "1000",
        "99999999999999999999999999999999",
    ];
    match chance.below(100) {
        share if chance.tame || share < 70 => {
            let low = schema.bounds.min.unwrap_or(0);
            (low + chance.below(512) as i64).to_string()
        }
        70..=94 => chance.pick(&edges).to_owned(),
        _ => (chance.any() as i64).to_string(),
    }
}

/// The kind that a value gets: now and then another than its member's.
pub fn confused(chance: &mut Chance, kind: Kind) -> Kind {
    const KINDS: [Kind; 7] = [
        Kind::String,
        Kind::Boolean,
        Kind::Integer,
        Kind::Double,
        Kind::List,
        Kind::Map,
        Kind::Structure,
    ];
    if !chance.tame && chance.below(200) == 0 { KINDS[chance.below(KINDS.len())] } else { kind }
}

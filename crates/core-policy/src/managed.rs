//! The AWS managed policies that exist in every account from the start.
//!
//! A policy is kept as what it grants; its document is written from that. Names, paths, versions
//! and dates are AWS's, because tools compare and print them.

mod accounts;
mod broad;
mod ecs;
mod registry;
mod service_linked;
mod services;
mod systems;

use std::fmt::Write;

/// A policy under `arn:aws:iam::aws:policy`.
#[derive(Debug)]
pub struct ManagedPolicy {
    pub name: &'static str,
    pub path: &'static str,
    /// The number of the default version.
    pub version: u32,
    pub created: &'static str,
    pub updated: &'static str,
    pub description: &'static str,
    grants: &'static [Grant],
}

/// One Allow statement. Lists of one are written as a list too, as AWS's documents mostly do.
#[derive(Debug)]
struct Grant {
    actions: &'static [&'static str],
    /// Everything except these, in place of `actions`.
    all_but: &'static [&'static str],
    resources: &'static [&'static str],
    /// Operator, key, values.
    when: &'static [(&'static str, &'static str, &'static [&'static str])],
}

const GRANT: Grant = Grant { actions: &[], all_but: &[], resources: &["*"], when: &[] };

/// The policies by group; `all` walks them as one list.
const GROUPS: &[&[ManagedPolicy]] = &[
    accounts::POLICIES,
    broad::POLICIES,
    ecs::POLICIES,
    registry::POLICIES,
    service_linked::POLICIES,
    services::POLICIES,
    systems::POLICIES,
];

/// Every built-in policy.
pub fn all() -> impl Iterator<Item = &'static ManagedPolicy> {
    GROUPS.iter().copied().flatten()
}

/// The policy with this ARN, in whichever partition.
pub fn find(arn: &str) -> Option<&'static ManagedPolicy> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", _, "iam", "", "aws", resource] = parts[..] else { return None };
    let path_and_name = resource.strip_prefix("policy")?;
    all().find(|policy| path_and_name.strip_prefix(policy.path) == Some(policy.name))
}

impl ManagedPolicy {
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::aws:policy{}{}", self.path, self.name)
    }

    /// The unique id: AWS's prefix and seventeen letters that follow from the name.
    pub fn id(&self) -> String {
        let mut id = "ANPA".to_owned();
        let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        for byte in self.name.bytes() {
            hash = (hash ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b);
        }
        for nth in 0..17 {
            let letter = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[(hash >> (nth * 5)) as usize % 32];
            id.push(char::from(letter));
        }
        id
    }

    /// The document of the default version.
    pub fn document(&self) -> String {
        let mut text = "{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [\n".to_owned();
        for (nth, grant) in self.grants.iter().enumerate() {
            let comma = if nth + 1 < self.grants.len() { "," } else { "" };
            text.push_str("    {\n      \"Effect\": \"Allow\",\n");
            match grant.all_but {
                [] => list(&mut text, 6, "Action", grant.actions),
                all_but => list(&mut text, 6, "NotAction", all_but),
            }
            text.push_str(",\n");
            list(&mut text, 6, "Resource", grant.resources);
            conditions(&mut text, grant);
            let _ = writeln!(text, "\n    }}{comma}");
        }
        text.push_str("  ]\n}");
        text
    }
}

fn conditions(text: &mut String, grant: &Grant) {
    let mut operator = "";
    for (next, key, values) in grant.when {
        text.push_str(",\n");
        if *next != operator {
            // The conditions of one operator stand side by side in the tables.
            match operator {
                "" => text.push_str("      \"Condition\": {\n"),
                _ => {
                    text.truncate(text.len() - 2);
                    text.push_str("\n        },\n");
                }
            }
            let _ = writeln!(text, "        \"{next}\": {{");
            operator = next;
        }
        list(text, 10, key, values);
    }
    if !operator.is_empty() {
        text.push_str("\n        }\n      }");
    }
}

fn list(text: &mut String, indent: usize, name: &str, values: &[&str]) {
    let pad = " ".repeat(indent);
    if let [one] = values {
        let _ = write!(text, "{pad}\"{name}\": \"{one}\"");
        return;
    }
    let _ = write!(text, "{pad}\"{name}\": [");
    for (nth, value) in values.iter().enumerate() {
        let comma = if nth > 0 { "," } else { "" };
        let _ = write!(text, "{comma}\n{pad}  \"{value}\"");
    }
    let _ = write!(text, "\n{pad}]");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, Decision, Policy, PolicyKind, PolicySet, Principal, Request, evaluate};
    use std::collections::BTreeSet;

    #[test]
    fn every_document_parses_and_names_and_ids_are_unique() {
        let (mut names, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for policy in all() {
            let document = policy.document();
            Policy::parse(&document, PolicyKind::Managed)
                .unwrap_or_else(|error| panic!("{}: {error}\n{document}", policy.name));
            assert!(names.insert(policy.name), "{} twice", policy.name);
            assert!(ids.insert(policy.id()), "{} shares its id", policy.name);
            assert_eq!(find(&policy.arn()).map(|found| found.name), Some(policy.name));
            assert!(policy.path.starts_with('/') && policy.path.ends_with('/'));
            assert_eq!((policy.created.len(), policy.updated.len()), (20, 20));
        }
        assert!(names.len() >= 45, "{} policies", names.len());
    }

    #[test]
    fn what_is_granted_is_what_the_names_promise() {
        let may = |name: &str, action: &str, resource: &str, context: &Context| {
            let policy = all().find(|policy| policy.name == name).unwrap();
            let policy = Policy::parse(&policy.document(), PolicyKind::Managed).unwrap();
            let principal = Principal::User {
                account: "123456789012",
                arn: "arn:aws:iam::123456789012:user/x",
                id: "AIDAEXAMPLE",
                name: "x",
            };
            let request = Request { principal, action, resource, resource_account: "", context };
            let set = PolicySet { identity: &[&policy], ..PolicySet::default() };
            evaluate(&set, &request) == Decision::Allow
        };
        let none = Context::new();
        assert!(may("AdministratorAccess", "ecs:RunTask", "*", &none));
        assert!(may("PowerUserAccess", "ecs:RunTask", "*", &none));
        assert!(!may("PowerUserAccess", "iam:CreateUser", "*", &none));
        assert!(may("PowerUserAccess", "iam:ListRoles", "*", &none));
        assert!(may("ReadOnlyAccess", "ecs:DescribeTasks", "*", &none));
        assert!(!may("ReadOnlyAccess", "secretsmanager:GetSecretValue", "*", &none));
        assert!(!may("ReadOnlyAccess", "ecs:RunTask", "*", &none));
        assert!(may("AmazonECSTaskExecutionRolePolicy", "logs:PutLogEvents", "*", &none));
        let host = "AmazonEC2ContainerServiceforEC2Role";
        assert!(may(host, "ecs:SubmitTaskStateChange", "*", &none));
        let created = Context::new().with("ecs:CreateAction", "RegisterContainerInstance");
        assert!(may(host, "ecs:TagResource", "*", &created));
        assert!(!may(host, "ecs:TagResource", "*", &none));
        let me = Context::new().with("aws:username", "x");
        let (own, other) = ("arn:aws:iam::123456789012:user/x", "arn:aws:iam::123456789012:user/y");
        assert!(may("IAMUserChangePassword", "iam:ChangePassword", own, &me));
        assert!(!may("IAMUserChangePassword", "iam:ChangePassword", other, &me));
    }
}

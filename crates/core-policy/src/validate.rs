//! The checks that AWS makes on a document of right syntax, in its order and with its texts.
//!
//! Clients match on the texts, and a document with several faults must show the one that AWS shows,
//! so the order here is behaviour: version, the older parser's complaints, statement ids, actions,
//! resources, action prefixes, and last what the kind of document asks for.

use crate::document::PolicyKind;
use crate::parse::{Draft, DraftStatement, MalformedPolicy, Negatable, PrincipalType};
use crate::scalar::parse_date;

type Checked = Result<(), MalformedPolicy>;

const LEGACY: &str = "The policy failed legacy parsing";

const PARTITIONS: &[&str] =
    &["aws", "aws-cn", "aws-eusc", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-us-gov"];

const IAM_PATHS: &[&str] = &[
    "user/",
    "federated-user/",
    "role/",
    "group/",
    "instance-profile/",
    "mfa/",
    "server-certificate/",
    "policy/",
    "sms-mfa/",
    "saml-provider/",
    "oidc-provider/",
    "report/",
    "access-report/",
];

fn refuse(message: impl Into<String>) -> Checked {
    Err(MalformedPolicy::new(message))
}

pub(crate) fn check(draft: &Draft, kind: PolicyKind) -> Checked {
    // AWS: only managed policies must be of the newer version; inline ones and trust policies of
    // 2008-10-17, or of none, are everywhere.
    if kind == PolicyKind::Managed && draft.version.as_deref() != Some("2012-10-17") {
        return refuse("Policy document must be version 2012-10-17 or greater.");
    }
    draft.statements.iter().try_for_each(check_legacy)?;
    let resource_error = first_resource_error(draft)?;
    check_sids(draft, kind)?;
    let no_actions = |statement: &DraftStatement| is_empty(&statement.action);
    if draft.statements.iter().any(no_actions) {
        return refuse("Policy statement must contain actions.");
    }
    if let Some(message) = resource_error {
        return refuse(message);
    }
    for negated in [false, true] {
        let clauses = draft.statements.iter().filter_map(|statement| statement.action.as_ref());
        for clause in clauses.filter(|clause| clause.negated == negated) {
            clause.values.iter().try_for_each(|action| check_action(action))?;
        }
    }
    draft.statements.iter().try_for_each(|statement| match kind {
        PolicyKind::Trust => check_trust(statement),
        PolicyKind::Resource => check_principals(statement),
        _ => check_identity(statement),
    })
}

fn is_empty<T>(clause: &Option<Negatable<T>>) -> bool {
    clause.as_ref().is_none_or(|clause| clause.values.is_empty())
}

fn check_identity(statement: &DraftStatement) -> Checked {
    if statement.principal.is_some() {
        return refuse("Policy document should not specify a principal.");
    }
    if is_empty(&statement.resource) {
        return refuse("Policy statement must contain resources.");
    }
    Ok(())
}

fn check_trust(statement: &DraftStatement) -> Checked {
    if let Some(clause) = &statement.resource {
        let name = if clause.negated { "NotResource" } else { "Resource" };
        return refuse(format!("Has prohibited field {name}"));
    }
    let actions = statement.action.iter().flat_map(|clause| &clause.values);
    let is_sts =
        |action: &String| action.get(..4).is_some_and(|vendor| vendor.eq_ignore_ascii_case("sts:"));
    if statement.action.as_ref().is_some_and(|clause| clause.negated)
        || !actions.into_iter().all(is_sts)
    {
        return refuse("AssumeRole policy may only specify STS AssumeRole actions.");
    }
    match &statement.principal {
        Some(clause) if clause.negated => return refuse("Has prohibited field NotPrincipal"),
        // AWS: the bare star is refused here, {"AWS": "*"} is not.
        Some(clause) if clause.values.iter().any(|(kind, _)| *kind == PrincipalType::Star) => {
            return refuse("AssumeRolepolicy contained an invalid principal: \"STAR\":\"*\".");
        }
        _ => {}
    }
    check_principals(statement)
}

fn check_principals(statement: &DraftStatement) -> Checked {
    let Some(clause) = statement.principal.as_ref().filter(|clause| !clause.values.is_empty())
    else {
        return refuse("Missing required field Principal");
    };
    for (kind, value) in &clause.values {
        let (valid, name) = match kind {
            PrincipalType::Star => (true, "STAR"),
            PrincipalType::Aws => (is_aws_principal(value), "AWS"),
            PrincipalType::Service => (is_domain(value), "SERVICE"),
            PrincipalType::Federated => {
                (value == "*" || value.starts_with("arn:") || is_domain(value), "FEDERATED")
            }
            PrincipalType::CanonicalUser => (!value.is_empty(), "CANONICAL_USER"),
        };
        if !valid {
            return refuse(format!("Invalid principal in policy: \"{name}\":\"{value}\""));
        }
    }
    Ok(())
}

fn is_domain(text: &str) -> bool {
    text.contains('.')
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        })
}

/// AWS: a principal is named in full; a wildcard may stand for everyone but not for a part.
fn is_aws_principal(value: &str) -> bool {
    if value == "*" || is_account(value) {
        return true;
    }
    if !value.starts_with("arn:") {
        let id = value.split(':').next().unwrap_or("");
        return id.len() >= 16
            && ["AIDA", "AROA"].iter().any(|prefix| id.starts_with(prefix))
            && id.bytes().all(|b| b.is_ascii_alphanumeric());
    }
    let parts: Vec<&str> = value.splitn(6, ':').collect();
    let [_, partition, service, region, account, resource] = parts[..] else { return false };
    let cloudfront = service == "iam" && account == "cloudfront";
    PARTITIONS.contains(&partition)
        && matches!(service, "iam" | "sts")
        && region.is_empty()
        && (is_account(account) || cloudfront)
        && !resource.is_empty()
        && !resource.contains(['*', '?'])
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// The account that `123456789012` and `arn:aws:iam::123456789012:root` both name.
pub(crate) fn account_of_principal(value: &str) -> Option<&str> {
    if is_account(value) {
        return Some(value);
    }
    let parts: Vec<&str> = value.splitn(6, ':').collect();
    match parts[..] {
        ["arn", _, "iam", "", account, "root"] if is_account(account) => Some(account),
        _ => None,
    }
}

fn check_legacy(statement: &DraftStatement) -> Checked {
    if !matches!(statement.effect.as_str(), "Allow" | "Deny") {
        return refuse(LEGACY);
    }
    let dates = statement.conditions.iter().filter(|(operator, ..)| operator.is_date());
    let mut values = dates.flat_map(|(_, _, values)| values);
    match values.all(|value| parse_date(value).is_some()) {
        true => Ok(()),
        false => refuse(LEGACY),
    }
}

fn check_sids(draft: &Draft, kind: PolicyKind) -> Checked {
    let mut sids: Vec<&str> = draft
        .statements
        .iter()
        .filter_map(|statement| statement.sid.as_deref())
        .filter(|sid| !sid.is_empty())
        .collect();
    let plain = |sid: &&str| sid.bytes().all(|b| b.is_ascii_alphanumeric());
    // AWS: resource policies of several services allow spaces and more in statement ids.
    if kind != PolicyKind::Resource && !sids.iter().all(plain) {
        return refuse(
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the \
             regular expression [0-9A-Za-z]*",
        );
    }
    sids.sort_unstable();
    match sids.windows(2).any(|pair| pair[0] == pair[1]) {
        true => refuse("Statement IDs (SID) in a single policy must be unique."),
        false => Ok(()),
    }
}

fn check_action(action: &str) -> Checked {
    let mut parts = action.split(':');
    let vendor = parts.next().unwrap_or("");
    match parts.count() {
        0 if vendor == "*" => Ok(()),
        0 => refuse("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
        1 => {
            let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
            match vendor == "*" || vendor.bytes().all(valid) {
                true => Ok(()),
                false => refuse(format!("Vendor {vendor} is not valid")),
            }
        }
        _ => refuse("Actions/Condition can contain only one colon."),
    }
}

/// The first fault in a resource's form. AWS finds it early and reports it late, except for what
/// its older parser trips over, which is reported at once.
fn first_resource_error(draft: &Draft) -> Result<Option<String>, MalformedPolicy> {
    let mut first = None;
    for negated in [false, true] {
        let clauses = draft.statements.iter().filter_map(|statement| statement.resource.as_ref());
        for clause in clauses.filter(|clause| clause.negated == negated) {
            for resource in &clause.values {
                first = first.or_else(|| resource_error(resource));
            }
            if first.is_none() && !clause.values.iter().all(|resource| parsed_of_old(resource)) {
                return Err(MalformedPolicy::new(LEGACY));
            }
        }
    }
    Ok(first)
}

fn parsed_of_old(resource: &str) -> bool {
    if resource == "*" {
        return true;
    }
    let colons = resource.bytes().filter(|b| *b == b':').count();
    let vendor = resource.split(':').nth(2);
    (colons >= 5 || !resource.contains("::")) && vendor.is_none_or(|vendor| !vendor.is_empty())
}

fn resource_error(resource: &str) -> Option<String> {
    if resource == "*" {
        return None;
    }
    let Some((_, rest)) = resource.split_once(':') else {
        return Some(format!("Resource {resource} must be in ARN format or \"*\"."));
    };
    let (partition, after_partition) = match rest.split_once(':') {
        Some((partition, after)) => (partition, Some(after)),
        None => (rest, None),
    };
    if partition != "*" && !PARTITIONS.contains(&partition) {
        return Some(partition_error(partition, after_partition.unwrap_or("")));
    }
    let Some(after_partition) = after_partition else {
        let text = "Resource vendor must be fully qualified and cannot contain regexes.";
        return Some(text.to_owned());
    };
    let (service, after_service) = after_partition.split_once(':').unwrap_or((after_partition, ""));
    let has_region = !after_service.starts_with(':');
    let after_region = after_service.split_once(':').map_or("", |(_, rest)| rest);
    let id = after_region.split_once(':').map_or("", |(_, id)| id);
    if service == "iam" && has_region {
        return Some(format!("IAM resource {resource} cannot contain region information."));
    }
    // AWS: of S3's resources only access points live in a region.
    if service == "s3" && has_region && !id.starts_with("accesspoint/") {
        return Some(format!("Resource {resource} can not contain region information."));
    }
    let known_path = id == "*" || IAM_PATHS.iter().any(|path| id.starts_with(path));
    (service == "iam" && !known_path).then(|| {
        let paths = IAM_PATHS.join(", ");
        format!("IAM resource path must either be \"*\" or start with {paths}.")
    })
}

/// AWS shows the ARN as it understood it, with stars for the parts that are missing.
fn partition_error(partition: &str, rest: &str) -> String {
    let parts: Vec<&str> = rest.splitn(4, ':').collect();
    let part = |nth: usize| match parts.get(nth) {
        Some(part) if nth > 0 || !part.is_empty() || parts.len() > 1 => *part,
        _ => "*",
    };
    format!(
        "Partition \"{partition}\" is not valid for resource \"arn:{partition}:{}:{}:{}:{}\".",
        part(0),
        part(1),
        part(2),
        part(3)
    )
}

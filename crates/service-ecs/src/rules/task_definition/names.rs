//! How task definitions and roles are named in calls.

use aws_protocol::ApiError;
use core_step::Call;
use core_types::{AccountId, Arn, PARTITION, Scope};

use super::refuse;

/// A task definition as a call names it: `family`, `family:revision`, or an ARN of either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    pub family: &'a str,
    pub revision: Option<u32>,
    /// Whether an ARN of another account or region was given.
    pub elsewhere: bool,
}

impl<'a> Reference<'a> {
    /// `None` where the text can name no task definition.
    pub fn parse(text: &'a str, kind: &str, scope: Scope) -> Option<Self> {
        let (rest, elsewhere) = match Arn::parse(text) {
            Ok(arn) => {
                let here = arn.account.parse() == Ok(scope.account)
                    && arn.region.parse() == Ok(scope.region);
                (arn.resource_of(kind).filter(|_| arn.service == "ecs")?, !here)
            }
            Err(_) => (text, false),
        };
        let (family, revision) = match rest.split_once(':') {
            None => (rest, None),
            Some((family, digits)) => {
                let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
                (family, Some(digits.parse().ok().filter(|n| plain && *n > 0)?))
            }
        };
        good_name(family).then_some(Reference { family, revision, elsewhere })
    }

    pub fn of_call(text: &'a str, call: &Call) -> Option<Self> {
        Self::parse(text, "task-definition", call.scope())
    }
}

/// AWS: up to 255 letters, digits, hyphens and underscores.
fn good_name(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !name.is_empty() && name.len() <= 255 && name.bytes().all(good)
}

pub fn check_family(family: &str) -> Result<(), ApiError> {
    match good_name(family) {
        true => Ok(()),
        false if family.is_empty() => Err(refuse("Family should not be null or empty.")),
        false if family.len() > 255 => {
            Err(refuse("Family should not be longer than 255 characters."))
        }
        false => Err(refuse("Family contains invalid characters.")),
    }
}

pub(super) fn check_container(name: &str) -> Result<(), ApiError> {
    match good_name(name) {
        true => Ok(()),
        false if name.is_empty() => Err(refuse("Container.name should not be null or empty.")),
        false if name.len() > 255 => {
            Err(refuse("Container.name should not be longer than 255 characters."))
        }
        false => Err(refuse("Container.name contains invalid characters.")),
    }
}

/// AWS: a role is given by its ARN or its short name, and shown by its ARN.
pub fn role_arn(given: Option<String>, account: AccountId) -> Result<Option<String>, ApiError> {
    let Some(text) = given.filter(|text| !text.is_empty()) else { return Ok(None) };
    if let Ok(arn) = Arn::parse(&text) {
        let good = arn.service == "iam" && arn.resource_of("role").is_some_and(|r| !r.is_empty());
        return if good { Ok(Some(text)) } else { Err(refuse("Role is not valid")) };
    }
    let good = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b);
    if text.len() > 64 || !text.bytes().all(good) {
        return Err(refuse("Role is not valid"));
    }
    Ok(Some(format!("arn:{PARTITION}:iam::{account}:role/{text}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scope() -> Scope {
        "123456789012/us-east-1".parse().unwrap()
    }

    #[test]
    fn references_come_in_three_forms() {
        let parse = |text| Reference::parse(text, "task-definition", scope());
        let web = |revision, elsewhere| Some(Reference { family: "web", revision, elsewhere });
        assert_eq!(parse("web"), web(None, false));
        assert_eq!(parse("web:3"), web(Some(3), false));
        let arn = "arn:aws:ecs:us-east-1:123456789012:task-definition/web:3";
        assert_eq!(parse(arn), web(Some(3), false));
        let other = "arn:aws:ecs:eu-west-1:123456789012:task-definition/web";
        assert_eq!(parse(other), web(None, true));
        for bad in
            ["", ":", "web:", "web:0", "web:+1", "web:1:2", "a b", "arn:aws:ecs:r:a:cluster/web"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn roles_are_shown_by_their_arns() {
        let role = |text: &str| role_arn(Some(text.to_owned()), scope().account);
        let arn = "arn:aws:iam::123456789012:role/path/app";
        assert_eq!(role(arn).unwrap().as_deref(), Some(arn));
        let short = "arn:aws:iam::123456789012:role/app";
        assert_eq!(role("app").unwrap().as_deref(), Some(short));
        assert_eq!(role("").unwrap(), None);
        for bad in ["arn:aws:iam::1:user/x", "a b", "arn:aws:s3:::x"] {
            assert_eq!(role(bad).unwrap_err().message, "Role is not valid", "{bad}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,60}") {
            let _ = Reference::parse(&text, "task-definition", scope());
            let _ = role_arn(Some(text), scope().account);
        }

        #[test]
        fn what_is_printed_is_read_again(family in "[a-zA-Z0-9_-]{1,255}", revision in 1u32..) {
            let text = scope().arn("ecs", format_args!("task-definition/{family}:{revision}"));
            let read = Reference::parse(&text, "task-definition", scope());
            let wanted = Reference { family: &family, revision: Some(revision), elsewhere: false };
            prop_assert_eq!(read, Some(wanted));
        }
    }
}

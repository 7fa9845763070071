//! ARNs taken apart: `arn:partition:service:region:account:resource`.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArnError;

impl fmt::Display for ArnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an ARN has six parts: arn:partition:service:region:account-id:resource")
    }
}

impl std::error::Error for ArnError {}

/// A borrowed ARN; `resource` keeps its own `/` and `:` structure, which differs by service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arn<'a> {
    pub partition: &'a str,
    pub service: &'a str,
    pub region: &'a str,
    pub account: &'a str,
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    pub fn parse(text: &'a str) -> Result<Self, ArnError> {
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next().ok_or(ArnError);
        if next()? != "arn" {
            return Err(ArnError);
        }
        let arn = Arn {
            partition: next()?,
            service: next()?,
            region: next()?,
            account: next()?,
            resource: next()?,
        };
        if arn.partition.is_empty() || arn.service.is_empty() || arn.resource.is_empty() {
            return Err(ArnError);
        }
        Ok(arn)
    }

    /// The resource behind `kind/`, e.g. `cluster/` or `task-definition/`.
    pub fn resource_of(&self, kind: &str) -> Option<&'a str> {
        self.resource.strip_prefix(kind)?.strip_prefix('/')
    }
}

impl fmt::Display for Arn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Arn { partition, service, region, account, resource } = self;
        write!(f, "arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_arns_apart() {
        let text = "arn:aws:ecs:us-east-1:123456789012:task-definition/web:3";
        let arn = Arn::parse(text).unwrap();
        assert_eq!(arn.resource_of("task-definition"), Some("web:3"));
        assert_eq!(arn.to_string(), text);
        for bad in ["", "web", "arn:aws:ecs", "arn::ecs:r:a:x", "arn:aws:ecs:r:a:"] {
            assert!(Arn::parse(bad).is_err(), "{bad}");
        }
    }
}

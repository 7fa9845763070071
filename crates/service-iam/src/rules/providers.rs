//! Identity providers: how they are named and found, and what AWS checks of them.

use aws_protocol::{ApiError, Timestamp};
use core_state::State;
use core_types::{AccountId, Time};
use model_iam::errors;

use crate::rows::provider::{OidcProvider, SamlProvider};

pub fn find_oidc<'s>(
    state: &'s State,
    account: AccountId,
    arn: &str,
) -> Result<&'s OidcProvider, ApiError> {
    state.get::<OidcProvider>(&(account, arn.into())).ok_or_else(|| {
        let text = format!("OpenIDConnect Provider not found for arn {arn}");
        errors::no_such_entity_exception(text)
    })
}

pub fn find_saml<'s>(
    state: &'s State,
    account: AccountId,
    arn: &str,
) -> Result<&'s SamlProvider, ApiError> {
    state.get::<SamlProvider>(&(account, arn.into())).ok_or_else(|| {
        let text = format!("Manifest not found for arn {arn}");
        errors::no_such_entity_exception(text)
    })
}

/// A provider's URL without its scheme, as it is in the ARN.
pub fn oidc_host(url: &str) -> Result<&str, ApiError> {
    let host = url.strip_prefix("https://").map(|rest| rest.trim_end_matches('/'));
    host.filter(|host| !host.is_empty() && !host.contains(['?', '#', ' ']))
        .ok_or_else(|| ApiError::validation("Invalid Open ID Connect Provider URL"))
}

/// AWS: a hundred client ids and five thumbprints a provider.
pub fn check_oidc(client_ids: usize, thumbprints: &[String]) -> Result<(), ApiError> {
    if client_ids > 100 {
        let text = "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 100";
        return Err(errors::limit_exceeded_exception(text));
    }
    if thumbprints.len() > 5 {
        return Err(errors::invalid_input_exception(
            "Thumbprint list must contain fewer than 5 entries.",
        ));
    }
    match thumbprints.iter().all(|print| print.bytes().all(|b| b.is_ascii_hexdigit())) {
        true => Ok(()),
        false => Err(errors::invalid_input_exception("Thumbprint must be hexadecimal.")),
    }
}

/// Until when SAML metadata is good: what it says itself, else AWS's hundred years.
pub fn check_saml(document: &str, now: Time) -> Result<Time, ApiError> {
    let wrong = || errors::invalid_input_exception("Could not parse metadata");
    if !document.contains("EntityDescriptor") || !document.contains("entityID=") {
        return Err(wrong());
    }
    let Some((_, rest)) = document.split_once("validUntil=\"") else {
        const CENTURY: std::time::Duration = std::time::Duration::from_secs(100 * 365 * 86_400);
        return Ok(now + CENTURY);
    };
    let text = rest.split('"').next().unwrap_or_default();
    let until = Timestamp::parse_iso8601(text).ok_or_else(wrong)?;
    Ok(Time(until.as_millis()))
}

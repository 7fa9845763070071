//! AssumeRoleWithWebIdentity and AssumeRoleWithSAML. No token of an identity provider can be
//! verified here yet, so none is taken; the refusals are AWS's for a provider that is not there, or
//! that does not answer.

use aws_protocol::ApiError;
use core_step::{Call, Demands, Input, Output, ReadAction, View};
use core_types::Arn;
use model_sts::{self as api, errors};
use service_iam::ops;

const NO_PERMISSION: Demands =
    Demands::Nothing { because: "AWS: the provider's token stands in the place of a permission" };

pub struct AssumeRoleWithWebIdentity;

impl ReadAction for AssumeRoleWithWebIdentity {
    type Op = api::ops::AssumeRoleWithWebIdentity;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        NO_PERMISSION
    }

    fn run(
        _: &Call,
        view: &View<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        // The caller is nobody; the account is the role's.
        let role = input.role_arn.as_deref().and_then(|arn| Arn::parse(arn).ok());
        let account = role.and_then(|arn| arn.account.parse().ok());
        let configured = account.is_some_and(|account| ops::has_oidc_provider(view, account));
        Err(errors::invalid_identity_token_exception(match configured {
            false => "No OpenIDConnect provider found in your account for the issuer of this token",
            // AWS fetches the provider's keys; nothing here reaches out to it.
            true => {
                "Couldn't retrieve verification key from your identity provider, please reference \
                 AssumeRoleWithWebIdentity documentation for requirements"
            }
        }))
    }
}

pub struct AssumeRoleWithSAML;

impl ReadAction for AssumeRoleWithSAML {
    type Op = api::ops::AssumeRoleWithSAML;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        NO_PERMISSION
    }

    fn run(_: &Call, _: &View<'_>, _: Input<Self::Op>) -> Result<Output<Self::Op>, ApiError> {
        Err(errors::invalid_identity_token_exception(
            "No SAML provider found in your account for the issuer of this assertion",
        ))
    }
}

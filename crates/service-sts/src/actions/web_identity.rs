//! AssumeRoleWithWebIdentity and AssumeRoleWithSAML. No token of an identity provider can be
//! verified here yet, so none is taken; the refusals are AWS's for a provider that is not there.

use aws_protocol::ApiError;
use core_step::{Call, Demands, Input, Output, ReadAction, View};
use model_sts::{self as api, errors};

const NO_PERMISSION: Demands =
    Demands::Nothing { because: "AWS: the provider's token stands in the place of a permission" };

pub struct AssumeRoleWithWebIdentity;

impl ReadAction for AssumeRoleWithWebIdentity {
    type Op = api::ops::AssumeRoleWithWebIdentity;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        NO_PERMISSION
    }

    fn run(_: &Call, _: &View<'_>, _: Input<Self::Op>) -> Result<Output<Self::Op>, ApiError> {
        Err(errors::invalid_identity_token_exception(
            "No OpenIDConnect provider found in your account for the issuer of this token",
        ))
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

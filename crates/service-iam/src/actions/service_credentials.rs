//! Service-specific credentials: user names and passwords of services that do not know SigV4.
//!
//! None of those services is offered here, so creation gives AWS's own refusal of a service
//! without such credentials, and no user has any. Tools that clean up a user ask for the list.

use crate::actions::prelude::*;
use crate::rules::keys;

pub struct CreateServiceSpecificCredential;

impl WriteAction for CreateServiceSpecificCredential {
    type Op = api::ops::CreateServiceSpecificCredential;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = Some(text(&input.user_name));
        let mut demand = keys::demand(view, call, "iam:CreateServiceSpecificCredential", name)
            .with("iam:ServiceSpecificCredentialServiceName", text(&input.service_name));
        if let Some(days) = input.credential_age_days {
            demand = demand.with("iam:ServiceSpecificCredentialAgeDays", days.to_string());
        }
        demand.into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        keys::owner(tx, call, Some(text(&input.user_name)))?;
        Err(errors::service_not_supported_exception(format!(
            "No such service {} is supported for Service Specific Credentials",
            text(&input.service_name)
        )))
    }
}

pub struct ListServiceSpecificCredentials;

impl ReadAction for ListServiceSpecificCredentials {
    type Op = api::ops::ListServiceSpecificCredentials;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let name = input.user_name.as_deref();
        keys::demand(view, call, "iam:ListServiceSpecificCredentials", name).into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        if input.all_users != Some(true) {
            keys::owner(view, call, input.user_name.as_deref())?;
        }
        let marker = input.marker.as_deref();
        let list = "ListServiceSpecificCredentials";
        let asked = Asked { list, marker, max_items: input.max_items };
        let page = asked.page(Vec::new(), |_| String::new())?;
        let Page { items, marker, is_truncated } = page;
        let service_specific_credentials = Some(items);
        Ok(api::ListServiceSpecificCredentialsResponse {
            service_specific_credentials,
            marker,
            is_truncated,
        })
    }
}

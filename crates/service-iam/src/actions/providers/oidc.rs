//! OpenID Connect providers: create, get, list, delete, client ids, thumbprints.

use std::sync::Arc;

use crate::actions::prelude::*;
use crate::rows::provider::OidcProvider;
use crate::rules::providers;

/// AWS: OpenID Connect providers in an account.
const QUOTA: usize = 100;

fn arn(call: &Call, host: &str) -> String {
    format!("arn:aws:iam::{}:oidc-provider/{host}", call.account())
}

fn of_account<'s>(
    state: &'s core_state::State,
    call: &Call,
) -> impl Iterator<Item = &'s OidcProvider> {
    let account = call.account();
    state.scan::<OidcProvider>((account, "".into())).take_while(move |p| p.account == account)
}

fn texts(given: &[Arc<str>]) -> Vec<String> {
    given.iter().map(|text| text.to_string()).collect()
}

pub struct CreateOpenIDConnectProvider;

impl WriteAction for CreateOpenIDConnectProvider {
    type Op = api::ops::CreateOpenIDConnectProvider;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let host = providers::oidc_host(text(&input.url)).unwrap_or("*");
        let demand = Demand::on("iam:CreateOpenIDConnectProvider", arn(call, host));
        tags::demanded(demand, input.tags.as_deref()).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let host = providers::oidc_host(text(&input.url))?;
        let arn = arn(call, host);
        if tx.get::<OidcProvider>(&(call.account(), arn.as_str().into())).is_some() {
            return Err(errors::entity_already_exists_exception(format!(
                "Provider with url https://{host} already exists."
            )));
        }
        if of_account(tx, call).count() >= QUOTA {
            return Err(entities::exceeded("OpenIdConnectProvidersPerAccount", QUOTA));
        }
        let client_ids = input.client_id_list.unwrap_or_default();
        let thumbprints = input.thumbprint_list.unwrap_or_default();
        providers::check_oidc(client_ids.len(), &thumbprints)?;
        let row = OidcProvider {
            account: call.account(),
            arn: arn.as_str().into(),
            url: host.into(),
            client_ids: client_ids.iter().map(|id| id.as_str().into()).collect(),
            thumbprints: thumbprints.iter().map(|print| print.as_str().into()).collect(),
            created_at: tx.now(),
            tags: tags::parse(input.tags.as_deref())?,
        };
        let tags = views::shown_tags(&row.tags);
        tx.put(row);
        let open_id_connect_provider_arn = Some(arn);
        Ok(api::CreateOpenIDConnectProviderResponse { open_id_connect_provider_arn, tags })
    }
}

pub struct GetOpenIDConnectProvider;

impl ReadAction for GetOpenIDConnectProvider {
    type Op = api::ops::GetOpenIDConnectProvider;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let arn = text(&input.open_id_connect_provider_arn);
        demand_tagged::<OidcProvider>(view, call, "iam:GetOpenIDConnectProvider", arn).into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let arn = text(&input.open_id_connect_provider_arn);
        let row = providers::find_oidc(view, call.account(), arn)?;
        Ok(api::GetOpenIDConnectProviderResponse {
            client_id_list: Some(texts(&row.client_ids)),
            create_date: Some(views::time(row.created_at)),
            tags: Some(tags::shown(&row.tags)),
            thumbprint_list: Some(texts(&row.thumbprints)),
            url: Some(row.url.to_string()),
        })
    }
}

pub struct ListOpenIDConnectProviders;

impl ReadAction for ListOpenIDConnectProviders {
    type Op = api::ops::ListOpenIDConnectProviders;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("iam:ListOpenIDConnectProviders").into()
    }

    fn run(call: &Call, view: &View<'_>, _: Input<Self::Op>) -> Reply<Self::Op> {
        let entry = |row: &OidcProvider| api::OpenIDConnectProviderListEntry {
            arn: Some(row.arn.to_string()),
        };
        let all = of_account(view, call).map(entry).collect();
        let open_id_connect_provider_list = Some(all);
        Ok(api::ListOpenIDConnectProvidersResponse { open_id_connect_provider_list })
    }
}

pub struct DeleteOpenIDConnectProvider;

impl WriteAction for DeleteOpenIDConnectProvider {
    type Op = api::ops::DeleteOpenIDConnectProvider;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let arn = text(&input.open_id_connect_provider_arn);
        demand_tagged::<OidcProvider>(view, call, "iam:DeleteOpenIDConnectProvider", arn).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let arn = text(&input.open_id_connect_provider_arn);
        // AWS: "This operation is idempotent; it does not fail if the provider is not there."
        tx.delete::<OidcProvider>(&(call.account(), arn.into()));
        Ok(api::DeleteOpenIDConnectProviderResponse {})
    }
}

pub struct AddClientIDToOpenIDConnectProvider;

impl WriteAction for AddClientIDToOpenIDConnectProvider {
    type Op = api::ops::AddClientIDToOpenIDConnectProvider;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        const ACTION: &str = "iam:AddClientIDToOpenIDConnectProvider";
        let arn = text(&input.open_id_connect_provider_arn);
        demand_tagged::<OidcProvider>(view, call, ACTION, arn).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let arn = text(&input.open_id_connect_provider_arn);
        let mut row = providers::find_oidc(tx, call.account(), arn)?.clone();
        let id: Arc<str> = text(&input.client_id).into();
        if !row.client_ids.contains(&id) {
            row.client_ids.push(id);
            providers::check_oidc(row.client_ids.len(), &[])?;
        }
        tx.put(row);
        Ok(api::AddClientIDToOpenIDConnectProviderResponse {})
    }
}

pub struct RemoveClientIDFromOpenIDConnectProvider;

impl WriteAction for RemoveClientIDFromOpenIDConnectProvider {
    type Op = api::ops::RemoveClientIDFromOpenIDConnectProvider;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        const ACTION: &str = "iam:RemoveClientIDFromOpenIDConnectProvider";
        let arn = text(&input.open_id_connect_provider_arn);
        demand_tagged::<OidcProvider>(view, call, ACTION, arn).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let arn = text(&input.open_id_connect_provider_arn);
        let mut row = providers::find_oidc(tx, call.account(), arn)?.clone();
        row.client_ids.retain(|id| **id != *text(&input.client_id));
        tx.put(row);
        Ok(api::RemoveClientIDFromOpenIDConnectProviderResponse {})
    }
}

pub struct UpdateOpenIDConnectProviderThumbprint;

impl WriteAction for UpdateOpenIDConnectProviderThumbprint {
    type Op = api::ops::UpdateOpenIDConnectProviderThumbprint;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        const ACTION: &str = "iam:UpdateOpenIDConnectProviderThumbprint";
        let arn = text(&input.open_id_connect_provider_arn);
        demand_tagged::<OidcProvider>(view, call, ACTION, arn).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let arn = text(&input.open_id_connect_provider_arn);
        let mut row = providers::find_oidc(tx, call.account(), arn)?.clone();
        let thumbprints = input.thumbprint_list.unwrap_or_default();
        providers::check_oidc(0, &thumbprints)?;
        row.thumbprints = thumbprints.iter().map(|print| print.as_str().into()).collect();
        tx.put(row);
        Ok(api::UpdateOpenIDConnectProviderThumbprintResponse {})
    }
}

//! SAML providers: create, get, list, update, delete.

use crate::actions::prelude::*;
use crate::rows::provider::SamlProvider;
use crate::rules::providers;

/// AWS: SAML providers in an account.
const QUOTA: usize = 100;

fn arn(call: &Call, name: &str) -> String {
    format!("arn:aws:iam::{}:saml-provider/{name}", call.account())
}

fn of_account<'s>(
    state: &'s core_state::State,
    call: &Call,
) -> impl Iterator<Item = &'s SamlProvider> {
    let account = call.account();
    state.scan::<SamlProvider>((account, "".into())).take_while(move |p| p.account == account)
}

/// Assertions are not decrypted here, so a key for that is refused and not silently dropped.
fn refuse_keys(given: [bool; 3]) -> Result<(), ApiError> {
    match given.contains(&true) {
        false => Ok(()),
        true => Err(ApiError::unsupported_operation(
            "Encrypted SAML assertions are not offered: AddPrivateKey, RemovePrivateKey and \
             AssertionEncryptionMode cannot be set.",
        )),
    }
}

pub struct CreateSAMLProvider;

impl WriteAction for CreateSAMLProvider {
    type Op = api::ops::CreateSAMLProvider;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let demand = Demand::on("iam:CreateSAMLProvider", arn(call, text(&input.name)));
        tags::demanded(demand, input.tags.as_deref()).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let mode = input.assertion_encryption_mode.is_some();
        refuse_keys([input.add_private_key.is_some(), mode, false])?;
        let (account, arn) = (call.account(), arn(call, text(&input.name)));
        if tx.get::<SamlProvider>(&(account, arn.as_str().into())).is_some() {
            let text = format!("Provider with name {} already exists.", text(&input.name));
            return Err(errors::entity_already_exists_exception(text));
        }
        if of_account(tx, call).count() >= QUOTA {
            return Err(entities::exceeded("SAMLProvidersPerAccount", QUOTA));
        }
        let metadata = text(&input.saml_metadata_document);
        let row = SamlProvider {
            account,
            arn: arn.as_str().into(),
            uuid: names::unique_id(tx.dice, "SAML").into(),
            metadata: metadata.into(),
            created_at: tx.now(),
            valid_until: providers::check_saml(metadata, tx.now())?,
            tags: tags::parse(input.tags.as_deref())?,
        };
        let tags = views::shown_tags(&row.tags);
        tx.put(row);
        Ok(api::CreateSAMLProviderResponse { saml_provider_arn: Some(arn), tags })
    }
}

pub struct GetSAMLProvider;

impl ReadAction for GetSAMLProvider {
    type Op = api::ops::GetSAMLProvider;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let arn = text(&input.saml_provider_arn);
        demand_tagged::<SamlProvider>(view, call, "iam:GetSAMLProvider", arn).into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let row = providers::find_saml(view, call.account(), text(&input.saml_provider_arn))?;
        Ok(api::GetSAMLProviderResponse {
            create_date: Some(views::time(row.created_at)),
            saml_metadata_document: Some(row.metadata.to_string()),
            saml_provider_uuid: Some(row.uuid.to_string()),
            tags: Some(tags::shown(&row.tags)),
            valid_until: Some(views::time(row.valid_until)),
            ..Default::default()
        })
    }
}

pub struct ListSAMLProviders;

impl ReadAction for ListSAMLProviders {
    type Op = api::ops::ListSAMLProviders;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("iam:ListSAMLProviders").into()
    }

    fn run(call: &Call, view: &View<'_>, _: Input<Self::Op>) -> Reply<Self::Op> {
        let entry = |row: &SamlProvider| api::SAMLProviderListEntry {
            arn: Some(row.arn.to_string()),
            create_date: Some(views::time(row.created_at)),
            valid_until: Some(views::time(row.valid_until)),
        };
        let saml_provider_list = Some(of_account(view, call).map(entry).collect());
        Ok(api::ListSAMLProvidersResponse { saml_provider_list })
    }
}

pub struct UpdateSAMLProvider;

impl WriteAction for UpdateSAMLProvider {
    type Op = api::ops::UpdateSAMLProvider;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let arn = text(&input.saml_provider_arn);
        demand_tagged::<SamlProvider>(view, call, "iam:UpdateSAMLProvider", arn).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let mode = input.assertion_encryption_mode.is_some();
        let keys = [input.add_private_key.is_some(), input.remove_private_key.is_some(), mode];
        refuse_keys(keys)?;
        let arn = text(&input.saml_provider_arn);
        let mut row = providers::find_saml(tx, call.account(), arn)?.clone();
        if let Some(metadata) = &input.saml_metadata_document {
            row.valid_until = providers::check_saml(metadata, tx.now())?;
            row.metadata = metadata.as_str().into();
        }
        tx.put(row);
        Ok(api::UpdateSAMLProviderResponse { saml_provider_arn: Some(arn.to_owned()) })
    }
}

pub struct DeleteSAMLProvider;

impl WriteAction for DeleteSAMLProvider {
    type Op = api::ops::DeleteSAMLProvider;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let arn = text(&input.saml_provider_arn);
        demand_tagged::<SamlProvider>(view, call, "iam:DeleteSAMLProvider", arn).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let arn = text(&input.saml_provider_arn);
        providers::find_saml(tx, call.account(), arn)?;
        tx.delete::<SamlProvider>(&(call.account(), arn.into()));
        Ok(api::DeleteSAMLProviderResponse {})
    }
}

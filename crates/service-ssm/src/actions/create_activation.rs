//! CreateActivation: leave for machines to join, as an id and a code that is told this once.

use std::collections::BTreeMap;

use aws_protocol::ApiError;
use core_state::Tx;
use core_step::{Call, Demand, Demands, Input, Output, View, WriteAction};
use model_ssm::{self as api, errors};

use crate::rows::activation::Activation;
use crate::rules::{activations, roles, secrets};

pub struct CreateActivation;

/// AWS: codes have twenty characters.
const CODE: usize = 20;
/// AWS: fifty tags a resource.
const MOST_TAGS: usize = 50;

fn pairs(tags: Option<&[api::Tag]>) -> impl Iterator<Item = (&str, &str)> {
    let all = tags.unwrap_or_default().iter();
    all.filter_map(|tag| Some((tag.key.as_deref()?, tag.value.as_deref()?)))
}

impl WriteAction for CreateActivation {
    type Op = api::ops::CreateActivation;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let role = roles::arn_of(call.account(), input.iam_role.as_deref().unwrap_or_default());
        let pass = Demand::on("iam:PassRole", role).with("iam:PassedToService", roles::PRINCIPAL);
        let create = Demand::anywhere("ssm:CreateActivation");
        vec![create.request_tags(pairs(input.tags.as_deref())), pass].into()
    }

    fn run(
        call: &Call,
        tx: &mut Tx<'_>,
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {
        let (now, scope) = (tx.now(), call.scope());
        let role = input.iam_role.unwrap_or_default();
        roles::find(tx, now, scope, &role)?;
        let expires_at = activations::expiry(now, input.expiration_date)?;
        let tags: BTreeMap<String, String> = pairs(input.tags.as_deref())
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        if tags.len() > MOST_TAGS {
            return Err(errors::invalid_parameters("An activation has at most 50 tags."));
        }
        let (id, code) = (tx.dice.uuid(), tx.dice.base62(CODE));
        let text = |text: Option<String>| text.filter(|text| !text.is_empty());
        tx.put(Activation {
            id: id.as_str().into(),
            scope,
            code_digest: secrets::digest(&code),
            description: text(input.description),
            instance_name: text(input.default_instance_name),
            role: role.into(),
            limit: input.registration_limit.and_then(|n| n.try_into().ok()).unwrap_or(1),
            registrations: 0,
            created_at: now,
            expires_at,
            tags,
        });
        Ok(api::CreateActivationResult { activation_id: Some(id), activation_code: Some(code) })
    }
}

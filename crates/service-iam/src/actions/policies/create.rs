//! CreatePolicy.

use crate::actions::prelude::*;
use crate::rows::policy::{Policy, PolicyNames, Version};

pub struct CreatePolicy;

/// AWS: customer managed policies in an account.
pub const QUOTA: usize = 1500;

impl WriteAction for CreatePolicy {
    type Op = api::ops::CreatePolicy;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let path = input.path.as_deref().unwrap_or("/");
        let arn = names::arn(call.account(), Policy::KIND, path, text(&input.policy_name));
        tags::demanded(Demand::on("iam:CreatePolicy", arn), input.tags.as_deref()).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let (account, name) = (call.account(), text(&input.policy_name));
        if tx.by::<PolicyNames>(&key_of(account, name)).next().is_some() {
            return Err(errors::entity_already_exists_exception(format!(
                "A policy called {name} already exists. Duplicate names are not allowed."
            )));
        }
        entities::check_quota::<Policy>(tx, account, "PoliciesPerAccount", QUOTA)?;
        let document = policies::parse_managed(text(&input.policy_document))?;
        let now = tx.now();
        let head = entities::head(tx.dice, now, account, "ANPA", name, input.path.as_deref());
        let row = Policy {
            updated_at: head.created_at,
            versions: vec![Version { number: 1, document, created_at: head.created_at }],
            head,
            description: input.description.as_deref().map(Into::into),
            default: 1,
            last: 1,
            tags: tags::parse(input.tags.as_deref())?,
        };
        let found = policies::Found::Customer(&row);
        let tags = views::shown_tags(&row.tags);
        let policy = api::Policy { tags, ..views::listed_policy(tx, account, found) };
        tx.put(row);
        Ok(api::CreatePolicyResponse { policy: Some(policy) })
    }
}

//! CreateAccountAlias, ListAccountAliases, DeleteAccountAlias: an account has one at most.

use crate::actions::prelude::*;
use crate::rows::account::{Account, Aliases};

fn row(tx: &Tx<'_>, call: &Call) -> Account {
    let there = tx.get::<Account>(&call.account()).cloned();
    there.unwrap_or_else(|| Account::new(call.account(), tx.now()))
}

/// The model's pattern looks ahead, which the validator of patterns cannot.
fn check_alias(alias: &str) -> Result<(), ApiError> {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    let good = alias.bytes().all(allowed)
        && !alias.starts_with('-')
        && !alias.ends_with('-')
        && !alias.contains("--");
    if good {
        return Ok(());
    }
    Err(ApiError::validation(format!(
        "1 validation error detected: Value '{alias}' at 'accountAlias' failed to satisfy \
         constraint: Member must satisfy regular expression pattern: \
         ^[a-z0-9]([a-z0-9]|-(?!-)){{1,61}}[a-z0-9]$"
    )))
}

pub struct CreateAccountAlias;

impl WriteAction for CreateAccountAlias {
    type Op = api::ops::CreateAccountAlias;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("iam:CreateAccountAlias").into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let alias = text(&input.account_alias);
        check_alias(alias)?;
        let owner = tx.by::<Aliases>(&alias.into()).next().map(|account| account.id);
        if owner.is_some_and(|id| id != call.account()) {
            let text = format!("The account alias {alias} already exists.");
            return Err(errors::entity_already_exists_exception(text));
        }
        let mut account = row(tx, call);
        // AWS: a new alias takes the place of the old one.
        account.alias = Some(alias.into());
        tx.put(account);
        Ok(api::CreateAccountAliasResponse {})
    }
}

pub struct ListAccountAliases;

impl ReadAction for ListAccountAliases {
    type Op = api::ops::ListAccountAliases;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("iam:ListAccountAliases").into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let marker = input.marker.as_deref();
        let asked = Asked { list: "ListAccountAliases", marker, max_items: input.max_items };
        let alias = view.get::<Account>(&call.account()).and_then(|row| row.alias.as_deref());
        let page = asked.page(alias.map(str::to_owned), String::clone)?;
        let Page { items, marker, is_truncated } = page;
        Ok(api::ListAccountAliasesResponse { account_aliases: Some(items), marker, is_truncated })
    }
}

pub struct DeleteAccountAlias;

impl WriteAction for DeleteAccountAlias {
    type Op = api::ops::DeleteAccountAlias;

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {
        Demand::anywhere("iam:DeleteAccountAlias").into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let alias = text(&input.account_alias);
        let mut account = row(tx, call);
        if account.alias.as_deref() != Some(alias) {
            let text = format!("The account alias {alias} cannot be found.");
            return Err(errors::no_such_entity_exception(text));
        }
        account.alias = None;
        tx.put(account);
        Ok(api::DeleteAccountAliasResponse {})
    }
}

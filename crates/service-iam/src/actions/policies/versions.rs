//! Versions of managed policies: create, get, list, delete, set the default.

use crate::actions::prelude::*;
use crate::rows::policy::{Policy, Version};
use crate::rules::policies::Found;

/// AWS: versions of one policy at a time.
pub const QUOTA: usize = 5;

fn number(version_id: &str) -> Option<u32> {
    version_id.strip_prefix('v')?.parse().ok()
}

fn no_version(arn: &str, version: &str) -> ApiError {
    errors::no_such_entity_exception(format!(
        "Policy {arn} version {version} does not exist or is not attachable."
    ))
}

fn find_version<'r>(row: &'r Policy, version: &str) -> Result<&'r Version, ApiError> {
    let wanted = number(version);
    let found = row.versions.iter().find(|v| Some(v.number) == wanted);
    found.ok_or_else(|| no_version(&row.arn(), version))
}

pub struct CreatePolicyVersion;

impl WriteAction for CreatePolicyVersion {
    type Op = api::ops::CreatePolicyVersion;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand_tagged::<Policy>(view, call, "iam:CreatePolicyVersion", text(&input.policy_arn))
            .into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let row = policies::find_own(tx, call.account(), text(&input.policy_arn))?;
        let mut row = row.clone();
        let document = policies::parse_managed(text(&input.policy_document))?;
        if row.versions.len() >= QUOTA {
            return Err(errors::limit_exceeded_exception(format!(
                "A managed policy can have up to {QUOTA} versions. Before you create a new version, \
                 you must delete an existing version."
            )));
        }
        row.last += 1;
        row.updated_at = tx.now();
        let version = Version { number: row.last, document, created_at: tx.now() };
        if input.set_as_default == Some(true) {
            row.default = row.last;
        }
        let policy_version = Some(views::listed_version(&row, &version));
        row.versions.push(version);
        tx.put(row);
        Ok(api::CreatePolicyVersionResponse { policy_version })
    }
}

pub struct GetPolicyVersion;

impl ReadAction for GetPolicyVersion {
    type Op = api::ops::GetPolicyVersion;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand_tagged::<Policy>(view, call, "iam:GetPolicyVersion", text(&input.policy_arn)).into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let (arn, version) = (text(&input.policy_arn), text(&input.version_id));
        let shown = match policies::find(view, call.account(), arn)? {
            Found::Customer(row) => views::version(row, find_version(row, version)?),
            Found::Aws(builtin) if number(version) == Some(builtin.about.version) => {
                api::PolicyVersion {
                    document: Some(views::document(builtin.policy.text())),
                    ..views::builtin_version(builtin)
                }
            }
            Found::Aws(_) => return Err(no_version(arn, version)),
        };
        Ok(api::GetPolicyVersionResponse { policy_version: Some(shown) })
    }
}

pub struct ListPolicyVersions;

impl ReadAction for ListPolicyVersions {
    type Op = api::ops::ListPolicyVersions;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand_tagged::<Policy>(view, call, "iam:ListPolicyVersions", text(&input.policy_arn))
            .into()
    }

    fn run(call: &Call, view: &View<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let versions = match policies::find(view, call.account(), text(&input.policy_arn))? {
            // AWS: newest first.
            Found::Customer(row) => {
                row.versions.iter().rev().map(|v| views::listed_version(row, v)).collect()
            }
            Found::Aws(builtin) => vec![views::builtin_version(builtin)],
        };
        let asked = Asked {
            list: "ListPolicyVersions",
            marker: input.marker.as_deref(),
            max_items: input.max_items,
        };
        // There are five at most; a cursor counts down, as the list does.
        let cursor = |version: &api::PolicyVersion| {
            let number = version.version_id.as_deref().and_then(number).unwrap_or_default();
            format!("{:010}", u32::MAX - number)
        };
        let Page { items, marker, is_truncated } = asked.page(versions, cursor)?;
        Ok(api::ListPolicyVersionsResponse { versions: Some(items), marker, is_truncated })
    }
}

pub struct DeletePolicyVersion;

impl WriteAction for DeletePolicyVersion {
    type Op = api::ops::DeletePolicyVersion;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand_tagged::<Policy>(view, call, "iam:DeletePolicyVersion", text(&input.policy_arn))
            .into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let row = policies::find_own(tx, call.account(), text(&input.policy_arn))?;
        let gone = find_version(row, text(&input.version_id))?.number;
        if gone == row.default {
            return Err(errors::delete_conflict_exception(
                "Cannot delete the default version of a policy.",
            ));
        }
        let mut row = row.clone();
        row.versions.retain(|version| version.number != gone);
        row.updated_at = tx.now();
        tx.put(row);
        Ok(api::DeletePolicyVersionResponse {})
    }
}

pub struct SetDefaultPolicyVersion;

impl WriteAction for SetDefaultPolicyVersion {
    type Op = api::ops::SetDefaultPolicyVersion;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand_tagged::<Policy>(view, call, "iam:SetDefaultPolicyVersion", text(&input.policy_arn))
            .into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let row = policies::find_own(tx, call.account(), text(&input.policy_arn))?;
        let default = find_version(row, text(&input.version_id))?.number;
        let mut row = row.clone();
        row.default = default;
        row.updated_at = tx.now();
        tx.put(row);
        Ok(api::SetDefaultPolicyVersionResponse {})
    }
}

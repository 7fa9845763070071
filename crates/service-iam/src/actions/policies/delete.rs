//! DeletePolicy, with its refusals.

use crate::actions::prelude::*;
use crate::rows::policy::Policy;

pub struct DeletePolicy;

impl WriteAction for DeletePolicy {
    type Op = api::ops::DeletePolicy;

    fn authorize(call: &Call, view: &View<'_>, input: &Input<Self::Op>) -> Demands {
        demand_tagged::<Policy>(view, call, "iam:DeletePolicy", text(&input.policy_arn)).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let (account, arn) = (call.account(), text(&input.policy_arn));
        let row = policies::find_own(tx, account, arn)?;
        let (attached, bounds) = policies::uses(tx, account, arn);
        if attached + bounds > 0 {
            return Err(errors::delete_conflict_exception(
                "Cannot delete a policy attached to entities.",
            ));
        }
        if row.versions.len() > 1 {
            return Err(errors::delete_conflict_exception(
                "This policy has more than one version. Before you delete a policy, you must \
                 delete the policy's versions. The default version is deleted with the policy.",
            ));
        }
        tx.delete::<Policy>(&(account, arn.into()));
        Ok(api::DeletePolicyResponse {})
    }
}

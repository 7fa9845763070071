//! CreateInstanceProfile.

use crate::actions::prelude::*;
use crate::rows::instance_profile::InstanceProfile;

pub struct CreateInstanceProfile;

/// AWS: instance profiles in an account.
pub const QUOTA: usize = 1000;

impl WriteAction for CreateInstanceProfile {
    type Op = api::ops::CreateInstanceProfile;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let path = input.path.as_deref().unwrap_or("/");
        let name = text(&input.instance_profile_name);
        let arn = names::arn(call.account(), InstanceProfile::KIND, path, name);
        tags::demanded(Demand::on("iam:CreateInstanceProfile", arn), input.tags.as_deref()).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let (account, name) = (call.account(), text(&input.instance_profile_name));
        if tx.get::<InstanceProfile>(&key_of(account, name)).is_some() {
            let text = format!("Instance Profile {name} already exists.");
            return Err(errors::entity_already_exists_exception(text));
        }
        let quota = "InstanceProfilesPerAccount";
        entities::check_quota::<InstanceProfile>(tx, account, quota, QUOTA)?;
        let now = tx.now();
        let row = InstanceProfile {
            head: entities::head(tx.dice, now, account, "AIPA", name, input.path.as_deref()),
            role: None,
            tags: tags::parse(input.tags.as_deref())?,
        };
        let instance_profile = Some(views::profile(tx, &row));
        tx.put(row);
        Ok(api::CreateInstanceProfileResponse { instance_profile })
    }
}

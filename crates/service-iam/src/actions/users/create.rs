//! CreateUser.

use crate::actions::prelude::*;
use crate::rows::user::User;

pub struct CreateUser;

/// AWS: users in an account.
pub const QUOTA: usize = 5000;

impl WriteAction for CreateUser {
    type Op = api::ops::CreateUser;

    fn authorize(call: &Call, _: &View<'_>, input: &Input<Self::Op>) -> Demands {
        let path = input.path.as_deref().unwrap_or("/");
        let arn = names::arn(call.account(), User::KIND, path, text(&input.user_name));
        let mut demand = Demand::on("iam:CreateUser", arn);
        if let Some(boundary) = &input.permissions_boundary {
            demand = demand.with("iam:PermissionsBoundary", boundary);
        }
        tags::demanded(demand, input.tags.as_deref()).into()
    }

    fn run(call: &Call, tx: &mut Tx<'_>, input: Input<Self::Op>) -> Reply<Self::Op> {
        let (account, name) = (call.account(), text(&input.user_name));
        if tx.get::<User>(&key_of(account, name)).is_some() {
            let text = format!("User with name {name} already exists.");
            return Err(errors::entity_already_exists_exception(text));
        }
        entities::check_quota::<User>(tx, account, "UsersPerAccount", QUOTA)?;
        if let Some(arn) = &input.permissions_boundary {
            policies::check_boundary(tx, account, arn)?;
        }
        let now = tx.now();
        let row = User {
            head: entities::head(tx.dice, now, account, "AIDA", name, input.path.as_deref()),
            held: Default::default(),
            boundary: input.permissions_boundary.as_deref().map(Into::into),
            groups: Default::default(),
            tags: tags::parse(input.tags.as_deref())?,
            login: None,
        };
        let user = Some(views::user(&row));
        tx.put(row);
        Ok(api::CreateUserResponse { user })
    }
}

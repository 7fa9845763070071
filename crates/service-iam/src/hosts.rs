//! Hosts that the server runs itself: a role like the one that AWS's console makes for instances,
//! and sessions of it, one for each host.

use std::any::Any;
use std::time::Duration;

use core_state::Tx;
use core_step::Report;
use core_types::AccountId;

use crate::ops::{Given, Issued, Session, Who, issue};
use crate::rows::entity::key_of;
use crate::rows::role::Role;
use crate::rules::{entities, policies};

/// AWS: the name that its console and its tutorials give to this role.
pub const HOST_ROLE: &str = "ecsInstanceRole";
const POLICY: &str = "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role";
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

/// A session for a host. The role is made if it is not there; one that is there is taken as it is,
/// so that whoever narrows it has narrowed it.
pub struct HostSession {
    pub account: AccountId,
    /// The host's instance id, which becomes the session's name.
    pub host: String,
    pub lasts: Duration,
}

impl Report for HostSession {
    /// Gives an [`Issued`].
    fn apply(self: Box<Self>, tx: &mut Tx<'_>) -> Box<dyn Any + Send> {
        let HostSession { account, host, lasts } = *self;
        if tx.get::<Role>(&key_of(account, HOST_ROLE)).is_none() {
            let trust = policies::parse_trust(tx, TRUST).expect("the house's own policy is valid");
            let now = tx.now();
            let mut role = Role {
                head: entities::head(tx.dice, now, account, "AROA", HOST_ROLE, None),
                held: Default::default(),
                trust,
                description: Some("Hosts that Wharf runs itself".into()),
                max_session: 3600,
                boundary: None,
                tags: Default::default(),
                linked_to: None,
                last_used: None,
            };
            role.held.attached.insert(POLICY.into());
            tx.put(role);
        }
        let role = tx.get::<Role>(&key_of(account, HOST_ROLE)).expect("it was just made");
        let who = Who::Role {
            name: role.head.name.clone(),
            id: role.head.id.clone(),
            session: host.into(),
        };
        let issued = tx.now();
        let issued: Issued = issue(tx, account, |secret| Session {
            account,
            who,
            secret,
            issued,
            expires: issued + lasts,
            given: Given::default(),
            source_identity: None,
            mfa: false,
        });
        Box::new(issued)
    }
}

//! Who calls, from where, and what the call asks leave to do.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use core_types::{AccountId, Region, Scope, Time};

/// What kind of identity a caller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    Root,
    User {
        name: Arc<str>,
    },
    AssumedRole {
        role: Arc<str>,
        session: Arc<str>,
    },
    /// `user` made the session and lends it its permissions; `None`: the root user did.
    FederatedUser {
        name: Arc<str>,
        user: Option<Arc<str>>,
    },
    /// Nobody: only operations that AWS takes unsigned are called so, and none asks a permission.
    Anonymous,
}

/// An authenticated identity.
#[derive(Clone, Debug)]
pub struct Caller {
    pub account: AccountId,
    /// As `GetCallerIdentity` tells it.
    pub arn: Arc<str>,
    /// As `GetCallerIdentity` tells it: account, `AIDA…`, or `AROA…:session`.
    pub user_id: Arc<str>,
    pub principal: Principal,
    pub access_key_id: Arc<str>,
    /// Policies given when the session was made; they only take away.
    pub session_policies: Vec<Arc<str>>,
    /// ARNs of managed policies given when the session was made.
    pub session_policy_arns: Vec<Arc<str>>,
    pub session_tags: BTreeMap<Arc<str>, Arc<str>>,
    /// Session tags that pass on to a role assumed from this session.
    pub transitive_tag_keys: Vec<Arc<str>>,
    pub source_identity: Option<Arc<str>>,
    pub mfa: bool,
    /// When the session was made; `None` for long-term keys.
    pub issued_at: Option<Time>,
}

impl Caller {
    /// The caller of an unsigned request.
    pub fn anonymous() -> Self {
        Caller {
            account: AccountId::default(),
            arn: "anonymous".into(),
            user_id: "anonymous".into(),
            principal: Principal::Anonymous,
            access_key_id: "".into(),
            session_policies: Vec::new(),
            session_policy_arns: Vec::new(),
            session_tags: BTreeMap::new(),
            transitive_tag_keys: Vec::new(),
            source_identity: None,
            mfa: false,
            issued_at: None,
        }
    }
}

/// Where a call came from, for condition keys and for addresses told back to the caller.
#[derive(Clone, Debug)]
pub struct Origin {
    pub source_ip: Option<IpAddr>,
    pub user_agent: String,
    /// Scheme and host by which the caller reached us, e.g. `http://127.0.0.1:4566`.
    pub endpoint: String,
    pub secure: bool,
}

/// One authenticated call, without its input.
#[derive(Clone, Debug)]
pub struct Call {
    pub caller: Arc<Caller>,
    /// From the credential scope of the signature.
    pub region: Region,
    pub request_id: Arc<str>,
    pub origin: Arc<Origin>,
}

impl Call {
    pub fn account(&self) -> AccountId {
        self.caller.account
    }

    pub fn scope(&self) -> Scope {
        Scope::new(self.caller.account, self.region)
    }
}

/// AWS: these services tell a resource's tags under a key of their own as well.
const OWN_TAG_KEY: &[&str] =
    &["autoscaling", "ec2", "ecr", "ecs", "elasticloadbalancing", "secretsmanager", "ssm"];

/// One permission that an action needs: an IAM action on one resource, with what is known of it.
#[derive(Clone, Debug)]
pub struct Demand {
    pub action: &'static str,
    /// An ARN, or `*` where the action has no resource type.
    pub resource: String,
    /// Condition keys beyond the global ones, as `(key, values)`.
    pub context: Vec<(Cow<'static, str>, Vec<String>)>,
}

impl Demand {
    pub fn on(action: &'static str, resource: impl Into<String>) -> Self {
        Demand { action, resource: resource.into(), context: Vec::new() }
    }

    /// For actions that AWS lists without a resource type.
    pub fn anywhere(action: &'static str) -> Self {
        Self::on(action, "*")
    }

    pub fn with(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.context.push((key.into(), vec![value.into()]));
        self
    }

    pub fn with_all(mut self, key: impl Into<Cow<'static, str>>, values: Vec<String>) -> Self {
        self.context.push((key.into(), values));
        self
    }

    /// `aws:RequestTag/…` and `aws:TagKeys` of tags that the request would set.
    pub fn request_tags<'t>(mut self, tags: impl Iterator<Item = (&'t str, &'t str)>) -> Self {
        let mut keys = Vec::new();
        for (key, value) in tags {
            let name = Cow::Owned(format!("aws:RequestTag/{key}"));
            self.context.push((name, vec![value.to_owned()]));
            keys.push(key.to_owned());
        }
        if !keys.is_empty() {
            self.context.push((Cow::Borrowed("aws:TagKeys"), keys));
        }
        self
    }

    /// `aws:ResourceTag/…` of the resource as it stands.
    pub fn resource_tags<'t>(mut self, tags: impl Iterator<Item = (&'t str, &'t str)>) -> Self {
        let service = self.action.split(':').next().unwrap_or_default();
        let own = OWN_TAG_KEY.contains(&service);
        for (key, value) in tags {
            if own {
                let name = Cow::Owned(format!("{service}:ResourceTag/{key}"));
                self.context.push((name, vec![value.to_owned()]));
            }
            let name = Cow::Owned(format!("aws:ResourceTag/{key}"));
            self.context.push((name, vec![value.to_owned()]));
        }
        self
    }
}

/// All permissions an action needs; each must be granted.
#[derive(Clone, Debug)]
pub enum Demands {
    Need(Vec<Demand>),
    /// AWS asks no permission for this action; the reason stands beside it in the code.
    Nothing {
        because: &'static str,
    },
}

impl From<Demand> for Demands {
    fn from(demand: Demand) -> Self {
        Demands::Need(vec![demand])
    }
}

impl From<Vec<Demand>> for Demands {
    /// A list that could come out empty is a hole: an empty one must be `Nothing`, with a reason.
    fn from(demands: Vec<Demand>) -> Self {
        assert!(!demands.is_empty(), "an action that needs no permission says Demands::Nothing");
        Demands::Need(demands)
    }
}

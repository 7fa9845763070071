//! AWS's managed policies, compiled once when first asked for.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use core_policy::{Policy, PolicyKind, managed};

pub const PREFIX: &str = "arn:aws:iam::aws:policy/";

pub struct Builtin {
    pub arn: String,
    pub about: &'static managed::ManagedPolicy,
    pub policy: Policy,
}

static ALL: LazyLock<BTreeMap<String, Builtin>> = LazyLock::new(|| {
    let compile = |about: &'static managed::ManagedPolicy| {
        let policy = Policy::parse(&about.document(), PolicyKind::Managed)
            .expect("every built-in document is checked by core-policy's tests");
        (about.arn(), Builtin { arn: about.arn(), about, policy })
    };
    managed::all().map(compile).collect()
});

pub fn find(arn: &str) -> Option<&'static Builtin> {
    ALL.get(arn)
}

/// In the order of their ARNs.
pub fn all() -> impl Iterator<Item = &'static Builtin> {
    ALL.values()
}

//! A policy document inside a row: its text on disk, its compiled form in memory.
//!
//! Parsing happens when a row is made or loaded, never when a call is authorized. Two documents
//! are the same when their texts are.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use core_policy::{MalformedPolicy, Policy, PolicyKind};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a document in a row is for; AWS checks each kind by rules of its own.
pub trait Purpose: Send + Sync + 'static {
    const KIND: PolicyKind;
}

/// Embedded in a user, group or role.
pub struct Inline;
/// A version of a managed policy.
pub struct Managed;
/// A role's trust policy.
pub struct Trust;

impl Purpose for Inline {
    const KIND: PolicyKind = PolicyKind::Inline;
}
impl Purpose for Managed {
    const KIND: PolicyKind = PolicyKind::Managed;
}
impl Purpose for Trust {
    const KIND: PolicyKind = PolicyKind::Trust;
}

pub struct Document<P> {
    policy: Arc<Policy>,
    purpose: PhantomData<fn() -> P>,
}

impl<P: Purpose> Document<P> {
    pub fn parse(text: &str) -> Result<Self, MalformedPolicy> {
        let policy = Arc::new(Policy::parse(text, P::KIND)?);
        Ok(Document { policy, purpose: PhantomData })
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    pub fn text(&self) -> &str {
        self.policy.text()
    }
}

impl<P> Clone for Document<P> {
    fn clone(&self) -> Self {
        Document { policy: self.policy.clone(), purpose: PhantomData }
    }
}

impl<P> PartialEq for Document<P> {
    fn eq(&self, other: &Self) -> bool {
        self.policy.text() == other.policy.text()
    }
}

impl<P> fmt::Debug for Document<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.policy.text())
    }
}

impl<P> Serialize for Document<P> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.policy.text())
    }
}

impl<'de, P: Purpose> Deserialize<'de> for Document<P> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        Document::parse(&text).map_err(serde::de::Error::custom)
    }
}

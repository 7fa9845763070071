//! The IAM policy language as a pure library.
//!
//! The idea: a document is parsed once into compiled statements (`Policy`), and a decision is a
//! plain function of documents and a request. Nothing here reads a clock, a store or the network:
//! whoever asks brings the principal, the resource and the context keys. Which actions exist, and
//! which resources and keys they carry, is each service's own knowledge and is not here.
//!
//! - `Policy::parse` checks a document as AWS does, in AWS's order and with its texts.
//! - `evaluate` combines service control, resource, identity, boundary and session policies.
//! - `simulate` answers what the policy simulator shows: decision, statements, missing keys.
//! - `Decision::denied_text` is the sentence that an AccessDenied error carries.
//! - `managed::all` lists the built-in AWS managed policies.

mod condition;
mod context;
mod denied;
mod document;
mod evaluate;
mod glob;
mod json;
pub mod managed;
mod parse;
mod pattern;
mod principal;
mod scalar;
mod simulate;
mod validate;

pub use context::Context;
pub use document::{Effect, Policy, PolicyKind, Position, Statement};
pub use evaluate::{Decision, Layer, Match, PolicySet, Request, evaluate, evaluate_each};
pub use glob::Glob;
pub use parse::{MAX_DOCUMENT_BYTES, MalformedPolicy};
pub use principal::{Principal, PrincipalPattern};
pub use simulate::{MatchedStatement, Simulation, SimulationOutcome, simulate};

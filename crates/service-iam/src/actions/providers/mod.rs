//! Identity providers. They are kept and shown; STS does not take their tokens yet.

pub mod oidc;
pub mod saml;

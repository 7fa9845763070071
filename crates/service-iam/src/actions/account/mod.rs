//! What an account has one of: alias, password policy, summary, reports.

pub mod alias;
pub mod credential_report;
pub mod details;
pub mod password_policy;
pub mod preferences;
pub mod summary;

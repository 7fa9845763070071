//! The words every pure crate shares: time, accounts, regions, scopes and ARNs.

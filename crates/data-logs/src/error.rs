//! What can go wrong in the store.

use std::io;
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing was kept; it may be tried again.
    #[error("the disk of the log store is full ({path})")]
    Full { path: PathBuf },
    #[error("{path} cannot be {what}: {reason}")]
    Io { path: PathBuf, what: &'static str, reason: String },
    /// Lines come faster than they are stored.
    #[error("the log store is busy: {waiting} bytes wait to be written")]
    Busy { waiting: usize },
    #[error("the log store is stopping")]
    Stopping,
}

impl StoreError {
    pub(crate) fn io(path: &Path, what: &'static str, error: &io::Error) -> StoreError {
        let path = path.to_path_buf();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full { path },
            _ => StoreError::Io { path, what, reason: error.to_string() },
        }
    }
}

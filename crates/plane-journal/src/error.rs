//! Everything that can go wrong with a journal, each kind telling the engine what to do next.

use std::path::PathBuf;

/// The sink refused a row or a batch.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SinkError(pub String);

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },

    /// Nothing was written. The same journal takes appends again as soon as there is space.
    #[error(
        "no space left for the journal at {place}: {reason}; free some space, no restart is needed"
    )]
    Full { place: String, reason: String },

    /// Damage that would lose acknowledged batches if it were passed over.
    #[error(
        "the journal is damaged: {} at offset {offset}: {reason}. Nothing was changed; restore \
         this file from a backup, or look at what is readable with `wharf replay`",
        file.display()
    )]
    Corrupt { file: PathBuf, offset: u64, reason: String },

    #[error("{} has journal format {found}, this binary reads up to {known}", file.display())]
    Version { file: PathBuf, found: u32, known: u32 },

    /// A write or sync failed, so nobody knows what the kernel kept of that file.
    #[error("journal writes are refused: {reason}; start a new segment from a snapshot")]
    Poisoned { reason: String },

    /// Another process leads, or may. Undo what is not durable and call `lead` again.
    #[error("no longer the leader: {reason}")]
    Fenced { reason: String },

    #[error("{} is in use by another process (its lock file is held)", dir.display())]
    Locked { dir: PathBuf },

    #[error("the state refused what the journal holds: {0}")]
    Sink(#[from] SinkError),

    #[error("stopped while waiting for leadership")]
    Stopped,

    /// The caller broke the order of calls; nothing was written.
    #[error("journal misuse: {0}")]
    Misuse(String),

    #[error("etcd at {endpoints}: cannot {action}: {reason}")]
    Etcd { endpoints: String, action: &'static str, reason: String },

    #[error("bad state address {url:?}: {reason}")]
    Address { url: String, reason: String },
}

impl JournalError {
    /// Names what was tried on which file; a full disk becomes [`JournalError::Full`].
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> JournalError {
        let path = path.into();
        move |source| {
            if is_full(&source) {
                JournalError::Full { place: path.display().to_string(), reason: source.to_string() }
            } else {
                JournalError::Io { action, path, source }
            }
        }
    }

    pub(crate) fn corrupt(
        file: impl Into<PathBuf>,
        offset: u64,
        reason: impl Into<String>,
    ) -> JournalError {
        JournalError::Corrupt { file: file.into(), offset, reason: reason.into() }
    }
}

/// A quota that is used up is the same thing to us as a full disk.
pub(crate) fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

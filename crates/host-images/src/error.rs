//! What can go wrong with an image. The texts reach `stoppedReason`, so each says what and why.

use std::io;
use std::path::PathBuf;

use crate::digest::Digest;
use crate::reference::BadReference;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{what} {path}: {source}")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("no space left on device while {doing}: {path}")]
    DiskFull { doing: &'static str, path: PathBuf },
    #[error(transparent)]
    Reference(#[from] BadReference),
    #[error("No such image: {0}")]
    NoSuchImage(String),
    #[error("image {image} is in use by {users}")]
    InUse { image: String, users: String },
    #[error("{0:?} names more than one image")]
    Ambiguous(String),
    #[error("invalid {what}: {why}")]
    Invalid { what: &'static str, why: String },
    #[error("failed to register layer: {0}")]
    Unpack(#[from] crate::unpack::UnpackError),
    #[error("{what}: expected digest {expected}, got {actual}")]
    Digest { what: &'static str, expected: Digest, actual: Digest },
    #[error("{what}: expected {expected} bytes, got {actual}")]
    Size { what: &'static str, expected: u64, actual: u64 },
    #[error("the image store {path} was written by a newer version (format {found})")]
    Newer { path: PathBuf, found: u32 },
    #[error(transparent)]
    Registry(#[from] crate::registry::RegistryError),
    #[error("{} has been retried {attempts} time(s): {}{source}", stage.told(), aim(*stage, reference))]
    Pull { stage: crate::pull::Stage, attempts: u32, reference: Option<String>, source: Box<Error> },
    #[error("failed to extract layer {layer}: {source}")]
    Layer { layer: Digest, source: Box<Error> },
    #[error("the pull was cancelled")]
    Cancelled,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn invalid(what: &'static str, why: impl Into<String>) -> Error {
        Error::Invalid { what, why: why.into() }
    }

    /// What went wrong at the bottom of it.
    pub fn root(&self) -> &Error {
        match self {
            Error::Pull { source, .. } | Error::Layer { source, .. } => source.root(),
            other => other,
        }
    }

    /// Whether the disk (or its quota) is what ran out.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Error::DiskFull { .. } => true,
            Error::Unpack(why) => why.is_disk_full(),
            Error::Pull { source, .. } | Error::Layer { source, .. } => source.is_disk_full(),
            _ => false,
        }
    }
}

/// containerd's words for what it was about.
fn aim(stage: crate::pull::Stage, reference: &Option<String>) -> String {
    match (stage, reference) {
        (crate::pull::Stage::Manifest, Some(reference)) => {
            format!("failed to resolve ref {reference}: ")
        }
        _ => "failed to copy: ".into(),
    }
}

pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Adds to an I/O error what was being done, and to what.
pub trait At<T> {
    fn at(self, what: &'static str, path: impl Into<PathBuf>) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, what: &'static str, path: impl Into<PathBuf>) -> Result<T> {
        self.map_err(|source| {
            let path = path.into();
            if is_full(&source) {
                return Error::DiskFull { doing: what, path };
            }
            Error::Io { what, path, source }
        })
    }
}

impl<T> At<T> for rustix::io::Result<T> {
    fn at(self, what: &'static str, path: impl Into<PathBuf>) -> Result<T> {
        self.map_err(io::Error::from).at(what, path)
    }
}

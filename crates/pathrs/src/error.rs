//! One error: a path, and what the kernel said about it.

use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct Error {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Error {
    pub(crate) fn of(path: &Path) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |errno| Self { path: path.to_owned(), source: errno.into() }
    }

    pub(crate) fn climbs(path: &Path) -> Self {
        Self { path: path.to_owned(), source: io::Error::from(io::ErrorKind::InvalidInput) }
    }
}

//! What can go wrong with a container, told so that the text can stand behind AWS's
//! `CannotCreateContainerError: ` and `CannotStartContainerError: `.

use std::io;
use std::path::{Path, PathBuf};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The specification asks for what cannot be.
    #[error("{0}")]
    Invalid(String),
    /// This machine or this runtime cannot do what is asked.
    #[error("{0}")]
    Unsupported(String),
    /// The container could not be made.
    #[error("{0}")]
    Create(String),
    /// The container was made, and its process could not be started.
    #[error("{0}")]
    Start(String),
    #[error("No such container: {0}")]
    NotFound(String),
    #[error("Conflict. The container name \"{0}\" is already in use")]
    Exists(String),
    #[error("Container {0} is not running")]
    NotRunning(String),
    #[error("{what} {path}")]
    File {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{what}: {source}")]
    System {
        what: &'static str,
        #[source]
        source: io::Error,
    },
    /// The container's shim does not answer as it should.
    #[error("shim of {id}: {text}")]
    Shim { id: String, text: String },
    #[error("Error response from daemon: {0}")]
    Docker(String),
    /// The daemon did not answer, which says nothing about the container.
    #[error("Cannot connect to the Docker daemon: {0}")]
    Away(String),
}

/// Which of AWS's two errors a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// `CannotCreateContainerError`
    Create,
    /// `CannotStartContainerError`
    Start,
}

impl Error {
    /// AWS: with Docker below the agent, `create` only checks and writes down, and everything that
    /// the kernel or the image refuses comes out of `start`.
    pub fn phase(&self) -> Phase {
        match self {
            Error::Invalid(_) | Error::Unsupported(_) | Error::Create(_) | Error::Exists(_) => {
                Phase::Create
            }
            _ => Phase::Start,
        }
    }

    pub(crate) fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Error::File { what, path: path.to_owned(), source }
    }

    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Error::System { what, source }
    }
}

/// The whole chain in one line, as reasons are told.
pub fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

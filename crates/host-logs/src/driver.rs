//! The drivers there are.

use std::collections::BTreeMap;

use crate::{Later, Line, LogError, Opening, awslogs, fluentd, gelf, splunk, syslog};

/// Takes lines to where they belong.
pub trait Driver: Send {
    /// Deliver lines in their order, or as many of the first as make a whole, and say how many.
    /// `flush`: nothing more comes soon, so what is held back for its other half goes as it is.
    fn deliver<'a>(
        &'a mut self,
        lines: &'a [Line],
        flush: bool,
    ) -> Later<'a, Result<usize, LogError>>;
}

type Open = for<'a> fn(&'a Opening) -> Later<'a, Result<Option<Box<dyn Driver>>, LogError>>;
type Check = fn(&Opening) -> Result<(), LogError>;

/// One kind of driver. Opening it gives none where the files themselves are all there is to it.
pub struct Kind {
    pub name: &'static str,
    check: Check,
    open: Open,
}

pub static DRIVERS: &[Kind] = &[
    Kind { name: "json-file", check: check_files, open: |_| Box::pin(async { Ok(None) }) },
    Kind { name: "none", check: |_| Ok(()), open: |_| Box::pin(async { Ok(None) }) },
    Kind {
        name: "awslogs",
        check: awslogs::check,
        open: |opening| Box::pin(async { Ok(Some(awslogs::open(opening).await?)) }),
    },
    Kind {
        name: "syslog",
        check: syslog::check,
        open: |opening| Box::pin(async { Ok(Some(syslog::open(opening)?)) }),
    },
    Kind {
        name: "fluentd",
        check: fluentd::check,
        open: |opening| Box::pin(async { Ok(Some(fluentd::open(opening).await?)) }),
    },
    Kind {
        name: "gelf",
        check: gelf::check,
        open: |opening| Box::pin(async { Ok(Some(gelf::open(opening)?)) }),
    },
    Kind {
        name: "splunk",
        check: splunk::check,
        open: |opening| Box::pin(async { Ok(Some(splunk::open(opening).await?)) }),
    },
];

/// All that there are.
pub fn names() -> impl Iterator<Item = &'static str> {
    DRIVERS.iter().map(|kind| kind.name)
}

fn find(name: &str) -> Result<&'static Kind, LogError> {
    let found = DRIVERS.iter().find(|kind| kind.name == name);
    found.ok_or_else(|| LogError::UnknownDriver(name.to_owned()))
}

/// Whether the options are such that the driver can be opened.
pub fn check(name: &str, opening: &Opening) -> Result<(), LogError> {
    (find(name)?.check)(opening)
}

/// Open a driver. Where that fails, the container must not start: its output would go nowhere.
pub async fn open(name: &str, opening: &Opening) -> Result<Option<Box<dyn Driver>>, LogError> {
    check(name, opening)?;
    (find(name)?.open)(opening).await
}

fn check_files(opening: &Opening) -> Result<(), LogError> {
    crate::options::retention(&opening.options)?;
    const KNOWN: &[&str] =
        &["max-size", "max-file", "compress", "labels", "labels-regex", "env", "env-regex", "tag"];
    let known: BTreeMap<String, String> = opening
        .options
        .iter()
        .filter(|(name, _)| !KNOWN.contains(&&name[..]))
        .map(|(a, b)| (a.clone(), b.clone()))
        .collect();
    crate::options::Options::new("json-file", &known).finish()
}

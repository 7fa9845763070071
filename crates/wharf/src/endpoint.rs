//! `endpoint.json`: how the other commands find a running server.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use core_types::{AccountId, Region};
use serde::{Deserialize, Serialize};

use crate::data_dir::DataDir;
use crate::process;

const FILE: &str = "endpoint.json";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Endpoint {
    pub version: String,
    pub pid: u32,
    /// With the pid it names one process; see [`process::started`].
    pub started: u64,
    /// Base URLs; the first is the one to use.
    pub endpoints: Vec<String>,
    pub region: Region,
    pub account: AccountId,
    /// The local CA's certificate, where wharf made the server's certificate.
    pub ca: Option<PathBuf>,
}

impl Endpoint {
    pub fn first(&self) -> &str {
        self.endpoints.first().map(String::as_str).unwrap_or_default()
    }

    pub fn write(&self, dir: &DataDir) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).context("endpoint.json")?;
        dir.write_private(FILE, &text).map(|_| ())
    }

    pub fn remove(dir: &DataDir) {
        dir.remove(FILE);
    }

    /// The server that runs on this directory. A file left behind by one that was killed counts as
    /// none.
    pub fn read(dir: &DataDir) -> Result<Option<Endpoint>> {
        let Some(bytes) = dir.read(FILE)? else { return Ok(None) };
        let path = dir.path().join(FILE);
        let endpoint: Endpoint = serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is damaged", path.display()))?;
        let alive = process::started(endpoint.pid) == Some(endpoint.started);
        Ok(alive.then_some(endpoint))
    }

    /// Like [`Endpoint::read`], for commands that cannot do without.
    pub fn find(dir: &DataDir) -> Result<Endpoint> {
        match Endpoint::read(dir)? {
            Some(endpoint) => Ok(endpoint),
            None => bail!(
                "no wharf server runs on {}: start one with `wharf server{}`",
                dir.path().display(),
                dir.flag()
            ),
        }
    }
}

//! Users' bytes: the stores of this server, and the data actions bound to them. One file a service.

mod logs;

use std::sync::Arc;

use anyhow::{Context, Result};
use data_logs::Store;
use plane_engine::Engine;
use plane_gateway::Handlers;

use crate::data_dir::DataDir;

/// The stores of one data directory.
pub struct Stores {
    pub logs: Arc<Store>,
}

impl Stores {
    pub fn open(dir: &DataDir) -> Result<Stores> {
        let logs = Store::open(&dir.path().join("logs"), data_logs::Options::default());
        let logs = logs.context("cannot open the log store")?;
        Ok(Stores { logs: Arc::new(logs) })
    }

    /// What does the jobs of data actions.
    pub fn handlers(&self, engine: &Engine) -> Handlers {
        let mut handlers = Handlers::default();
        logs::bind(&mut handlers, &self.logs, engine);
        handlers
    }

    /// Keep the stores in step with rows, for as long as the server runs.
    pub fn start(&self, engine: &Engine) {
        tokio::spawn(logs::keep_in_step(self.logs.clone(), engine.clone()));
    }

    /// Finish what was begun. Blocks.
    pub fn stop(&self) {
        self.logs.stop();
    }
}

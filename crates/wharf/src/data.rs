//! Users' bytes: the stores of this server, and the data actions bound to them. One file a service.

mod logs;

use std::sync::Arc;

use anyhow::{Context, Result};
use data_logs::Store;
use plane_engine::Engine;
use plane_gateway::{Handlers, MoreFigures};

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

    /// For `/metrics`.
    pub fn figures(&self) -> MoreFigures {
        let logs = self.logs.clone();
        Box::new(move |out| logs::write_figures(logs.figures(), out))
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

#[cfg(test)]
mod tests {
    use core_step::Run;
    use plane_engine::{Engine, Options};
    use plane_journal::{EmbeddedJournal, EmbeddedOptions};

    use super::*;

    #[test]
    fn every_data_action_has_its_handler() {
        let dir = tempfile::tempdir().expect("a temporary folder can be made");
        let journal = EmbeddedJournal::open(EmbeddedOptions::new(dir.path().join("journal")));
        let journal = Box::new(journal.expect("a new journal opens"));
        let engine = Engine::start(crate::slices::registry(), journal, Options::default());
        let engine = engine.expect("the engine starts");
        let logs = Store::open(dir.path(), data_logs::Options::default());
        let stores = Stores { logs: Arc::new(logs.expect("a new store opens")) };
        let handlers = stores.handlers(&engine);
        let actions = engine.registry().slices().iter().flat_map(|slice| slice.actions);
        for action in actions.filter(|action| matches!(action.run, Run::Data(_))) {
            assert!(handlers.has(action.op), "{:?} has no handler", action.op);
        }
        engine.stop();
    }
}

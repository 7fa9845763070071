//! One snapshot at a time, from its beginning until it is installed or given up. A second one that
//! began before the first was installed would be deleted with what the first one replaces.

use std::sync::{Arc, Weak};

use crate::JournalError;

/// What a snapshot's writer holds, and after it the snapshot that waits to be installed.
pub(crate) type Turn = Arc<()>;

#[derive(Default)]
pub(crate) struct Turns(Weak<()>);

impl Turns {
    pub fn is_taken(&self) -> bool {
        self.0.strong_count() > 0
    }

    pub fn take(&mut self) -> Result<Turn, JournalError> {
        if self.is_taken() {
            return Err(JournalError::Misuse("a snapshot is being written already".into()));
        }
        let turn = Arc::new(());
        self.0 = Arc::downgrade(&turn);
        Ok(turn)
    }
}

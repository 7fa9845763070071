//! When a key or a role was last used to sign a request, as it is told beside them.

use std::sync::Arc;

use core_types::{Region, Time};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastUse {
    pub at: Time,
    pub region: Region,
    /// The service's signing name.
    pub service: Arc<str>,
}

impl LastUse {
    /// Uses may be told late and twice: the latest counts.
    pub fn join(self, known: &mut Option<LastUse>) {
        if known.as_ref().is_none_or(|known| known.at < self.at) {
            *known = Some(self);
        }
    }
}

//! Streams of a group that was deleted go too. Nobody sees them meanwhile: they are found by the
//! id of their group, and a new group of the same name has another.

use core_state::{Change, State, Tx};
use core_step::Loop;
use core_types::Id128;

use crate::ops;
use crate::rows::group::LogGroup;
use crate::rows::stream::LogStream;

pub struct Orphans;

impl Loop for Orphans {
    type Key = Id128;
    const NAME: &'static str = "logs/orphans";

    fn wake(change: &Change, state: &State, add: &mut dyn FnMut(Id128)) {
        let group = change.row::<LogGroup>().map(|row| row.id);
        let group = group.or_else(|| change.row::<LogStream>().map(|row| row.key.0));
        if let Some(group) = group.filter(|group| ops::group(state, *group).is_none()) {
            add(group);
        }
    }

    fn reconcile(tx: &mut Tx<'_>, group: &Id128) {
        if ops::group(tx, *group).is_some() {
            return;
        }
        let streams = tx.scan::<LogStream>((*group, "".into()));
        let streams = streams.take_while(|row| row.key.0 == *group).map(|row| row.key.clone());
        for key in streams.collect::<Vec<_>>() {
            tx.delete::<LogStream>(&key);
        }
    }
}

//! What was deleted is described as INACTIVE for a while, then forgotten.

use std::marker::PhantomData;

use core_state::{Change, Row, State, Tx};
use core_step::Loop;
use core_types::Time;

use crate::rows::capacity_provider::CapacityProvider;
use crate::rows::cluster::Cluster;
use crate::rows::container_instance::ContainerInstance;
use crate::rows::daemon_task_definition::DaemonTaskDefinition;
use crate::rows::exec_session::ExecSession;
use crate::rows::run_token::RunToken;

/// A row that outlives its deletion until a time.
pub trait Retires: Row {
    const LOOP: &'static str;
    fn forget_at(&self) -> Option<Time>;
}

macro_rules! retires {
    ($($row:ty: $name:literal;)*) => {$(
        impl Retires for $row {
            const LOOP: &'static str = $name;
            fn forget_at(&self) -> Option<Time> {
                self.forget_at
            }
        }
    )*};
}
retires! {
    CapacityProvider: "ecs/retired-capacity-providers";
    Cluster: "ecs/retired-clusters";
    ContainerInstance: "ecs/retired-container-instances";
    DaemonTaskDefinition: "ecs/deleted-daemon-task-definitions";
    ExecSession: "ecs/unopened-exec-sessions";
    RunToken: "ecs/old-client-tokens";
}

pub struct Forget<R>(PhantomData<R>);

impl<R: Retires> Loop for Forget<R> {
    type Key = R::Key;
    const NAME: &'static str = R::LOOP;

    fn wake(change: &Change, _: &State, add: &mut dyn FnMut(R::Key)) {
        if let Some(row) = change.row::<R>().filter(|row| row.forget_at().is_some()) {
            add(row.key());
        }
    }

    fn reconcile(tx: &mut Tx<'_>, key: &R::Key) {
        let now = tx.now();
        if tx.get::<R>(key).is_some_and(|row| row.forget_at().is_some_and(|at| at <= now)) {
            tx.delete::<R>(key);
        }
    }
}

//! Deleted clusters are described as INACTIVE for a while, then forgotten.

use core_state::{Change, State, Tx};
use core_step::Loop;

use crate::rows::cluster::{Cluster, ClusterKey};

pub struct RetiredClusters;

impl Loop for RetiredClusters {
    type Key = ClusterKey;
    const NAME: &'static str = "ecs/retired-clusters";

    fn wake(change: &Change, _: &State, add: &mut dyn FnMut(ClusterKey)) {
        if let Some(cluster) = change.row::<Cluster>().filter(|c| c.forget_at.is_some()) {
            add(cluster.key.clone());
        }
    }

    fn reconcile(tx: &mut Tx<'_>, key: &ClusterKey) {
        let now = tx.now();
        let due = |cluster: &Cluster| cluster.forget_at.is_some_and(|at| at <= now);
        if tx.get::<Cluster>(key).is_some_and(due) {
            tx.delete::<Cluster>(key);
        }
    }
}

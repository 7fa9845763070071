//! The question: tasks that are all alike, what they need, and where they should rather be.

use std::sync::Arc;

use crate::instance::{Instance, Need, Reason};
use crate::query::Query;

#[derive(Clone, Debug, PartialEq)]
pub enum Constraint {
    /// No two tasks of a group on one instance.
    DistinctInstance,
    MemberOf(Query),
}

/// What tasks are spread over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    Instance,
    Attribute(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strategy {
    Random,
    Spread(Field),
    /// Where the least is left.
    BinpackCpu,
    BinpackMemory,
}

/// Tasks to be placed, all alike. Equal asks have equal answers, so an index serves them all.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    pub group: Arc<str>,
    pub need: Need,
    pub constraints: Vec<Constraint>,
    /// None: AWS's default for tasks that are no service's, anywhere.
    pub strategy: Vec<Strategy>,
}

impl Ask {
    /// Why the instance would not take one of the tasks. What the instance is comes before the
    /// constraints, and they before what it has left.
    pub fn refusal(&self, instance: &Instance) -> Option<Reason> {
        let refuses = instance.refuses(&self.need);
        let refuses =
            refuses.or_else(|| self.constraints.iter().find_map(|c| c.unmet(self, instance)));
        refuses.or_else(|| instance.lacks(&self.need))
    }

    /// Whether its constraints look at what tasks an instance has.
    pub fn minds_tasks(&self) -> bool {
        self.constraints.iter().any(|constraint| match constraint {
            Constraint::DistinctInstance => true,
            Constraint::MemberOf(query) => query.asks_of_tasks(),
        })
    }
}

impl Constraint {
    fn unmet(&self, ask: &Ask, instance: &Instance) -> Option<Reason> {
        match self {
            Constraint::DistinctInstance => {
                (instance.tasks_of(&ask.group) > 0).then_some(Reason::DistinctInstance)
            }
            Constraint::MemberOf(query) => (!query.holds(instance)).then_some(Reason::MemberOf),
        }
    }
}

/// How many of `count` tasks each capacity provider gets, by its base and weight: first the bases,
/// then the rest in the weights' proportion, each task to whoever is furthest behind.
pub fn split(items: &[(usize, usize)], count: usize) -> Vec<usize> {
    let mut shares = vec![0; items.len()];
    let mut left = count;
    for (share, (base, _)) in shares.iter_mut().zip(items) {
        *share = left.min(*base);
        left -= *share;
    }
    let mut given = vec![0_usize; items.len()];
    let single = items.len() == 1;
    for _ in 0..left {
        let weighty = (0..items.len()).filter(|n| single || items[*n].1 > 0);
        // The least of given / weight, compared without dividing; the first among equals.
        let next = weighty.min_by(|a, b| {
            let (weight_a, weight_b) = (items[*a].1.max(1), items[*b].1.max(1));
            ((given[*a] + 1) * weight_b).cmp(&((given[*b] + 1) * weight_a))
        });
        let Some(next) = next else { break };
        given[next] += 1;
        shares[next] += 1;
    }
    shares
}

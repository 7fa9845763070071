//! The instances of a pool in the order in which one question would take them.
//!
//! A strategy's chain is a rank: one number a strategy, compared from the left, the least wins. All
//! but one kind of number are an instance's own; spreading over an attribute counts all instances
//! with the same value. So instances stand in *cells*, one for each combination of those values.
//! Within a cell the shared numbers are equal and only the own ones order; between cells only the
//! best of each is compared. A task that comes or goes moves one instance in one cell, and that
//! cell, and those that share a value with it, among the cells.
//!
//! Tasks of other groups take room on an instance, and seldom its place in the order. Where they
//! cannot, nobody tells the index of them: it looks whether the instance that it would choose still
//! has room, and chooses again if not.

use std::collections::BTreeMap;
use std::sync::Arc;

use core_types::Dice;

use crate::ask::{Ask, Constraint, Field, Strategy};
use crate::instance::{Instance, Reason};

/// AWS: five strategies.
const DEEPEST: usize = 5;
type Rank = [i64; DEEPEST];

/// The values of one attribute that tasks are spread over.
#[derive(Debug)]
struct Shared {
    /// Its place in the chain.
    level: usize,
    attribute: String,
    /// Instances without the attribute are one more value of it.
    numbers: BTreeMap<Option<String>, usize>,
    values: Vec<Value>,
}

#[derive(Debug, Default)]
struct Value {
    /// Tasks of the group on all instances with this value, also on those that take no more.
    tasks: i64,
    cells: Vec<usize>,
}

/// Instances with the same values of every shared attribute.
#[derive(Debug, Default)]
struct Cell {
    /// By `Index::shared`, the value's number.
    values: Vec<usize>,
    /// Those that fit, by their own numbers.
    fit: BTreeMap<Rank, Vec<u32>>,
    /// As it stands in `Index::order`.
    best: Option<Rank>,
}

/// What an index knows of an instance.
#[derive(Clone, Debug)]
struct Standing {
    cell: usize,
    /// Tasks of the group on it.
    tasks: i64,
    /// What no task changes: whether the instance would do at all, and which constraints it meets.
    fixed: Option<Reason>,
    unmet: u64,
    refusal: Option<Reason>,
    /// Where it stands in its cell, if it fits.
    stands: Option<(Rank, u32)>,
}

#[derive(Debug)]
pub(crate) struct Index {
    ask: Ask,
    /// How much of the pool's history it has taken in.
    pub seen: u64,
    /// When it was last asked.
    pub used: u64,
    /// Whether tasks of other groups move an instance in the order, or make it another that the
    /// constraints refuse.
    minds_others: bool,
    shared: Vec<Shared>,
    cells: Vec<Cell>,
    by_values: BTreeMap<Vec<usize>, usize>,
    /// Cells with an instance that fits, by the full rank of their best.
    order: BTreeMap<Rank, Vec<usize>>,
    standings: Vec<Option<Standing>>,
}

impl Index {
    pub fn new(ask: &Ask, instances: &[Option<Instance>], seen: u64) -> Index {
        let mut ask = ask.clone();
        // What comes behind `random` has one instance left to choose from.
        let chain = ask.strategy.iter().position(|one| *one == Strategy::Random);
        ask.strategy.truncate(chain.unwrap_or(DEEPEST).min(DEEPEST));
        let attribute = |(level, one): (usize, &Strategy)| match one {
            Strategy::Spread(Field::Attribute(name)) => Some(Shared {
                level,
                attribute: name.clone(),
                numbers: BTreeMap::new(),
                values: Vec::new(),
            }),
            _ => None,
        };
        let shared = ask.strategy.iter().enumerate().filter_map(attribute).collect();
        let binpack =
            |one: &Strategy| matches!(one, Strategy::BinpackCpu | Strategy::BinpackMemory);
        let passing = |constraint: &Constraint| match constraint {
            Constraint::DistinctInstance => false,
            Constraint::MemberOf(query) => query.asks_of_groups(),
        };
        let minds_others = ask.strategy.iter().any(binpack) || ask.constraints.iter().any(passing);
        let mut index = Index {
            ask,
            minds_others,
            seen,
            used: 0,
            shared,
            cells: Vec::new(),
            by_values: BTreeMap::new(),
            order: BTreeMap::new(),
            standings: vec![None; instances.len()],
        };
        for (slot, instance) in instances.iter().enumerate() {
            if let Some(instance) = instance {
                index.enter(slot, instance);
            }
        }
        (0..index.cells.len()).for_each(|cell| index.rank_cell(cell));
        index
    }

    /// Whether it answers this question too.
    pub fn answers(&self, ask: &Ask) -> bool {
        let chain = ask.strategy.iter().position(|one| *one == Strategy::Random);
        let chain = chain.unwrap_or(DEEPEST).min(ask.strategy.len()).min(DEEPEST);
        let Ask { group, need, constraints, strategy } = &self.ask;
        *group == ask.group
            && *strategy == ask.strategy[..chain]
            && *need == ask.need
            && *constraints == ask.constraints
    }

    /// Whether a task is of the group that is asked for.
    pub fn is_own(&self, group: &Arc<str>) -> bool {
        Arc::ptr_eq(group, &self.ask.group) || *group == self.ask.group
    }

    pub fn minds_others(&self) -> bool {
        self.minds_others
    }

    /// The instance that takes the next task; among equals the dice decide.
    pub fn choose(&mut self, instances: &[Option<Instance>], dice: &mut Dice) -> Option<usize> {
        loop {
            let slot = self.first(dice)?;
            let instance = instances[slot].as_ref().expect("an index names what is there");
            if self.minds_others || instance.lacks(&self.ask.need).is_none() {
                return Some(slot);
            }
            // Others have taken its room since.
            self.update(slot, instance, false);
        }
    }

    fn first(&self, dice: &mut Dice) -> Option<usize> {
        let (_, cells) = self.order.first_key_value()?;
        let equals = cells.iter().map(|cell| {
            let best = self.cells[*cell].fit.first_key_value();
            best.expect("only cells with an instance that fits are in the order").1
        });
        let all: usize = equals.clone().map(Vec::len).sum();
        let mut nth = dice.below(all as u64) as usize;
        for some in equals {
            match some.get(nth) {
                Some(slot) => return Some(*slot as usize),
                None => nth -= some.len(),
            }
        }
        None
    }

    /// Why an instance takes no task.
    pub fn refusal(&self, slot: usize, instance: &Instance) -> Option<Reason> {
        let standing = self.standings[slot].as_ref()?;
        match self.minds_others {
            true => standing.refusal.clone(),
            false => self.refuses(standing, instance),
        }
    }

    /// The instance of a slot is another than before, or there is none any more.
    pub fn replace(&mut self, slot: usize, instance: Option<&Instance>) {
        self.leave(slot);
        if slot >= self.standings.len() {
            self.standings.resize(slot + 1, None);
        }
        if let Some(instance) = instance {
            let cell = self.enter(slot, instance);
            self.rank_around(cell);
        }
    }

    /// A task has been placed on it: what it has left is less.
    pub fn update(&mut self, slot: usize, instance: &Instance, of_group: bool) {
        let Some(mut standing) = self.standings[slot].take() else { return };
        let cell = standing.cell;
        if of_group {
            let tasks = instance.tasks_of(&self.ask.group);
            self.count(cell, tasks - standing.tasks);
            standing.tasks = tasks;
        }
        standing.refusal = self.refuses(&standing, instance);
        let rank = standing.refusal.is_none().then(|| self.rank(&standing, instance));
        let moves = standing.stands.map(|(rank, _)| rank) != rank;
        if moves {
            self.stand_down(&standing);
            standing.stands = rank.map(|rank| self.stand(cell, rank, slot));
        }
        self.standings[slot] = Some(standing);
        match of_group {
            true => self.rank_around(cell),
            false if moves => self.rank_cell(cell),
            false => {}
        }
    }

    fn enter(&mut self, slot: usize, instance: &Instance) -> usize {
        let cell = self.cell_of(instance);
        let mut standing = Standing {
            cell,
            tasks: instance.tasks_of(&self.ask.group),
            fixed: instance.refuses(&self.ask.need),
            unmet: 0,
            refusal: None,
            stands: None,
        };
        for (nth, query) in lasting(&self.ask) {
            standing.unmet |= u64::from(!query.holds(instance)) << nth;
        }
        self.count(cell, standing.tasks);
        standing.refusal = self.refuses(&standing, instance);
        if standing.refusal.is_none() {
            let rank = self.rank(&standing, instance);
            standing.stands = Some(self.stand(cell, rank, slot));
        }
        self.standings[slot] = Some(standing);
        cell
    }

    fn leave(&mut self, slot: usize) {
        let Some(standing) = self.standings.get_mut(slot).and_then(Option::take) else { return };
        self.stand_down(&standing);
        self.count(standing.cell, -standing.tasks);
        self.rank_around(standing.cell);
    }

    /// As `Ask::refusal`, from what is known already.
    fn refuses(&self, standing: &Standing, instance: &Instance) -> Option<Reason> {
        if standing.fixed.is_some() {
            return standing.fixed.clone();
        }
        for (nth, constraint) in self.ask.constraints.iter().enumerate() {
            match constraint {
                Constraint::DistinctInstance if standing.tasks > 0 => {
                    return Some(Reason::DistinctInstance);
                }
                Constraint::DistinctInstance => {}
                Constraint::MemberOf(query) => {
                    let unmet = match is_lasting(nth, constraint) {
                        true => standing.unmet >> nth & 1 == 1,
                        false => !query.holds(instance),
                    };
                    if unmet {
                        return Some(Reason::MemberOf);
                    }
                }
            }
        }
        instance.lacks(&self.ask.need)
    }

    /// Its own numbers; those that it shares with others are left at nothing.
    fn rank(&self, standing: &Standing, instance: &Instance) -> Rank {
        let mut rank = [0; DEEPEST];
        for (number, strategy) in rank.iter_mut().zip(&self.ask.strategy) {
            *number = match strategy {
                Strategy::Random | Strategy::Spread(Field::Attribute(_)) => 0,
                Strategy::Spread(Field::Instance) => standing.tasks,
                Strategy::BinpackCpu => instance.free.cpu,
                Strategy::BinpackMemory => instance.free.memory,
            };
        }
        rank
    }

    fn stand(&mut self, cell: usize, rank: Rank, slot: usize) -> (Rank, u32) {
        let equals = self.cells[cell].fit.entry(rank).or_default();
        equals.push(slot as u32);
        (rank, equals.len() as u32 - 1)
    }

    fn stand_down(&mut self, standing: &Standing) {
        let Some((rank, at)) = standing.stands else { return };
        let fit = &mut self.cells[standing.cell].fit;
        let equals = fit.get_mut(&rank).expect("an instance stands where it says");
        equals.swap_remove(at as usize);
        // The last of them has its place now.
        if let Some(moved) = equals.get(at as usize) {
            let moved = self.standings[*moved as usize].as_mut();
            moved.expect("what fits has a standing").stands = Some((rank, at));
        } else if equals.is_empty() {
            fit.remove(&rank);
        }
    }

    fn cell_of(&mut self, instance: &Instance) -> usize {
        let mut values = Vec::with_capacity(self.shared.len());
        for shared in &mut self.shared {
            let value = instance.attributes.get(&shared.attribute);
            let value = value.map(|value| value.clone().unwrap_or_default());
            let number = *shared.numbers.entry(value).or_insert(shared.values.len());
            if number == shared.values.len() {
                shared.values.push(Value::default());
            }
            values.push(number);
        }
        if let Some(cell) = self.by_values.get(&values) {
            return *cell;
        }
        let cell = self.cells.len();
        for (shared, number) in self.shared.iter_mut().zip(&values) {
            shared.values[*number].cells.push(cell);
        }
        self.by_values.insert(values.clone(), cell);
        self.cells.push(Cell { values, ..Cell::default() });
        cell
    }

    fn count(&mut self, cell: usize, tasks: i64) {
        for (shared, number) in self.shared.iter_mut().zip(&self.cells[cell].values) {
            shared.values[*number].tasks += tasks;
        }
    }

    /// Put a cell where it now belongs among the others.
    fn rank_cell(&mut self, number: usize) {
        let cell = &mut self.cells[number];
        let best = cell.fit.first_key_value().map(|(rank, _)| {
            let mut rank = *rank;
            for (shared, value) in self.shared.iter().zip(&cell.values) {
                rank[shared.level] = shared.values[*value].tasks;
            }
            rank
        });
        if best == cell.best {
            return;
        }
        if let Some(old) = std::mem::replace(&mut cell.best, best) {
            let equals = self.order.get_mut(&old).expect("a cell stands where it says");
            equals.retain(|other| *other != number);
            if equals.is_empty() {
                self.order.remove(&old);
            }
        }
        if let Some(best) = best {
            self.order.entry(best).or_default().push(number);
        }
    }

    /// The cell, and all that share a value with it.
    fn rank_around(&mut self, cell: usize) {
        self.rank_cell(cell);
        for nth in 0..self.shared.len() {
            let value = self.cells[cell].values[nth];
            for at in 0..self.shared[nth].values[value].cells.len() {
                let other = self.shared[nth].values[value].cells[at];
                self.rank_cell(other);
            }
        }
    }
}

/// Whether what it says of an instance stays when tasks come and go.
fn is_lasting(nth: usize, constraint: &Constraint) -> bool {
    match constraint {
        Constraint::DistinctInstance => false,
        Constraint::MemberOf(query) => nth < 64 && !query.asks_of_groups(),
    }
}

fn lasting(ask: &Ask) -> impl Iterator<Item = (usize, &crate::query::Query)> {
    let all = ask.constraints.iter().enumerate();
    all.filter(|(nth, one)| is_lasting(*nth, one)).filter_map(|(nth, one)| match one {
        Constraint::MemberOf(query) => Some((nth, query)),
        Constraint::DistinctInstance => None,
    })
}

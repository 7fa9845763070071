//! Fields of task definitions: each does what it says, seen from inside the container or from
//! outside, or the task stops with an error that names it. One machine serves them all.

mod files;
mod images;
pub mod limits;
mod logs;
mod network;
mod order;
mod process;
mod refused;
mod router;

use serde_json::{Value, json};

use crate::world::{Machine, merge};

/// A task of one container that ends by itself, and what its output then holds. Of expectations
/// with a bar in them one side must hold: kernels have two ways to say some of it.
pub struct Case {
    pub name: &'static str,
    pub container: Value,
    pub more: Value,
    pub says: &'static [&'static str],
}

pub fn case(
    name: &'static str,
    script: &str,
    container: Value,
    says: &'static [&'static str],
) -> Case {
    let mut whole = json!({ "command": shell(script), "memory": 32 });
    merge(&mut whole, container);
    Case { name, container: whole, more: json!({}), says }
}

impl Case {
    /// With members of the task definition itself.
    pub fn with(mut self, more: Value) -> Case {
        self.more = more;
        self
    }
}

pub fn shell(script: &str) -> Value {
    json!(["sh", "-c", script])
}

/// A container of a task with several.
pub fn container(name: &str, script: &str, more: Value) -> Value {
    let mut whole = json!({ "name": name, "image": "busybox:latest", "memory": 32,
        "essential": true, "command": shell(script) });
    merge(&mut whole, more);
    whole
}

/// Register a task of these containers and run it.
pub fn run(machine: &Machine, family: &str, containers: Value, more: Value) -> String {
    let mut input = json!({ "family": family, "containerDefinitions": containers });
    merge(&mut input, more);
    machine.call("RegisterTaskDefinition", input);
    machine.run(family, 1).remove(0)
}

/// The container of that name, as DescribeTasks shows it.
pub fn part<'t>(task: &'t Value, name: &str) -> &'t Value {
    let mut all = task["containers"].as_array().unwrap().iter();
    all.find(|container| container["name"] == name).unwrap()
}

/// All at once; what is wrong with any is told together.
fn check(machine: &Machine, cases: Vec<Case>) {
    let mut started = Vec::new();
    for case in cases {
        machine.define(case.name, case.container.clone(), case.more.clone());
        started.push((machine.run(case.name, 1).remove(0), case));
    }
    let mut wrong = Vec::new();
    for (arn, case) in started {
        let task = machine.wait(&arn, "STOPPED");
        let output = machine.output(&arn, "app");
        let missing: Vec<_> = case
            .says
            .iter()
            .filter(|says| !says.split('|').any(|one| output.contains(one)))
            .collect();
        if !missing.is_empty() {
            let (container, reason) = (&task["containers"][0], &task["stoppedReason"]);
            wrong.push(format!(
                "{}: {missing:?} not in {output:?}; {reason} {}",
                case.name, container["reason"]
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_is_seen_from_inside() {
    let Some(machine) = Machine::start() else { return };
    inside(&machine);
}

pub fn inside(machine: &Machine) {
    let cases = [process::cases(), limits::cases(), files::cases(machine), images::cases(machine)];
    let mut cases: Vec<Case> = cases.into_iter().flatten().collect();
    if machine.engine().is_some() && !process::has_all_rights() {
        // Docker gives such a container all that the kernel knows, or does not start it.
        cases.retain(|case| case.name != "privileged");
    }
    check(machine, cases);
}

/// Those that take more than one container, or a look from outside.
type Look = fn(&Machine);

fn look(machine: &Machine, all: &[(&str, Look)]) {
    let wrong: Vec<&str> = std::thread::scope(|scope| {
        let looks: Vec<_> =
            all.iter().map(|(name, look)| (*name, scope.spawn(|| look(machine)))).collect();
        let ended = looks.into_iter().map(|(name, thread)| (name, thread.join()));
        ended.filter(|(_, ended)| ended.is_err()).map(|(name, _)| name).collect()
    });
    assert!(wrong.is_empty(), "{wrong:?}");
}

macro_rules! looks {
    ($($module:ident::$name:ident)*) => { &[$((stringify!($name), $module::$name as Look)),*] };
}

#[test]
fn each_is_seen_from_outside() {
    let Some(machine) = Machine::start() else { return };
    outside(&machine);
}

pub fn outside(machine: &Machine) {
    let all: &[(&str, Look)] = looks! {
        limits::a_task_has_limits_of_its_own
        limits::memory_of_the_task_is_all_that_its_containers_get
        files::volumes_are_shared_between_containers
        files::a_shared_volume_outlives_its_task
        network::ports_are_reached_and_told
        network::a_range_of_ports_is_one_binding
        network::host_and_none
        network::links_tell_names_and_variables
        images::a_digest_names_an_image
        images::a_stop_signal_is_the_images
        refused::what_is_not_here_is_named
        refused::what_cannot_be_is_named
    };
    look(machine, all);
}

/// A few of everything, where there is no time for all.
pub fn some(machine: &Machine) {
    let all: &[(&str, Look)] = looks! {
        limits::a_task_has_limits_of_its_own
        limits::memory_of_the_task_is_all_that_its_containers_get
        files::volumes_are_shared_between_containers
        network::ports_are_reached_and_told
        network::host_and_none
        network::links_tell_names_and_variables
        images::a_digest_names_an_image
        order::containers_wait_for_each_other
        order::namespaces_are_the_tasks
        logs::files_are_kept_as_asked
    };
    look(machine, all);
}

#[test]
fn order_and_health() {
    let Some(machine) = Machine::start() else { return };
    order_and_health_on(&machine);
}

pub fn order_and_health_on(machine: &Machine) {
    let all: &[(&str, Look)] = looks! {
        order::containers_wait_for_each_other
        order::waiting_in_vain_has_an_end
        order::the_last_to_start_is_the_first_to_stop
        order::health_is_told
        order::only_essential_containers_end_a_task
        order::namespaces_are_the_tasks
        order::who_ends_too_early_stays_ended
    };
    look(machine, all);
}

#[test]
fn output_goes_where_it_shall() {
    let Some(machine) = Machine::start() else { return };
    output_on(&machine);
}

pub fn output_on(machine: &Machine) {
    let all: &[(&str, Look)] = looks! {
        logs::files_are_kept_as_asked
        logs::receivers_hear_every_driver
        logs::cloudwatch_joins_lines
        logs::lines_arrive_or_are_counted
        router::a_router_takes_what_others_write
    };
    look(machine, all);
}

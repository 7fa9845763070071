//! Services that change and that lose tasks, with real containers.

mod audit;
pub mod images;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::world::{Machine, kill, wait_for, wait_long_for};

/// Twenty tasks take their time, a few after the other.
const ROLLOUT: Duration = Duration::from_secs(180);

/// Stays, and obeys SIGTERM at once.
const STAY: &str = "trap 'exit 0' TERM; sleep 100000 & wait";

fn define(machine: &Machine, version: &str) {
    let environment = json!([{ "name": "VERSION", "value": version }]);
    let app = json!({ "command": ["sh", "-c", STAY], "memory": 16, "environment": environment });
    machine.define("web", app, json!({}));
}

fn create(machine: &Machine, desired: usize, configuration: Value) {
    let input = json!({ "serviceName": "s", "taskDefinition": "web", "desiredCount": desired,
        "deploymentConfiguration": configuration });
    machine.call("CreateService", input);
}

fn service(machine: &Machine) -> Value {
    machine.call("DescribeServices", json!({ "services": ["s"] }))["services"][0].clone()
}

/// The service's tasks once it has settled on a revision of its task definition.
fn settled(machine: &Machine, revision: &str) -> BTreeSet<String> {
    wait_long_for(ROLLOUT, "the service has settled", || {
        let told = service(machine);
        let newest = &told["deployments"][0];
        let done = newest["rolloutState"] == "COMPLETED"
            && newest["taskDefinition"].as_str().is_some_and(|arn| arn.ends_with(revision))
            && told["deployments"].as_array().is_some_and(|all| all.len() == 1)
            && told["runningCount"] == told["desiredCount"];
        done.then_some(())
    });
    running(machine)
}

fn running(machine: &Machine) -> BTreeSet<String> {
    let listed = machine.call("ListTasks", json!({ "serviceName": "s" }));
    let arns = listed["taskArns"].as_array().unwrap().iter();
    let arns = arns.map(|arn| arn.as_str().unwrap().to_owned());
    arns.filter(|arn| machine.task(arn)["lastStatus"] == "RUNNING").collect()
}

fn events(machine: &Machine) -> String {
    service(machine)["events"].to_string()
}

#[test]
fn an_update_of_twenty_tasks_stays_within_its_bounds() {
    const DESIRED: usize = 20;
    let Some(machine) = Machine::start_with_room() else { return };
    define(&machine, "one");
    create(&machine, DESIRED, json!({ "minimumHealthyPercent": 90, "maximumPercent": 120 }));
    let before = settled(&machine, "web:1");
    assert_eq!(before.len(), DESIRED);
    define(&machine, "two");
    let begun = Instant::now();
    machine.call("UpdateService", json!({ "service": "s", "taskDefinition": "web" }));
    let after = settled(&machine, "web:2");
    eprintln!("an update of {DESIRED} tasks took {:.1} s", begun.elapsed().as_secs_f64());
    assert_eq!(after.len(), DESIRED);
    assert!(before.is_disjoint(&after));
    for (witness, seen) in [
        ("the journal", audit::journal(&machine, "s", DESIRED)),
        ("the containers", audit::containers(&machine, DESIRED)),
    ] {
        eprintln!("by {witness}: {seen:?}");
        assert!(seen.moments > 2 * DESIRED, "{witness}: {seen:?}");
        assert!(seen.least >= 18, "{witness}: {seen:?}");
        assert!(seen.most <= 24, "{witness}: {seen:?}");
    }
}

#[test]
fn a_broken_version_goes_back_by_itself() {
    for broken in [
        json!({ "command": ["/no/such/program"] }),
        json!({ "image": "127.0.0.1:1/none:1" }),
        json!({ "command": ["sh", "-c", "exit 3"] }),
    ] {
        let Some(machine) = Machine::start_with_room() else { return };
        define(&machine, "good");
        let breaker = json!({ "enable": true, "rollback": true });
        create(&machine, 4, json!({ "deploymentCircuitBreaker": breaker }));
        let before = settled(&machine, "web:1");
        let processes = machine.first_processes();
        machine.define("web", broken.clone(), json!({}));
        machine.call("UpdateService", json!({ "service": "s", "taskDefinition": "web" }));
        wait_long_for(ROLLOUT, "the breaker", || {
            events(&machine).contains("rolling back to deployment").then_some(())
        });
        assert_eq!(settled(&machine, "web:1"), before, "{broken}");
        for (arn, process) in machine.first_processes() {
            let known = before.contains(&arn).then(|| processes[&arn]);
            assert!(known.is_none_or(|known| known == process), "{arn} began again");
        }
        let history = machine.call("ListServiceDeployments", json!({ "service": "s" }));
        let newest = &history["serviceDeployments"][0];
        assert_eq!(newest["status"], "ROLLBACK_SUCCESSFUL", "{broken}: {history:#}");
        let seen = audit::journal(&machine, "s", 4);
        assert_eq!(seen.least, 4, "{broken}: {seen:?}");
    }
}

#[test]
fn a_killed_container_is_replaced() {
    let Some(machine) = Machine::start() else { return };
    define(&machine, "one");
    create(&machine, 2, json!({}));
    let before = settled(&machine, "web:1");
    let victim = before.first().unwrap();
    kill(machine.first_processes()[victim].0, Signal::KILL);
    let begun = Instant::now();
    let after = wait_for("another runs in its place", || {
        let after = running(&machine);
        (after.len() == 2 && !after.contains(victim)).then_some(after)
    });
    eprintln!("replaced after {:.0} ms", begun.elapsed().as_secs_f64() * 1000.0);
    assert_eq!(before.intersection(&after).count(), 1);
    let old = machine.task(victim);
    assert_eq!(old["stopCode"], "EssentialContainerExited", "{old:#}");
    assert_eq!(old["containers"][0]["exitCode"], 137, "{old:#}");

    // AWS: also while a newer version comes up, however it does.
    machine.define("web", json!({ "image": "127.0.0.1:1/none:1" }), json!({}));
    machine.call("UpdateService", json!({ "service": "s", "taskDefinition": "web" }));
    wait_for("the newer version fails", || {
        let failed = service(&machine)["deployments"][0]["failedTasks"].as_u64();
        failed.filter(|failed| *failed > 0)
    });
    let victim = after.first().unwrap();
    kill(machine.first_processes()[victim].0, Signal::KILL);
    let after = wait_for("one of its own kind takes its place", || {
        let after = running(&machine);
        (after.len() == 2 && !after.contains(victim)).then_some(after)
    });
    for arn in after {
        let definition = machine.task(&arn)["taskDefinitionArn"].clone();
        assert!(definition.as_str().unwrap().ends_with("/web:1"), "{definition}");
    }
}

#[test]
fn a_task_that_fails_its_health_checks_is_replaced() {
    let Some(machine) = Machine::start() else { return };
    let share = machine.folder("share");
    // Whoever comes first can be made sick by a file.
    let command = format!("mkdir /share/first && touch /tmp/first; {STAY}");
    let check = "test ! -e /tmp/first || test ! -e /share/sick";
    let app = json!({
        "command": ["sh", "-c", command],
        "healthCheck": { "command": ["CMD-SHELL", check], "interval": 5, "retries": 1 },
        "mountPoints": [{ "sourceVolume": "share", "containerPath": "/share" }],
    });
    let volumes = json!([{ "name": "share", "host": { "sourcePath": share } }]);
    machine.define("web", app, json!({ "volumes": volumes }));
    create(&machine, 2, json!({}));
    let before = settled(&machine, "web:1");
    assert!(before.iter().all(|arn| machine.task(arn)["healthStatus"] == "HEALTHY"));
    std::fs::write(share.join("sick"), "").unwrap();
    let after = wait_long_for(ROLLOUT, "another takes its place", || {
        let after = running(&machine);
        let healthy = after.iter().all(|arn| machine.task(arn)["healthStatus"] == "HEALTHY");
        (after.len() == 2 && after != before && healthy).then_some(after)
    });
    assert_eq!(before.intersection(&after).count(), 1);
    let old = machine.wait(before.difference(&after).next().unwrap(), "STOPPED");
    assert_eq!(old["stopCode"], "ServiceSchedulerInitiated", "{old:#}");
    assert_eq!(old["stoppedReason"], "Task failed container health checks", "{old:#}");
    assert!(events(&machine).contains("failed container health checks"));
    // AWS: the replacement comes first where there is room for it.
    let seen = audit::journal(&machine, "s", 2);
    assert_eq!(seen.least, 2, "{seen:?}");
}

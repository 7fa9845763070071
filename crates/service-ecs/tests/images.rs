//! One version of the software for a whole deployment: the first task tells what its images' names
//! mean, and the others run just that, wherever the names lead by then.

#![allow(clippy::unwrap_used)]

mod world;

use core_task::{ContainerReport, ContainerStatus, TaskReport, TaskStatus};
use core_types::Id128;
use serde_json::{Value, json};
use service_ecs::feeds;
use service_ecs::reports::TaskObserved;
use world::fleet::{Fate, Fleet};

fn digest(of: char) -> String {
    format!("sha256:{}", of.to_string().repeat(64))
}

/// A service of so many tasks of `web:1`.
fn service(fleet: &mut Fleet, desired: u32) {
    fleet.define_with("app", json!({"image": "web:1"}));
    fleet.create("s", json!({"taskDefinition": "app", "desiredCount": desired}));
}

fn newest(fleet: &Fleet) -> Vec<Id128> {
    let mut tasks = fleet.tasks("s");
    tasks.sort_by_key(|task| task.created_at);
    tasks.iter().map(|task| task.id).collect()
}

/// The only task that there is.
fn first(fleet: &Fleet) -> Id128 {
    let tasks = newest(fleet);
    assert_eq!(tasks.len(), 1, "it goes alone");
    tasks[0]
}

/// What a host says before it pulls.
fn tell(fleet: &mut Fleet, task: Id128, digest: &str) {
    tell_of(fleet, task, "web", digest);
}

fn tell_of(fleet: &mut Fleet, task: Id128, container: &str, digest: &str) {
    let told = json!({"containerName": container, "status": "MANIFEST_PULLED",
        "imageDigest": digest});
    let input = json!({"cluster": "c", "task": arn(task), "status": "MANIFEST_PULLED",
        "containers": [told]});
    fleet.world.call("SubmitTaskStateChange", input);
}

fn arn(task: Id128) -> String {
    format!("arn:aws:ecs:us-east-1:123456789012:task/c/{task}")
}

/// What a task's host is to run.
fn image(fleet: &Fleet, task: Id128) -> String {
    let state = fleet.world.core.state();
    let told = feeds::payload(state, task, "http://x", &mut |_| None).unwrap();
    told.containers[0].image.clone()
}

/// What a revision shows of its images.
fn shown(fleet: &mut Fleet, place: usize) -> Value {
    let listed =
        fleet.world.call("ListServiceDeployments", json!({"cluster": "c", "service": "s"}));
    let arn = &listed["serviceDeployments"][place]["targetServiceRevisionArn"];
    let input = json!({"serviceRevisionArns": [arn]});
    let found = fleet.world.call("DescribeServiceRevisions", input);
    found["serviceRevisions"][0]["containerImages"].clone()
}

#[test]
fn the_first_task_tells_what_the_others_run() {
    let mut fleet = Fleet::new(2);
    service(&mut fleet, 4);
    let one = first(&fleet);
    assert_eq!(image(&fleet, one), "web:1");
    assert_eq!(shown(&mut fleet, 0), json!([{"containerName": "web", "image": "web:1"}]));
    tell(&mut fleet, one, &digest('a'));
    let pinned = format!("web:1@{}", digest('a'));
    assert_eq!(fleet.counts("s"), (0, 4, 4));
    for task in newest(&fleet) {
        assert_eq!(image(&fleet, task), pinned);
    }
    let whole = json!([{"containerName": "web", "image": "web:1", "imageDigest": digest('a')}]);
    assert_eq!(shown(&mut fleet, 0), whole);
    fleet.settle();
    fleet.update("s", json!({"desiredCount": 6}));
    assert_eq!(fleet.counts("s"), (4, 2, 6));
    for task in newest(&fleet) {
        assert_eq!(image(&fleet, task), pinned);
    }
    // AWS: users see the image as they named it.
    let input = json!({"cluster": "c", "tasks": [arn(one)]});
    let told = fleet.world.call("DescribeTasks", input);
    let container = &told["tasks"][0]["containers"][0];
    assert_eq!(
        (&container["image"], &container["imageDigest"]),
        (&json!("web:1"), &json!(digest('a')))
    );
    fleet.world.survives_a_restart();
}

#[test]
fn the_first_word_stays_however_often_and_late_others_come() {
    let mut fleet = Fleet::new(2);
    service(&mut fleet, 2);
    let one = first(&fleet);
    tell(&mut fleet, one, &digest('a'));
    tell(&mut fleet, one, &digest('a'));
    tell(&mut fleet, one, &digest('b'));
    let other = newest(&fleet).into_iter().find(|task| *task != one).unwrap();
    tell(&mut fleet, other, &digest('c'));
    fleet.settle();
    tell(&mut fleet, other, &digest('d'));
    assert_eq!(shown(&mut fleet, 0)[0]["imageDigest"], json!(digest('a')));
    assert_eq!(image(&fleet, other), format!("web:1@{}", digest('a')));
}

#[test]
fn a_new_deployment_asks_anew_and_the_way_back_does_not() {
    let mut fleet = Fleet::new(2);
    let breaker = json!({"enable": true, "rollback": true});
    service(&mut fleet, 2);
    let one = first(&fleet);
    tell(&mut fleet, one, &digest('a'));
    fleet.settle();
    // Nothing is new: what is known of images is no difference.
    let more = json!({"deploymentConfiguration": {"deploymentCircuitBreaker": breaker}});
    fleet.update("s", more);
    assert_eq!(fleet.service("s")["deployments"].as_array().unwrap().len(), 1);

    fleet.update("s", json!({"forceNewDeployment": true}));
    let old: Vec<_> = newest(&fleet);
    let (one, rest) = old.split_last().unwrap();
    assert_eq!((rest.len(), image(&fleet, *one)), (2, "web:1".to_owned()));
    tell(&mut fleet, *one, &digest('b'));
    fleet.settle();
    let after = newest(&fleet);
    assert!(after.iter().all(|task| image(&fleet, *task) == format!("web:1@{}", digest('b'))));
    assert_eq!(shown(&mut fleet, 0)[0]["imageDigest"], json!(digest('b')));
    assert_eq!(shown(&mut fleet, 1)[0]["imageDigest"], json!(digest('a')));

    // A version that fails gives way to what was known to be good, tag or no tag.
    fleet.define_with("app", json!({"image": "web:2"}));
    fleet.fates.insert(2, Fate::NeverStarts);
    fleet.update("s", json!({"taskDefinition": "app:2"}));
    fleet.settle();
    assert_eq!(fleet.counts("s"), (2, 0, 2));
    fleet.update("s", json!({"desiredCount": 3}));
    for task in newest(&fleet) {
        assert_eq!(image(&fleet, task), format!("web:1@{}", digest('b')));
    }
}

#[test]
fn what_is_not_to_be_resolved_waits_for_nobody() {
    let pinned = format!("web:1@{}", digest('f'));
    for (more, expected, known) in [
        (json!({"image": "web:1", "versionConsistency": "disabled"}), "web:1", None),
        (json!({"image": pinned}), &*pinned, Some(digest('f'))),
    ] {
        let mut fleet = Fleet::new(2);
        fleet.define_with("app", more);
        fleet.create("s", json!({"taskDefinition": "app", "desiredCount": 3}));
        let tasks = newest(&fleet);
        assert_eq!(tasks.len(), 3);
        tell(&mut fleet, tasks[0], &digest('a'));
        assert_eq!(image(&fleet, tasks[1]), expected);
        assert_eq!(shown(&mut fleet, 0)[0]["imageDigest"], json!(known));
    }
}

#[test]
fn every_container_that_is_enabled_has_its_digest() {
    let mut fleet = Fleet::new(2);
    let container = |name: &str, how: &str| json!({"name": name, "image": "i", "memory": 16, "versionConsistency": how});
    let all = [("a", "enabled"), ("b", "disabled"), ("c", "enabled")];
    let all = all.map(|(name, how)| container(name, how));
    let input = json!({"family": "app", "containerDefinitions": all});
    fleet.world.call("RegisterTaskDefinition", input);
    fleet.create("s", json!({"taskDefinition": "app", "desiredCount": 2}));
    let one = first(&fleet);
    tell_of(&mut fleet, one, "b", &digest('b'));
    tell_of(&mut fleet, one, "c", &digest('c'));
    assert_eq!(first(&fleet), one);
    tell_of(&mut fleet, one, "a", &digest('a'));
    let other = newest(&fleet).into_iter().find(|task| *task != one).unwrap();
    let told = feeds::payload(fleet.world.core.state(), other, "http://x", &mut |_| None).unwrap();
    let images: Vec<_> = told.containers.iter().map(|one| one.image.clone()).collect();
    assert_eq!(images, [format!("i@{}", digest('a')), "i".into(), format!("i@{}", digest('c'))]);
}

#[test]
fn a_host_that_tells_no_digests_holds_nobody_up() {
    let mut fleet = Fleet::new(2);
    service(&mut fleet, 3);
    let one = first(&fleet);
    // What is no digest is shown as it was told, and goes no further.
    tell(&mut fleet, one, "sha256:aa; rm");
    assert_eq!(first(&fleet), one);
    fleet.observe(one, TaskStatus::Running);
    let tasks = newest(&fleet);
    assert_eq!(tasks.len(), 3);
    // AWS: without a digest the deployment goes on by the name, all of it.
    tell(&mut fleet, tasks[2], &digest('a'));
    assert!(tasks.iter().all(|task| image(&fleet, *task) == "web:1"));
    assert_eq!(shown(&mut fleet, 0)[0]["imageDigest"], json!(null));
}

#[test]
fn the_word_of_a_task_that_runs_already_is_taken() {
    let mut fleet = Fleet::new(2);
    service(&mut fleet, 2);
    let one = first(&fleet);
    let digest = digest('a');
    let container = ContainerReport {
        name: "web",
        status: ContainerStatus::Running,
        image_digest: Some(Box::leak(digest.clone().into_boxed_str())),
        ..Default::default()
    };
    let report = TaskReport {
        status: Some(TaskStatus::Running),
        containers: vec![container],
        ..Default::default()
    };
    fleet.world.report(TaskObserved { task: one, report });
    assert_eq!(shown(&mut fleet, 0)[0]["imageDigest"], json!(digest));
    assert_eq!(newest(&fleet).len(), 2);
}

#[test]
fn three_attempts_are_enough() {
    for breaker in [false, true] {
        let mut fleet = Fleet::new(2);
        service(&mut fleet, 20);
        let one = first(&fleet);
        tell(&mut fleet, one, &digest('a'));
        fleet.settle();
        fleet.define_with("app", json!({"image": "web:2"}));
        fleet.fates.insert(2, Fate::Hangs);
        let breaker = json!({"enable": breaker, "rollback": breaker});
        let configuration = json!({"deploymentCircuitBreaker": breaker});
        fleet.update(
            "s",
            json!({"taskDefinition": "app:2",
            "deploymentConfiguration": configuration}),
        );
        for attempt in 0..3 {
            let own = || fleet.tasks("s").into_iter().filter(|task| task.revision == 2);
            let own: Vec<_> = own().map(|task| task.id).collect();
            assert_eq!(own.len(), 1, "attempt {attempt}");
            fleet.observe(own[0], TaskStatus::Stopped);
            // AWS: what fails again and again is started again less and less often.
            fleet.world.pass(std::time::Duration::from_secs(600));
        }
        let tries = fleet.tasks("s").into_iter().filter(|task| task.revision == 2).count();
        let state = &fleet.service("s")["deployments"][0];
        if breaker["enable"] == true {
            // AWS: the breaker does not wait for half of the desired count.
            assert!(state["taskDefinition"].as_str().unwrap().ends_with("app:1"), "{state}");
            assert_eq!(tries, 0);
        } else {
            assert_eq!(state["rolloutState"], "IN_PROGRESS");
            assert_eq!(tries, 12, "what two hosts have room for");
        }
    }
}

#[test]
fn nobody_waits_for_an_agent_that_is_too_old_to_tell() {
    for (version, alone) in
        [("1.69.0", false), ("", false), ("?", false), ("1.70.0", true), ("2.0.1", true)]
    {
        let mut fleet = Fleet::new(0);
        fleet.agents = version;
        fleet.add_host();
        service(&mut fleet, 3);
        let tasks = newest(&fleet);
        assert_eq!(tasks.len(), if alone { 1 } else { 3 }, "{version}");
        // What it tells after all holds for those that come later.
        tell(&mut fleet, tasks[0], &digest('a'));
        fleet.update("s", json!({"desiredCount": 4}));
        assert_eq!(image(&fleet, newest(&fleet)[3]), format!("web:1@{}", digest('a')));
    }
}

#[test]
fn the_first_of_a_daemon_goes_where_there_is_room() {
    let mut fleet = Fleet::new(3);
    fleet.define_with("app", json!({"image": "web:1"}));
    fleet.define_with("full", json!({"image": "full:1", "memory": 1000}));
    for (full, host) in fleet.hosts.clone().into_iter().enumerate() {
        let input = json!({"cluster": "c", "taskDefinition": "full",
            "containerInstances": [host.to_string()]});
        let filler = fleet.world.call("StartTask", input)["tasks"][0]["taskArn"].clone();
        let name = format!("d{full}");
        let daemon = json!({"taskDefinition": "app", "schedulingStrategy": "DAEMON",
            "desiredCount": null});
        fleet.create(&name, daemon);
        fleet.settle();
        assert_eq!(fleet.tasks(&name).len(), 2, "all but the full one: {:?}", fleet.events(&name));
        fleet.world.call("StopTask", json!({"cluster": "c", "task": filler}));
        fleet.world.call("DeleteService", json!({"cluster": "c", "service": name, "force": true}));
        fleet.settle();
    }
    fleet.world.survives_a_restart();
}

//! The agent against a control plane that repeats itself, falls silent, breaks off, talks nonsense or
//! is of an older generation: no task is lost, none runs twice, and what was not heard is told again.

use serde_json::{Value, json};

use crate::world::plane::{CLUSTER, INSTANCE, Plane, Socket, arn, payload, task, text_frame};
use crate::world::{Elsewhere, is_root, output_of, wait_for};

/// Sequence numbers: a generation above, a counter below.
const fn number(generation: i64, counter: i64) -> i64 {
    generation << 32 | counter
}

/// An agent elsewhere and a plane for it.
struct Stage {
    elsewhere: Elsewhere,
    plane: Option<Plane>,
    address: String,
    dir: std::path::PathBuf,
    /// Seconds after which the agent gives up a silent plane.
    silence: &'static str,
}

impl Stage {
    fn new() -> Option<Stage> {
        Stage::impatient("60")
    }

    fn impatient(silence: &'static str) -> Option<Stage> {
        let mut stage = Stage::empty()?;
        stage.silence = silence;
        let plane = Plane::start(&stage.address);
        stage.address = plane.address().to_owned();
        stage.plane = Some(plane);
        stage.start();
        Some(stage)
    }

    /// Without a plane, and without an agent.
    fn empty() -> Option<Stage> {
        if !is_root() {
            eprintln!("skipped: hosts need root");
            return None;
        }
        let mut elsewhere = Elsewhere::new();
        let dir = elsewhere.dir();
        let address = format!("{}:0", elsewhere.here);
        Some(Stage { elsewhere, plane: None, address, dir, silence: "60" })
    }

    fn start(&mut self) {
        let url = format!("http://{}", self.address);
        let dir = self.dir.to_str().unwrap();
        let words = ["--endpoint", &url, "--data-dir", dir, "--silence", self.silence];
        let keys = [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "secret")];
        self.elsewhere.agent("ECS_CLUSTER=default\n", &words, &keys);
    }

    fn plane(&self) -> &Plane {
        self.plane.as_ref().unwrap()
    }

    fn begun(&self, id: u32) -> usize {
        output_of(&self.dir, &arn(id), "app").matches("begun").count()
    }

    fn wait_running(&self, id: u32) {
        self.plane().wait_told(&arn(id), "RUNNING");
        // It runs before it says so.
        wait_for("the container speaks", || (self.begun(id) > 0).then_some(()));
        assert_eq!(self.begun(id), 1);
    }

    /// Stops a task over a socket, and waits for its end.
    fn end(&self, socket: &mut Socket, sequence: i64, id: u32) {
        socket.payload(&format!("stop-{id}"), sequence, &[task(id, "STOPPED")]);
        self.plane().wait_told(&arn(id), "STOPPED");
    }
}

#[test]
fn a_payload_that_comes_often_runs_once() {
    let Some(mut stage) = Stage::new() else { return };
    let mut socket = stage.plane().socket();
    assert!(socket.query.contains("sendCredentials=true"), "{}", socket.query);
    let one = task(1, "RUNNING");
    for nth in 0..3 {
        socket.payload(&format!("p{nth}"), number(1, 1), &[one.clone(), one.clone()]);
        socket.payload("same", number(1, 1), std::slice::from_ref(&one));
    }
    for id in ["p0", "p1", "p2", "same"] {
        wait_for("each is acknowledged", || socket.is_acked(id).then_some(()));
    }
    stage.wait_running(1);
    // Over another connection it is still the same task.
    socket.cut();
    let mut socket = stage.plane().socket();
    assert!(socket.query.contains("sendCredentials=false"), "{}", socket.query);
    assert!(socket.query.contains(&format!("seqNum={}", number(1, 1))), "{}", socket.query);
    socket.payload("again", number(1, 2), &[one]);
    socket.wait("AckRequest", "again");
    stage.end(&mut socket, number(1, 3), 1);
    // Its end is told and its memory let go; whoever names it again does not make it a new one.
    socket.payload("late", number(1, 4), &[task(1, "RUNNING")]);
    socket.wait("AckRequest", "late");
    stage.elsewhere.kill();
    stage.start();
    let mut socket = stage.plane().socket();
    socket.payload("later", number(1, 5), &[task(1, "RUNNING")]);
    socket.wait("AckRequest", "later");
    socket.payload("stop again", number(1, 6), &[task(1, "STOPPED")]);
    socket.wait("AckRequest", "stop again");
    // One more task, so that what the others might have begun would be seen.
    socket.payload("next", number(1, 7), &[task(2, "RUNNING")]);
    stage.wait_running(2);
    assert_eq!(stage.begun(1), 1);
    assert_eq!(stage.plane().told(&arn(1)), ["RUNNING", "STOPPED"]);
    stage.end(&mut socket, number(1, 8), 2);
}

#[test]
fn an_older_generation_is_not_obeyed() {
    let Some(mut stage) = Stage::new() else { return };
    let mut socket = stage.plane().socket();
    socket.payload("new", number(7, 1), &[task(1, "RUNNING")]);
    socket.wait("AckRequest", "new");
    stage.wait_running(1);
    let refused = |socket: &mut Socket| {
        socket.payload("old", number(6, 900), &[task(2, "RUNNING"), task(1, "STOPPED")]);
        let none: [Value; 0] = [];
        socket.send(
            "TaskManifestMessage",
            json!({ "messageId": "old", "clusterArn": CLUSTER, "containerInstanceArn": INSTANCE,
                "generatedAt": 1, "timeline": number(6, 901), "tasks": none }),
        );
        socket.heartbeat("beat");
    };
    refused(&mut socket);
    assert!(!socket.is_acked("old"));
    // Also after the agent's own end: it is written down.
    stage.elsewhere.kill();
    stage.start();
    let mut socket = stage.plane().socket();
    assert!(socket.query.contains(&format!("seqNum={}", number(7, 1))), "{}", socket.query);
    refused(&mut socket);
    assert!(!socket.is_acked("old"));
    // What the leader says holds.
    stage.end(&mut socket, number(7, 2), 1);
    assert_eq!(stage.plane().told(&arn(1)), ["RUNNING", "STOPPED"]);
    assert!(stage.plane().told(&arn(2)).is_empty());
    assert_eq!(stage.begun(2), 0);
}

#[test]
fn silence_and_a_pulled_cable_end_in_another_connection() {
    let Some(stage) = Stage::impatient("1") else { return };
    let mut socket = stage.plane().socket();
    socket.payload("p", number(1, 1), &[task(1, "RUNNING")]);
    stage.wait_running(1);
    // The plane lives and says nothing more.
    socket.wait_ended();
    let mut next = stage.plane().socket();
    next.heartbeat("b1");
    // The other end is gone without a word: only silence tells.
    stage.elsewhere.link(false);
    wait_for("the agent notices", || {
        stage.elsewhere.said().contains("cannot be reached").then_some(())
    });
    stage.elsewhere.link(true);
    let mut socket = loop {
        // One of those that were dialled meanwhile answers.
        let mut socket = stage.plane().socket();
        if !stage.plane().dialled() {
            socket.heartbeat("b2");
            break socket;
        }
    };
    stage.end(&mut socket, number(1, 2), 1);
    assert_eq!(stage.begun(1), 1);
}

#[test]
fn a_message_that_breaks_off_is_taken_when_it_comes_whole() {
    let Some(stage) = Stage::new() else { return };
    let whole = json!({ "type": "PayloadMessage",
        "message": payload("p", number(1, 1), &[task(1, "RUNNING")]) });
    let bytes = text_frame(&whole.to_string());
    for cut in [1, 3, bytes.len() / 2, bytes.len() - 1] {
        let mut socket = stage.plane().socket();
        socket.raw(&bytes[..cut]);
        socket.cut();
        socket.wait_ended();
        assert!(!socket.is_acked("p"));
    }
    // Whole, and gone before the acknowledgement can be read.
    let mut socket = stage.plane().socket();
    socket.raw(&bytes);
    socket.cut();
    let mut socket = stage.plane().socket();
    socket.raw(&bytes);
    socket.wait("AckRequest", "p");
    stage.wait_running(1);
    stage.end(&mut socket, number(1, 2), 1);
    assert_eq!(stage.plane().told(&arn(1)), ["RUNNING", "STOPPED"]);
}

#[test]
fn nonsense_is_passed_over() {
    let Some(stage) = Stage::new() else { return };
    let mut socket = stage.plane().socket();
    socket.send("WeatherMessage", json!({ "messageId": "w", "rain": true }));
    for text in ["", "{", "[]", "null", "{\"type\":7}", "{\"type\":\"PayloadMessage\"}", "\u{0}"] {
        socket.text(text);
    }
    socket.send("PayloadMessage", json!({ "messageId": "bad", "tasks": "none" }));
    socket.send("PayloadMessage", json!({ "messageId": "bad", "seqNum": number(1, 1) }));
    let mut foreign = payload("bad", number(1, 1), &[task(1, "RUNNING")]);
    foreign["containerInstanceArn"] = json!(INSTANCE.replace("0123", "3210"));
    socket.send("PayloadMessage", foreign);
    socket.send("IAMRoleCredentialsMessage", json!({ "messageId": "bad", "taskArn": arn(9) }));
    socket.send(
        "TaskStopVerificationAck",
        json!({ "messageId": "x",
        "stopTasks": [{ "taskArn": arn(9) }] }),
    );
    // AWS: an agent that does not update itself says so.
    socket.send("StageUpdateMessage", json!({ "messageId": "update" }));
    socket.wait("NackRequest", "update");
    // A binary frame, and a ping.
    socket.raw(&[0x82, 3, 1, 2, 3]);
    socket.raw(&[0x89, 0]);
    socket.heartbeat("beat");
    assert!(!socket.is_acked("bad"));
    assert!(!stage.plane().dialled(), "the connection stands");

    // What is no websocket any more ends this connection, and no more than that.
    for bytes in [
        // A text that is not UTF-8, a reserved opcode, a reserved bit.
        vec![0x81, 2, 0xff, 0xfe],
        vec![0x83, 0],
        vec![0xf1, 0],
        // A frame of a tebibyte.
        [&[0x81, 127][..], &(1u64 << 40).to_be_bytes()].concat(),
        // A frame that is continued and was never begun.
        vec![0x80, 1, b'x'],
    ] {
        socket.raw(&bytes);
        socket.wait_ended();
        socket = stage.plane().socket();
        socket.heartbeat("alive");
    }
    socket.payload("p", number(1, 1), &[task(1, "RUNNING")]);
    stage.wait_running(1);
    // A task that does not read stops with that as its reason.
    let mut odd = task(2, "RUNNING");
    odd["containers"][0]["dockerConfig"]["config"] = json!("{");
    socket.payload("odd", number(1, 2), &[odd]);
    stage.plane().wait_told(&arn(2), "STOPPED");
    stage.end(&mut socket, number(1, 3), 1);
    assert!(stage.plane().told(&arn(9)).is_empty());
}

#[test]
fn reports_that_were_not_heard_are_told_again() {
    let Some(mut stage) = Stage::new() else { return };
    let mut socket = stage.plane().socket();
    // Heard, and the answer never arrives: told until it does.
    stage.plane().ignore(Some("SubmitTaskStateChange"));
    socket.payload("p", number(1, 1), &[task(1, "RUNNING")]);
    wait_for("it is told three times", || (stage.plane().told(&arn(1)).len() >= 3).then_some(()));
    let told = stage.plane().told(&arn(1));
    assert!(told.iter().all(|status| status == "RUNNING"), "one after the other: {told:?}");
    stage.plane().ignore(None);
    let before = stage.plane().told(&arn(1)).len();
    wait_for("it is heard", || (stage.plane().told(&arn(1)).len() > before).then_some(()));

    // It ends while the plane is away and the agent too: the next plane hears of it.
    socket.payload("stop", number(1, 2), &[task(1, "STOPPED")]);
    socket.wait("AckRequest", "stop");
    stage.plane().ignore(Some("SubmitTaskStateChange"));
    stage.plane().wait_told(&arn(1), "STOPPED");
    drop(stage.plane.take());
    stage.elsewhere.kill();
    stage.start();
    stage.plane = Some(Plane::start(&stage.address));
    stage.plane().wait_told(&arn(1), "STOPPED");
    let call = stage.plane().calls("SubmitTaskStateChange").pop().unwrap();
    assert_eq!(call["containers"][0]["exitCode"], 0, "{call}");
    assert_eq!(stage.plane().told(&arn(1)), ["STOPPED"]);
    assert_eq!(stage.begun(1), 1);
}

#[test]
fn tasks_go_on_while_the_plane_is_away() {
    let Some(mut stage) = Stage::empty() else { return };
    // Nobody is there when the agent starts. The port is one that was free a moment ago.
    let plane = Plane::start(&stage.address);
    stage.address = plane.address().to_owned();
    drop(plane);
    stage.start();
    wait_for("it tries", || stage.elsewhere.said().contains("not registered yet").then_some(()));
    stage.plane = Some(Plane::start(&stage.address));
    let mut socket = stage.plane().socket();
    socket.payload("p", number(1, 1), &[task(1, "RUNNING"), task(2, "RUNNING")]);
    stage.wait_running(1);
    stage.wait_running(2);
    drop(stage.plane.take());
    // The agent ends as well; containers stay.
    stage.elsewhere.kill();
    stage.start();
    stage.plane = Some(Plane::start(&stage.address));
    let mut socket = stage.plane().socket();
    let registered = &stage.plane().calls("RegisterContainerInstance")[0];
    assert_eq!(registered["containerInstanceArn"], INSTANCE, "the same host: {registered}");
    for id in [1, 2] {
        stage.end(&mut socket, number(1, 2), id);
        assert_eq!(stage.begun(id), 1);
        let told = stage.plane().told(&arn(id));
        assert_eq!(told.iter().filter(|status| *status == "STOPPED").count(), 1, "{told:?}");
    }
}

#[test]
fn what_no_manifest_names_stops_only_when_it_is_confirmed() {
    let Some(stage) = Stage::new() else { return };
    let mut socket = stage.plane().socket();
    socket.payload("p", number(1, 1), &[task(1, "RUNNING"), task(2, "RUNNING")]);
    stage.wait_running(1);
    stage.wait_running(2);
    let known = json!([{ "taskArn": arn(1), "taskClusterArn": CLUSTER,
        "desiredStatus": "RUNNING" }]);
    let manifest = |id: &str, timeline: i64| {
        json!({ "messageId": id, "clusterArn": CLUSTER, "containerInstanceArn": INSTANCE,
            "generatedAt": 1, "timeline": timeline, "tasks": known })
    };
    // AWS: one that is not newer is dropped in silence.
    socket.send("TaskManifestMessage", manifest("stale", number(1, 1)));
    socket.send("TaskManifestMessage", manifest("m1", number(1, 2)));
    socket.wait("AckRequest", "m1");
    let asked = socket.wait("TaskStopVerificationMessage", "m1");
    assert_eq!(
        asked["stopCandidates"],
        json!([{ "taskArn": arn(2), "taskClusterArn": CLUSTER,
        "desiredStatus": "STOPPED" }])
    );
    assert!(!socket.is_acked("stale"));
    // Nobody confirms: it goes on.
    socket.heartbeat("beat");
    assert_eq!(stage.plane().told(&arn(2)), ["RUNNING"]);
    socket.send("TaskManifestMessage", manifest("m2", number(1, 3)));
    let asked = socket.wait("TaskStopVerificationMessage", "m2");
    socket.send(
        "TaskStopVerificationAck",
        json!({ "messageId": "m2", "generatedAt": 1, "stopTasks": asked["stopCandidates"] }),
    );
    stage.plane().wait_told(&arn(2), "STOPPED");
    assert_eq!(stage.plane().told(&arn(1)), ["RUNNING"]);
    stage.end(&mut socket, number(1, 4), 1);
}

#[test]
fn what_shall_run_and_nobody_remembers_is_told_to_have_ended() {
    let Some(stage) = Stage::new() else { return };
    let mut socket = stage.plane().socket();
    socket.payload("p", number(1, 1), &[task(1, "RUNNING")]);
    stage.wait_running(1);
    let named = |id: u32, desired: &str| json!({ "taskArn": arn(id), "taskClusterArn": CLUSTER, "desiredStatus": desired });
    socket.send(
        "TaskManifestMessage",
        json!({ "messageId": "m", "clusterArn": CLUSTER, "containerInstanceArn": INSTANCE,
            "generatedAt": 1, "timeline": number(1, 2),
            "tasks": [named(1, "RUNNING"), named(2, "RUNNING"), named(3, "STOPPED")] }),
    );
    socket.wait("AckRequest", "m");
    stage.plane().wait_told(&arn(2), "STOPPED");
    let calls = stage.plane().calls("SubmitTaskStateChange");
    let told = calls.iter().find(|call| call["task"] == arn(2)).unwrap();
    assert_eq!(told["reason"], "ContainerVanishedError: No container matching saved ID found");
    assert_eq!(told["cluster"], CLUSTER);
    // What it has goes on, and of what shall not run nothing need be said.
    assert_eq!(stage.plane().told(&arn(1)), ["RUNNING"]);
    assert!(stage.plane().told(&arn(3)).is_empty());
    stage.end(&mut socket, number(1, 3), 1);
    assert_eq!(stage.plane().told(&arn(2)), ["STOPPED"]);
}

#[test]
fn a_deregistered_host_stays_away_and_its_tasks_go_on() {
    let Some(stage) = Stage::new() else { return };
    let mut socket = stage.plane().socket();
    socket.payload("p", number(1, 1), &[task(1, "RUNNING")]);
    stage.wait_running(1);
    socket.send("InactiveInstanceException", json!({ "message": "deregistered" }));
    socket.wait_ended();
    wait_for("it says so", || stage.elsewhere.said().contains("deregistered").then_some(()));
    assert!(!stage.plane().dialled());
    assert_eq!(stage.plane().told(&arn(1)), ["RUNNING"]);
}

/// The API takes no attempt period below a minute; what the agent does with one is the same.
#[test]
fn a_restart_is_the_same_container() {
    let Some(stage) = Stage::new() else { return };
    let script = "echo run >> /tmp/runs; echo $(wc -l < /tmp/runs) runs; \
                  [ $(wc -l < /tmp/runs) = 2 ] && \
                  { wget -qO- $ECS_CONTAINER_METADATA_URI_V4; exit 7; }; \
                  sleep 1.5; exit 3";
    let mut restarts = task(1, "RUNNING");
    restarts["containers"][0]["command"] = json!(["sh", "-c", script]);
    restarts["containers"][0]["restartPolicy"] =
        json!({ "enabled": true, "ignoredExitCodes": [7], "restartAttemptPeriod": 1 });
    stage.plane().socket().payload("p", number(1, 1), &[restarts]);
    stage.plane().wait_told(&arn(1), "STOPPED");
    // What the first run wrote was there, and a code that is to be ignored ended it.
    let call = stage.plane().calls("SubmitTaskStateChange").pop().unwrap();
    assert_eq!(call["containers"][0]["exitCode"], 7, "{call}");
    let output = output_of(&stage.dir, &arn(1), "app");
    for said in ["1 runs\n", "2 runs\n", "\"RestartCount\":1"] {
        assert!(output.contains(said), "{output}");
    }
}

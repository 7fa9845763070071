//! What an image says where the definition does not.

use serde_json::json;

use super::{Case, case, container, part, run};
use crate::world::Machine;

const RECIPE: &str = r#"
from = "busybox:latest"
copy = [{ from = "data", to = "/data" }]
entrypoint = ["sh", "-c", "echo $0 $GREETING; pwd; id -un; cat /data/note; touch /data/new && echo wrote"]
cmd = ["of-the-image"]
env = { GREETING = "hello", AWS_REGION = "image-1" }
workdir = "/data"
user = "web"
volumes = ["/data"]
expose = [80]
"#;

pub fn cases(machine: &Machine) -> Vec<Case> {
    let folder = machine.folder("image");
    std::fs::create_dir(folder.join("data")).unwrap();
    std::fs::write(folder.join("data/note"), "from the image\n").unwrap();
    machine.build(&folder, RECIPE, "defaults:latest");
    let of_image = |mut whole: Case| {
        whole.container["image"] = json!("defaults:latest");
        if whole.container["command"][2] == "" {
            whole.container.as_object_mut().unwrap().remove("command");
        }
        whole
    };
    vec![
        of_image(case(
            "image",
            "",
            json!({}),
            &["of-the-image hello\n", "/data\n", "web\n", "from the image\n"],
        )),
        of_image(case(
            "image-overridden",
            "",
            json!({
                "command": ["of-the-task"],
                "environment": [{ "name": "GREETING", "value": "good day" }],
                "workingDirectory": "/tmp",
                "user": "root",
            }),
            &["of-the-task good day\n", "/tmp\n", "root\n", "wrote\n"],
        )),
        of_image(case(
            "entry-point-alone",
            "",
            // AWS: an entry point of the definition drops the image's command.
            json!({ "entryPoint": ["sh", "-c", "echo [$0] [$1]", "zero"], "command": [] }),
            &["[zero] []\n"],
        )),
    ]
}

pub fn a_digest_names_an_image(machine: &Machine) {
    let arn = run(machine, "by-tag", json!([container("app", "true", json!({}))]), json!({}));
    let task = machine.wait(&arn, "STOPPED");
    let digest = part(&task, "app")["imageDigest"].as_str().unwrap().to_owned();
    let nobodys = format!("sha256:{}", "0".repeat(64));
    for (family, image, found) in [
        ("by-digest", format!("busybox@{digest}"), true),
        ("by-both", format!("busybox:latest@{digest}"), true),
        ("by-digest-alone", format!("busybox:another@{digest}"), true),
        ("by-none", format!("127.0.0.1:1/busybox:latest@{nobodys}"), false),
    ] {
        let app = container("app", "echo here", json!({ "image": image }));
        let arn = run(machine, family, json!([app]), json!({}));
        let task = machine.wait(&arn, "STOPPED");
        let app = part(&task, "app");
        assert_eq!(app["image"], image, "{task:#}");
        if found {
            assert_eq!(machine.output(&arn, "app"), "here\n", "{task:#}");
            assert_eq!(app["imageDigest"], digest, "{task:#}");
        } else {
            let reason = app["reason"].as_str().unwrap();
            assert!(reason.starts_with("CannotPullContainerError: "), "{task:#}");
        }
    }
}

pub fn a_stop_signal_is_the_images(machine: &Machine) {
    let folder = machine.folder("signal");
    let recipe = "from = \"busybox:latest\"\nstop_signal = \"SIGUSR1\"\ncopy = []\n";
    std::fs::write(folder.join("x"), "").unwrap();
    machine.build(&folder, recipe, "signal:latest");
    let script = "trap 'echo usr1; exit 5' USR1; echo ready; while true; do sleep 0.1; done";
    let app = container("app", script, json!({ "image": "signal:latest" }));
    let arn = run(machine, "signal", json!([app]), json!({}));
    machine.says(&arn, "app", "ready");
    machine.call("StopTask", json!({ "task": arn }));
    let task = machine.wait(&arn, "STOPPED");
    assert_eq!(part(&task, "app")["exitCode"], 5, "{task:#}");
}

//! What the process is given: words, names, users, rights, a terminal.

use serde_json::json;

use super::{Case, case};

/// Whether this machine has every right that its kernel knows.
pub fn has_all_rights() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let last = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap();
    let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap();
    let bounding = u64::from_str_radix(bounding.trim(), 16).unwrap();
    bounding == (2 << last.trim().parse::<u32>().unwrap()) - 1
}

/// Docker's default of fourteen capabilities is 00000000a80425fb.
pub fn cases() -> Vec<Case> {
    let linux = |parameters: serde_json::Value| json!({ "linuxParameters": parameters });
    let rights = "grep -E 'CapEff|CapBnd' /proc/self/status";
    vec![
        case(
            "words",
            "",
            json!({ "entryPoint": ["echo", "first"], "command": ["second", "$HOME"] }),
            &["first second $HOME\n"],
        ),
        case(
            "environment",
            "env",
            json!({ "environment": [
                { "name": "GREETING", "value": "hello world" },
                { "name": "AWS_DEFAULT_REGION", "value": "eu-north-1" },
            ] }),
            &[
                "GREETING=hello world\n",
                "AWS_REGION=us-east-1\n",
                "AWS_DEFAULT_REGION=eu-north-1\n",
                "AWS_ENDPOINT_URL=http://10.|AWS_ENDPOINT_URL=http://198.18.",
                "AWS_DISABLE_HOST_PREFIX_INJECTION=true\n",
                "ECS_CONTAINER_METADATA_URI_V4=http://169.254.170.2/v4/",
                "AWS_EXECUTION_ENV=AWS_ECS_EC2\n",
            ],
        ),
        case(
            "names",
            "hostname; cat /etc/hosts /etc/resolv.conf",
            json!({
                "hostname": "cargo",
                "extraHosts": [{ "hostname": "db", "ipAddress": "192.0.2.7" }],
                "dnsServers": ["192.0.2.53"],
                "dnsSearchDomains": ["example.test"],
            }),
            &["cargo\n", "192.0.2.7\tdb\n", "nameserver 192.0.2.53\n", "search example.test\n"],
        ),
        case(
            "user",
            "id; pwd",
            json!({ "user": "web", "workingDirectory": "/srv/new" }),
            &["uid=33(web)", "/srv/new\n"],
        ),
        case("user-by-number", "id", json!({ "user": "7:8" }), &["uid=7 gid=8"]),
        case(
            "unprivileged",
            &format!("{rights}; mkdir /m; mount -t tmpfs none /m || echo refused"),
            json!({}),
            &["CapEff:\t00000000a80425fb", "CapBnd:\t00000000a80425fb", "refused\n"],
        ),
        case(
            "privileged",
            "mkdir /m; mount -t tmpfs none /m && echo mounted; ls /dev",
            json!({ "privileged": true }),
            &["mounted\n", "kmsg\n"],
        ),
        case(
            "capabilities",
            rights,
            linux(json!({ "capabilities": { "add": ["SYS_TIME"], "drop": ["CHOWN"] } })),
            &["CapEff:\t00000000aa0425fa", "CapBnd:\t00000000aa0425fa"],
        ),
        case(
            "capabilities-none",
            rights,
            linux(json!({ "capabilities": { "drop": ["ALL"] } })),
            &["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"],
        ),
        case(
            "init",
            "cat /proc/1/comm; echo $$",
            linux(json!({ "initProcessEnabled": true })),
            &["docker-init\n"],
        ),
        case("no-init", "echo pid $$", json!({}), &["pid 1\n"]),
        case(
            "security-options",
            "grep NoNewPrivs /proc/self/status",
            json!({ "dockerSecurityOptions": ["no-new-privileges"] }),
            &["NoNewPrivs:\t1"],
        ),
        case(
            "no-security-options",
            "grep NoNewPrivs /proc/self/status; grep Seccomp: /proc/self/status",
            json!({}),
            &["NoNewPrivs:\t0", "Seccomp:\t2"],
        ),
        case(
            "interactive",
            "readlink /proc/self/fd/0",
            json!({ "interactive": true }),
            &["pipe:["],
        ),
        case("not-interactive", "readlink /proc/self/fd/0", json!({}), &["/dev/null\n"]),
        case(
            "terminal",
            "tty; echo $TERM",
            json!({ "pseudoTerminal": true }),
            &["/dev/pts/0", "xterm"],
        ),
        case("no-terminal", "tty", json!({}), &["not a tty\n"]),
        case(
            "labels",
            "wget -qO- $ECS_CONTAINER_METADATA_URI_V4",
            json!({ "dockerLabels": { "team": "cargo" } }),
            &["\"team\":\"cargo\"", "\"com.amazonaws.ecs.task-definition-family\":\"labels\""],
        ),
    ]
}

//! Journals that older wharfs wrote, kept in `stored/`: each release must open them and find what
//! is in them.
//!
//! A folder there is `journal/` (a snapshot and the segments after it) and
//! `asked.json`, requests with the answers of the time. Today's answers may hold more members, but
//! every old one must still be there. `WHARF_STORE_JOURNAL=NAME cargo test -p wharf --test server
//! stored` writes a new folder with today's format; CONTRIBUTING tells when.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::world::{Client, Home, Server, run, text, wait_for};

const KEY: (&str, &str) = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/stored")
}

fn start(home: &Home) -> Server {
    Server::start(&home.dir(), &["--snapshot-after", "4096"], |command| {
        command.env("WHARF_ROOT_ACCESS_KEY_ID", KEY.0);
        command.env("WHARF_ROOT_SECRET_ACCESS_KEY", KEY.1);
    })
}

fn ask(client: &Client, operation: &str, body: &Value) -> Value {
    let answer = client.call(operation, &body.to_string());
    assert_eq!(answer.status, 200, "{operation} {body}: {}", answer.text);
    answer.json()
}

fn iam(client: &Client, form: &str) -> String {
    let answer = client.iam(form);
    assert_eq!(answer.status, 200, "{form}: {}", answer.text);
    answer.text
}

/// What an old journal was asked when it was new. Nothing that is forgotten with time.
fn questions() -> Vec<(&'static str, Value)> {
    let arn = "arn:aws:ecs:us-east-1:123456789012:cluster/shop";
    vec![
        ("ListClusters", json!({})),
        (
            "DescribeClusters",
            json!({"clusters": ["shop"], "include": ["SETTINGS", "CONFIGURATIONS"]}),
        ),
        ("ListTagsForResource", json!({"resourceArn": arn})),
        ("DescribeTaskDefinition", json!({"taskDefinition": "web:1", "include": ["TAGS"]})),
        ("DescribeTaskDefinition", json!({"taskDefinition": "web:2"})),
        ("ListTaskDefinitions", json!({"status": "INACTIVE"})),
        ("DescribeDaemonTaskDefinition", json!({"daemonTaskDefinition": "agent"})),
        ("ListAccountSettings", json!({})),
        ("DescribeCapacityProviders", json!({"capacityProviders": ["fleet"]})),
        ("ListContainerInstances", json!({"cluster": "shop"})),
        ("ListAttributes", json!({"cluster": "shop", "targetType": "container-instance"})),
    ]
}

/// Rows of most tables, half of them in the snapshot, half in the log behind it.
fn fill(client: &Client) {
    for form in [
        "Action=CreateUser&UserName=ada&Path=/team/&Tags.member.1.Key=a&Tags.member.1.Value=b",
        "Action=CreateGroup&GroupName=ops",
        "Action=AddUserToGroup&GroupName=ops&UserName=ada",
        "Action=CreateAccountAlias&AccountAlias=stored",
        "Action=CreateInstanceProfile&InstanceProfileName=host",
        "Action=AttachUserPolicy&UserName=ada&PolicyArn=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2F\
         AdministratorAccess",
        "Action=CreatePolicy&PolicyName=p&PolicyDocument=%7B%22Version%22%3A%222012-10-17%22%2C\
         %22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22ecs%3A%2A%22%2C\
         %22Resource%22%3A%22%2A%22%7D%7D",
        "Action=CreateServiceLinkedRole&AWSServiceName=ecs.amazonaws.com",
    ] {
        iam(client, form);
    }
    let tags = json!([{"key": "team", "value": "blue"}]);
    let container = json!({"name": "web", "image": "nginx", "memory": 128,
        "portMappings": [{"containerPort": 80}], "environment": [{"name": "A", "value": "é"}]});
    let group = "arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:\
                 00000000-0000-0000-0000-000000000000:autoScalingGroupName/fleet";
    let register = json!({"family": "web", "containerDefinitions": [container], "tags": tags});
    for (operation, body) in [
        (
            "CreateCluster",
            json!({"clusterName": "shop", "tags": tags,
                "settings": [{"name": "containerInsights", "value": "enabled"}],
                "capacityProviders": ["FARGATE"]}),
        ),
        ("RegisterTaskDefinition", register.clone()),
        ("RegisterTaskDefinition", register),
        ("DeregisterTaskDefinition", json!({"taskDefinition": "web:2"})),
        (
            "CreateCapacityProvider",
            json!({"name": "fleet", "autoScalingGroupProvider": {"autoScalingGroupArn": group}}),
        ),
        ("PutAccountSetting", json!({"name": "awsvpcTrunking", "value": "enabled"})),
    ] {
        ask(client, operation, &body);
    }
}

/// What comes behind the snapshot.
fn fill_more(client: &Client) {
    let daemon = json!({"name": "agent", "image": "agent:1", "memory": 64});
    for (operation, body) in [
        ("CreateCluster", json!({"clusterName": "late"})),
        ("DeleteCluster", json!({"cluster": "late"})),
        (
            "RegisterDaemonTaskDefinition",
            json!({"family": "agent", "containerDefinitions": [daemon]}),
        ),
        (
            "RegisterContainerInstance",
            json!({"cluster": "shop",
                "totalResources": [{"name": "CPU", "type": "INTEGER", "integerValue": 2048},
                    {"name": "MEMORY", "type": "INTEGER", "integerValue": 4096}],
                "attributes": [{"name": "stack", "value": "blue"}]}),
        ),
    ] {
        ask(client, operation, &body);
    }
}

fn snapshots(dir: &Path) -> usize {
    let files = fs::read_dir(dir.join("journal")).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|ending| ending == "snap")).count()
}

/// A journal of this build, with what it was asked.
fn make(to: &Path) {
    let home = Home::new();
    let server = start(&home);
    let client = Client::new(&server.url, KEY.0, KEY.1);
    fill(&client);
    wait_for("a snapshot", || {
        let tag = json!({"resourceArn": "arn:aws:ecs:us-east-1:123456789012:cluster/shop",
            "tags": [{"key": "round", "value": "x".repeat(200)}]});
        ask(&client, "TagResource", &tag);
        ask(
            &client,
            "UntagResource",
            &json!({"resourceArn": tag["resourceArn"],
            "tagKeys": ["round"]}),
        );
        snapshots(&home.dir()) > 0
    });
    fill_more(&client);
    let asked = questions().into_iter().map(|(operation, body)| {
        let answer = ask(&client, operation, &body);
        json!({"operation": operation, "body": body, "answer": answer})
    });
    let asked: Vec<Value> = asked.collect();
    server.stop();
    fs::create_dir_all(to.join("journal")).unwrap();
    copy(&home.dir().join("journal"), &to.join("journal"));
    fs::remove_file(to.join("journal/lock")).unwrap();
    let pretty = serde_json::to_string_pretty(&asked).unwrap() + "\n";
    fs::write(to.join("asked.json"), pretty).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// The first old member that today's answer has not.
fn lost(old: &Value, new: &Value, at: &str) -> Option<String> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => old.iter().find_map(|(name, value)| {
            lost(value, new.get(name).unwrap_or(&Value::Null), &format!("{at}.{name}"))
        }),
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            let mut both = old.iter().zip(new).enumerate();
            both.find_map(|(n, (old, new))| lost(old, new, &format!("{at}[{n}]")))
        }
        _ => (old != new).then(|| format!("{at} was {old} and is {new}")),
    }
}

/// Open the stored journal with this build and find all that it told then.
fn check(stored: &Path) {
    let home = Home::new();
    copy(&stored.join("journal"), &home.dir().join("journal"));
    let server = start(&home);
    let client = Client::new(&server.url, KEY.0, KEY.1);
    let asked: Vec<Value> =
        serde_json::from_slice(&fs::read(stored.join("asked.json")).unwrap()).unwrap();
    assert!(!asked.is_empty());
    for one in &asked {
        let operation = one["operation"].as_str().unwrap();
        let now = ask(&client, operation, &one["body"]);
        assert_eq!(lost(&one["answer"], &now, operation), None, "{}", stored.display());
    }
    assert!(iam(&client, "Action=ListGroupsForUser&UserName=ada").contains("group/ops"));
    assert!(iam(&client, "Action=ListAccountAliases").contains("<member>stored</member>"));
    assert!(iam(&client, "Action=GetRole&RoleName=AWSServiceRoleForECS").contains("aws-service"));
    // A key made now is sealed with what the old journal holds, and opened with it again.
    assert!(iam(&client, "Action=CreateAccessKey&UserName=ada").contains("<SecretAccessKey>"));
    assert_eq!(client.create("written-today").status, 200);
    server.stop();
    let dir = home.dir();
    let told = run(&["check", "--json", "--data-dir", dir.to_str().unwrap()]);
    let told: Value = serde_json::from_str(&text(&told.stdout)).unwrap();
    assert_eq!(told["violations"], json!([]));
}

#[test]
fn journals_of_older_wharfs_are_opened_and_read_whole() {
    let mut found = 0;
    for stored in fs::read_dir(folder()).unwrap() {
        check(&stored.unwrap().path());
        found += 1;
    }
    assert!(found > 0, "no journal is stored in {}", folder().display());
}

#[test]
fn a_journal_to_store_is_one_that_is_read_back() {
    let temp = tempfile::tempdir().unwrap();
    let to = match std::env::var_os("WHARF_STORE_JOURNAL") {
        Some(name) => folder().join(name),
        None => temp.path().join("stored"),
    };
    make(&to);
    check(&to);
}

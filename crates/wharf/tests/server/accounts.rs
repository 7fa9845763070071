//! More than one account in one installation.

use serde_json::Value;

use crate::world::{Client, Home, run, text};

#[test]
fn accounts_see_nothing_of_each_other() {
    let home = Home::new();
    let server = home.server(&[]);
    let dir = home.dir();
    let dir = dir.to_str().unwrap();
    let made = run(&["account", "create", "dev", "--json", "--data-dir", dir]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let account = made["account"].as_str().unwrap();
    assert_eq!(account.len(), 12);
    let part = |name: &str| made[name].as_str().unwrap();
    let dev = Client::new(&server.url, part("accessKeyId"), part("secretAccessKey"));
    assert_eq!(server.client().create("mine").status, 200);
    let theirs = dev.create("theirs").json();
    let arn = format!("arn:aws:ecs:us-east-1:{account}:cluster/theirs");
    assert_eq!(theirs["cluster"]["clusterArn"], arn);
    assert_eq!(server.client().clusters(), ["mine"]);
    assert_eq!(dev.clusters(), ["theirs"]);

    for which in ["dev", account] {
        let env = run(&["env", "--json", "--account", which, "--data-dir", dir]);
        let env: Value = serde_json::from_slice(&env.stdout).unwrap();
        assert_eq!(env["AWS_ACCESS_KEY_ID"], made["accessKeyId"]);
    }
    let listed = run(&["account", "list", "--json", "--data-dir", dir]);
    let listed: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    let mut numbers: Vec<&str> = listed.iter().map(|a| a["account"].as_str().unwrap()).collect();
    numbers.sort_unstable();
    let mut expected = ["123456789012", account];
    expected.sort_unstable();
    assert_eq!(numbers, expected);

    // Nobody but the first account's root user operates the server.
    let key = format!("root-key-{account}.json");
    std::fs::rename(home.dir().join(key), home.dir().join("root-key.json")).unwrap();
    let refused = run(&["account", "list", "--data-dir", dir]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("AccessDenied"), "{}", text(&refused.stderr));
}

#[test]
fn an_account_is_made_once() {
    let home = Home::new();
    let _server = home.server(&[]);
    let dir = home.dir();
    let create =
        |account: &str| run(&["account", "create", account, "--data-dir", dir.to_str().unwrap()]);
    assert!(create("111122223333").status.success());
    assert!(create("dev").status.success());
    for (account, code) in [
        ("111122223333", "AccountAlreadyExists"),
        ("123456789012", "AccountAlreadyExists"),
        ("dev", "EntityAlreadyExists"),
        ("Not A Name", "ValidationError"),
    ] {
        let told = create(account);
        assert_eq!(told.status.code(), Some(1));
        assert!(text(&told.stderr).contains(code), "{account}: {}", text(&told.stderr));
    }
}

#[test]
fn the_operators_requests_must_be_signed() {
    let home = Home::new();
    let server = home.server(&[]);
    let answer = server.get("/_wharf/check");
    assert_eq!((answer.status, &*answer.code()), (400, "MissingAuthenticationTokenException"));
    assert!(answer.header("x-amzn-requestid").is_some());
}

//! Account settings: whose value holds, and who may change whose.

#![allow(clippy::unwrap_used)]

mod world;

use serde_json::{Value, json};
use world::World;

fn values(answer: &Value) -> Vec<(String, String, String)> {
    let text = |setting: &Value, key: &str| setting[key].as_str().unwrap().to_owned();
    let list = answer["settings"].as_array().unwrap();
    list.iter().map(|s| (text(s, "name"), text(s, "value"), text(s, "principalArn"))).collect()
}

#[test]
fn a_setting_of_ones_own_beats_the_accounts_which_beats_awss() {
    let mut world = World::new();
    let (ada, root) = ("arn:aws:iam::123456789012:user/ada", "arn:aws:iam::123456789012:root");
    let insights = json!({"name": "containerInsights", "effectiveSettings": true});
    let effective =
        |world: &mut World| values(&world.call("ListAccountSettings", insights.clone()))[0].clone();
    let triple = |value: &str, whose: &str| {
        ("containerInsights".to_owned(), value.to_owned(), whose.to_owned())
    };
    assert_eq!(effective(&mut world), triple("disabled", ada));
    let put = |value: &str| json!({"name": "containerInsights", "value": value});
    let answer = world.call("PutAccountSettingDefault", put("enabled"));
    assert_eq!(answer["setting"]["principalArn"], root);
    assert_eq!(effective(&mut world), triple("enabled", ada));
    assert_eq!(world.demanded(), ["ecs:ListAccountSettings *"]);

    // A cluster that says nothing takes what holds.
    let made = world.call("CreateCluster", json!({}));
    assert_eq!(made["cluster"]["settings"][0]["value"], "enabled");

    world.call("PutAccountSetting", put("enhanced"));
    assert_eq!(
        world.conditions(),
        [("ecs:account-setting".to_owned(), vec!["containerInsights".to_owned()])]
    );
    assert_eq!(effective(&mut world), triple("enhanced", ada));
    let own = world.call("ListAccountSettings", json!({}));
    assert_eq!(values(&own), [triple("enhanced", ada)]);
    let delete = json!({"name": "containerInsights"});
    let answer = world.call("DeleteAccountSetting", delete);
    assert_eq!(answer["setting"]["value"], "enabled");
    assert_eq!(values(&world.call("ListAccountSettings", json!({}))), []);

    // AWS gives ten a page; there are eleven.
    let all = world.call("ListAccountSettings", json!({"effectiveSettings": true}));
    assert_eq!(values(&all).len(), 10);
    let rest = json!({"effectiveSettings": true, "nextToken": all["nextToken"]});
    let rest = values(&world.call("ListAccountSettings", rest));
    assert_eq!(rest, [("taskLongArnFormat".into(), "enabled".into(), ada.into())]);
    world.survives_a_restart();
}

#[test]
fn only_the_root_changes_the_settings_of_others() {
    let mut world = World::new();
    let other = "arn:aws:iam::123456789012:role/ops";
    let put =
        |whose: &str| json!({"name": "awsvpcTrunking", "value": "enabled", "principalArn": whose});
    assert_eq!(world.refusal("PutAccountSetting", put(other)).0, "AccessDeniedException");
    let bad = world.refusal("PutAccountSetting", put("arn:aws:s3:::x"));
    assert_eq!(bad.0, "InvalidParameterException");
    let mut world = World::new().by_root();
    world.call("PutAccountSetting", put(other));
    let listed = world.call("ListAccountSettings", json!({"principalArn": other}));
    assert_eq!(values(&listed)[0].1, "enabled");
}

#[test]
fn names_and_values_are_awss() {
    let mut world = World::new();
    let put = |name: &str, value: &str| json!({"name": name, "value": value});
    let (code, text) = world.refusal("PutAccountSetting", put("x", "enabled"));
    assert_eq!(code, "InvalidParameterException");
    assert!(text.starts_with("x should be one of ["), "{text}");
    for (name, value) in [
        ("taskLongArnFormat", "ENABLED"),
        ("tagResourceAuthorization", "enabled"),
        ("fargateTaskRetirementWaitPeriod", "8"),
        ("defaultLogDriverMode", "on"),
    ] {
        let (code, text) = world.refusal("PutAccountSettingDefault", put(name, value));
        assert_eq!(
            (code.as_str(), text.as_str()),
            ("InvalidParameterException", "Invalid setting 'value'"),
            "{name}"
        );
    }
    assert!(
        world.refusal("PutAccountSetting", put("guardDutyActivate", "on")).1.contains("read-only")
    );
    for (name, value) in [
        ("tagResourceAuthorization", "off"),
        ("fargateTaskRetirementWaitPeriod", "14"),
        ("defaultLogDriverMode", "blocking"),
    ] {
        world.call("PutAccountSetting", put(name, value));
    }
    // With authorization of tags off, none is asked for.
    let tagged = json!({"tags": [{"key": "a", "value": "b"}]});
    world.call("CreateCluster", tagged);
    assert_eq!(
        world.demanded(),
        ["ecs:CreateCluster arn:aws:ecs:us-east-1:123456789012:cluster/default"]
    );
    let value = json!({"value": "enabled"});
    assert_eq!(world.refusal("ListAccountSettings", value).0, "InvalidParameterException");
}

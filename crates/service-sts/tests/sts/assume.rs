//! AssumeRole: trust, conditions, tags, chains, limits.

use std::time::Duration;

use core_step::CredentialError;
use serde_json::{Value, json};

use crate::world::{ALLOW_ALL, Key, Refusal, World, document, refused, session};

const ADA: &str = "arn:aws:iam::123456789012:user/ada";
const ROLE: &str = "arn:aws:iam::123456789012:role/r";

fn may_assume() -> Value {
    json!([{"Effect": "Allow", "Action": "sts:*", "Resource": "*"}])
}

/// Trust in an ARN or account, under a condition.
fn trust(principal: &str, condition: Value) -> Value {
    json!([{"Effect": "Allow", "Principal": {"AWS": principal},
        "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
        "Condition": condition}])
}

fn ask(role: &str, more: Value) -> Value {
    let mut input = json!({"RoleArn": role, "RoleSessionName": "s1"});
    for (key, value) in more.as_object().unwrap() {
        input[key] = value.clone();
    }
    input
}

fn denied(who: &str, action: &str) -> Refusal {
    let text = format!("User: {who} is not authorized to perform: {action} on resource: {ROLE}");
    refused("AccessDenied", &text)
}

fn assume(w: &mut World, key: &Key, more: Value) -> Result<Key, Refusal> {
    w.try_as(key, "AssumeRole", ask(ROLE, more)).map(|answer| session(&answer))
}

#[test]
fn a_role_is_assumed_by_whom_it_trusts() {
    let mut w = crate::world();
    let ada = w.user("ada", json!([]));
    let bob = w.user("bob", may_assume());
    assert_eq!(w.role("r", trust(ADA, json!({}))), ROLE);
    // AWS: a trust policy that names the user is enough inside the account.
    let answer = w.call_as(&ada, "AssumeRole", ask(ROLE, json!({})));
    let user = &answer["AssumedRoleUser"];
    assert_eq!(user["Arn"], "arn:aws:sts::123456789012:assumed-role/r/s1");
    let id = user["AssumedRoleId"].as_str().unwrap().to_owned();
    assert!(id.starts_with("AROA") && id.ends_with(":s1"), "{id}");
    assert_eq!(answer["PackedPolicySize"], Value::Null);
    assert_eq!(answer["Credentials"]["Expiration"], 1_700_003_600);
    let key = session(&answer);
    assert!(key.id.starts_with("ASIA"));
    let me = w.call_as(&key, "GetCallerIdentity", json!({}));
    assert_eq!((&me["Arn"], &me["UserId"]), (&user["Arn"], &json!(id)));
    let info = w.call_as(&w.root(), "GetAccessKeyInfo", json!({"AccessKeyId": key.id}));
    assert_eq!(info["Account"], "123456789012");
    let bobs = "arn:aws:iam::123456789012:user/bob";
    assert_eq!(assume(&mut w, &bob, json!({})).err(), Some(denied(bobs, "sts:AssumeRole")));
    let root = w.root();
    let text = "Roles may not be assumed by root accounts.";
    assert_eq!(assume(&mut w, &root, json!({})).err(), Some(refused("AccessDenied", text)));
}

#[test]
fn trust_in_the_account_asks_for_a_permission_too() {
    let mut w = crate::world();
    let (ada, bob) = (w.user("ada", json!([])), w.user("bob", may_assume()));
    w.role("r", trust("123456789012", json!({})));
    assert_eq!(assume(&mut w, &ada, json!({})).err(), Some(denied(ADA, "sts:AssumeRole")));
    assert!(assume(&mut w, &bob, json!({})).is_ok());
    let none = w.refusal_as(&bob, "AssumeRole", ask(&ROLE.replace("/r", "/none"), json!({})));
    assert_eq!(none.0, "AccessDenied", "a role that is not there is not told from one that is");
}

#[test]
fn another_account_needs_both_sides() {
    let mut w = crate::world();
    w.role("r", trust("999999999999", json!({})));
    let other = w.open("999999999999", "AKIAOTHER");
    w.call_as(&other, "CreateUser", json!({"UserName": "eve"}));
    let made = w.call_as(&other, "CreateAccessKey", json!({"UserName": "eve"}));
    let text = |name: &str| made["AccessKey"][name].as_str().unwrap().to_owned();
    let eve = Key { id: text("AccessKeyId"), secret: text("SecretAccessKey"), token: None };
    let who = "arn:aws:iam::999999999999:user/eve";
    assert_eq!(assume(&mut w, &eve, json!({})).err(), Some(denied(who, "sts:AssumeRole")));
    let put =
        json!({"UserName": "eve", "PolicyName": "p", "PolicyDocument": document(may_assume())});
    w.call_as(&other, "PutUserPolicy", put);
    let key = assume(&mut w, &eve, json!({})).unwrap();
    assert_eq!(w.caller(&key).unwrap().account.to_string(), "123456789012");
}

#[test]
fn conditions_of_the_trust_policy_hold() {
    let mut w = crate::world();
    let ada = w.user("ada", json!([]));
    let cases = [
        (json!({"StringEquals": {"sts:ExternalId": "ticket"}}), json!({}), false),
        (
            json!({"StringEquals": {"sts:ExternalId": "ticket"}}),
            json!({"ExternalId": "other"}),
            false,
        ),
        (
            json!({"StringEquals": {"sts:ExternalId": "ticket"}}),
            json!({"ExternalId": "ticket"}),
            true,
        ),
        (json!({"StringLike": {"sts:RoleSessionName": "ada-*"}}), json!({}), false),
        (json!({"StringLike": {"sts:RoleSessionName": "s1"}}), json!({}), true),
        (json!({"StringEquals": {"sts:SourceIdentity": "ada"}}), json!({}), false),
        (
            json!({"StringEquals": {"sts:SourceIdentity": "ada"}}),
            json!({"SourceIdentity": "ada"}),
            true,
        ),
        (
            json!({"StringEquals": {"aws:RequestTag/team": "red"}}),
            json!({"Tags": [{"Key": "team", "Value": "red"}]}),
            true,
        ),
        (
            json!({"ForAnyValue:StringEquals": {"sts:TransitiveTagKeys": ["team"]}}),
            json!({"Tags": [{"Key": "team", "Value": "red"}]}),
            false,
        ),
        (
            json!({"ForAnyValue:StringEquals": {"sts:TransitiveTagKeys": ["team"]}}),
            json!({"Tags": [{"Key": "team", "Value": "red"}], "TransitiveTagKeys": ["team"]}),
            true,
        ),
        (json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), json!({}), true),
        (json!({"Bool": {"aws:MultiFactorAuthPresent": "true"}}), json!({}), false),
    ];
    w.role("r", trust(ADA, json!({})));
    for (condition, more, allowed) in cases {
        let document = document(trust(ADA, condition.clone()));
        let update = json!({"RoleName": "r", "PolicyDocument": document});
        w.call("UpdateAssumeRolePolicy", update);
        assert_eq!(assume(&mut w, &ada, more.clone()).is_ok(), allowed, "{condition} {more}");
    }
}

#[test]
fn tags_and_source_identity_ask_for_leave_by_their_own_names() {
    let mut w = crate::world();
    let ada = w.user("ada", json!([]));
    w.role(
        "r",
        json!([{"Effect": "Allow", "Principal": {"AWS": ADA}, "Action": "sts:AssumeRole"}]),
    );
    let tags = json!({"Tags": [{"Key": "a", "Value": "b"}]});
    assert_eq!(assume(&mut w, &ada, tags).err(), Some(denied(ADA, "sts:TagSession")));
    let identity = json!({"SourceIdentity": "ada"});
    assert_eq!(assume(&mut w, &ada, identity).err(), Some(denied(ADA, "sts:SetSourceIdentity")));
}

#[test]
fn session_policies_take_away() {
    let mut w = crate::world();
    let ada = w.user("ada", json!([]));
    w.role("r", trust(ADA, json!({})));
    let put = json!({"RoleName": "r", "PolicyName": "p", "PolicyDocument": ALLOW_ALL});
    w.call("PutRolePolicy", put);
    let policy = document(json!([{"Effect": "Allow", "Action": "iam:ListUsers", "Resource": "*"}]));
    let made = json!({"PolicyName": "groups", "PolicyDocument":
        document(json!([{"Effect": "Allow", "Action": "iam:ListGroups", "Resource": "*"}]))});
    let arn = w.call("CreatePolicy", made)["Policy"]["Arn"].clone();
    let given = json!({"Policy": policy, "PolicyArns": [{"arn": arn}]});
    let answer = w.call_as(&ada, "AssumeRole", ask(ROLE, given));
    assert!(answer["PackedPolicySize"].as_i64().unwrap() > 0);
    let key = session(&answer);
    w.call_as(&key, "ListUsers", json!({}));
    w.call_as(&key, "ListGroups", json!({}));
    let (code, text) = w.refusal_as(&key, "ListRoles", json!({}));
    assert_eq!(code, "AccessDenied");
    assert!(text.ends_with("because no session policy allows the iam:ListRoles action"), "{text}");
    let whole = assume(&mut w, &ada, json!({})).unwrap();
    w.call_as(&whole, "ListRoles", json!({}));

    for (given, code) in [
        (json!({"Policy": "{"}), "MalformedPolicyDocument"),
        (
            json!({"PolicyArns": [{"arn": "arn:aws:iam::123456789012:policy/none"}]}),
            "MalformedPolicyDocument",
        ),
    ] {
        assert_eq!(assume(&mut w, &ada, given.clone()).unwrap_err().0, code, "{given}");
    }
    let tags: Vec<_> = (0..50u64)
        .map(|n| {
            // Digits without a pattern, so that they do not pack.
            let noise = |seed: u64| -> String {
                let mut x = seed * 2 + 1;
                let digit = |_| {
                    x = x
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    char::from(b'a' + (x >> 33) as u8 % 26)
                };
                (0..200).map(digit).collect()
            };
            json!({"Key": noise(n)[..120], "Value": noise(n + 100)})
        })
        .collect();
    let (code, text) = assume(&mut w, &ada, json!({"Tags": tags})).unwrap_err();
    assert_eq!(code, "PackedPolicyTooLarge");
    assert!(text.starts_with("Packed size of session tags consumes "), "{text}");
}

#[test]
fn sessions_last_as_long_as_the_role_lets_them() {
    let mut w = crate::world();
    let ada = w.user("ada", json!([]));
    w.role("r", trust(ADA, json!({})));
    let seconds = |n: i32| json!({"DurationSeconds": n});
    let text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
    let refusal = assume(&mut w, &ada, seconds(3601)).err();
    assert_eq!(refusal, Some(refused("ValidationError", text)));
    w.call("UpdateRole", json!({"RoleName": "r", "MaxSessionDuration": 7200}));
    assert!(assume(&mut w, &ada, seconds(7200)).is_ok());
    let key = assume(&mut w, &ada, seconds(900)).unwrap();
    w.pass(Duration::from_secs(899));
    assert!(w.caller(&key).is_ok());
    w.pass(Duration::from_secs(1));
    assert_eq!(w.caller(&key).err(), Some(CredentialError::Expired));
}

#[test]
fn chains_pass_on_what_is_transitive_and_are_short() {
    let mut w = crate::world();
    let ada = w.user("ada", json!([]));
    w.role("r", trust(ADA, json!({})));
    let put = json!({"RoleName": "r", "PolicyName": "p", "PolicyDocument": ALLOW_ALL});
    w.call("PutRolePolicy", put);
    let second = w.role("second", trust(ROLE, json!({})));
    w.call("UpdateRole", json!({"RoleName": "second", "MaxSessionDuration": 43200}));
    let given = json!({"SourceIdentity": "ada", "TransitiveTagKeys": ["team"],
        "Tags": [{"Key": "team", "Value": "red"}, {"Key": "more", "Value": "x"}]});
    let first = assume(&mut w, &ada, given).unwrap();
    let long = w.refusal_as(&first, "AssumeRole", ask(&second, json!({"DurationSeconds": 3601})));
    assert_eq!(long.0, "ValidationError");
    let conflict = json!({"Tags": [{"Key": "Team", "Value": "blue"}]});
    let conflict = w.refusal_as(&first, "AssumeRole", ask(&second, conflict));
    assert_eq!(conflict.0, "InvalidParameterValue");
    let answer = w.call_as(&first, "AssumeRole", ask(&second, json!({})));
    assert_eq!(answer["SourceIdentity"], "ada");
    let caller = w.caller(&session(&answer)).unwrap();
    let tags: Vec<_> = caller.session_tags.iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(tags, [("team", "red")]);
    assert_eq!(caller.source_identity.as_deref(), Some("ada"));
    let other = w.refusal_as(&first, "AssumeRole", ask(&second, json!({"SourceIdentity": "eve"})));
    assert_eq!(other.0, "AccessDenied");
}

#[test]
fn a_deleted_role_ends_its_sessions_and_a_namesake_does_not_revive_them() {
    let mut w = crate::world();
    let ada = w.user("ada", json!([]));
    w.role("r", trust(ADA, json!({})));
    let key = assume(&mut w, &ada, json!({})).unwrap();
    assert!(w.caller(&key).is_ok());
    w.call("DeleteRole", json!({"RoleName": "r"}));
    assert_eq!(w.caller(&key).err(), Some(CredentialError::BadToken));
    w.role("r", trust(ADA, json!({})));
    assert_eq!(w.caller(&key).err(), Some(CredentialError::BadToken));
}

#[test]
fn sessions_survive_a_restart_of_the_server() {
    let mut w = crate::world();
    let ada = w.user("ada", json!([]));
    w.role("r", trust(ADA, json!({})));
    let key = assume(&mut w, &ada, json!({})).unwrap();
    let w = w.restarted();
    assert!(w.caller(&key).is_ok());
}

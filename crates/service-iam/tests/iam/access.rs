//! Who may do what: identity policies, groups, boundaries, keys, other accounts.

use core_step::CredentialError;
use serde_json::{Value, json};

use crate::world::{ALLOW_ALL, Key, World, document, refused};

fn denied(who: &str, action: &str, on: &str, why: &str) -> (String, String) {
    let text =
        format!("User: {who} is not authorized to perform: {action} on resource: {on} {why}");
    refused("AccessDenied", &text)
}

const ADA: &str = "arn:aws:iam::123456789012:user/ada";
const BOB: &str = "arn:aws:iam::123456789012:user/bob";

fn get(w: &mut World, key: &Key, name: &str) -> Result<Value, (String, String)> {
    w.try_as(key, "GetUser", json!({"UserName": name}))
}

#[test]
fn a_user_may_what_its_policies_and_those_of_its_groups_allow() {
    let mut w = crate::world();
    let ada = w.user("ada", json!([]));
    let none = "because no identity-based policy allows the iam:GetUser action";
    assert_eq!(get(&mut w, &ada, "ada"), Err(denied(ADA, "iam:GetUser", ADA, none)));

    w.call("CreateGroup", json!({"GroupName": "readers"}));
    w.call("AddUserToGroup", json!({"GroupName": "readers", "UserName": "ada"}));
    let read = document(json!([{"Effect": "Allow", "Action": "iam:Get*", "Resource": "*"}]));
    let put = json!({"GroupName": "readers", "PolicyName": "read", "PolicyDocument": read});
    w.call("PutGroupPolicy", put);
    assert!(get(&mut w, &ada, "ada").is_ok());

    let deny = document(json!([{"Effect": "Deny", "Action": "iam:GetUser", "Resource": BOB}]));
    let put = json!({"UserName": "ada", "PolicyName": "deny", "PolicyDocument": deny});
    w.call("PutUserPolicy", put);
    let explicit = "with an explicit deny in an identity-based policy";
    assert_eq!(get(&mut w, &ada, "bob"), Err(denied(ADA, "iam:GetUser", BOB, explicit)));
    assert!(get(&mut w, &ada, "ada").is_ok());

    w.call("RemoveUserFromGroup", json!({"GroupName": "readers", "UserName": "ada"}));
    assert_eq!(get(&mut w, &ada, "ada"), Err(denied(ADA, "iam:GetUser", ADA, none)));
}

#[test]
fn a_boundary_bounds() {
    let mut w = crate::world();
    let ada = w.user("ada", json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}]));
    let read = document(json!([{"Effect": "Allow", "Action": "iam:Get*", "Resource": "*"}]));
    let made = w.call("CreatePolicy", json!({"PolicyName": "bound", "PolicyDocument": read}));
    let bound = made["Policy"]["Arn"].clone();
    let put = json!({"UserName": "ada", "PermissionsBoundary": bound});
    w.call("PutUserPermissionsBoundary", put);
    assert!(get(&mut w, &ada, "ada").is_ok());
    let why = "because no permissions boundary allows the iam:CreateUser action";
    let refusal = w.refusal_as(&ada, "CreateUser", json!({"UserName": "bob"}));
    assert_eq!(refusal, denied(ADA, "iam:CreateUser", BOB, why));
    let usage = w.call("GetPolicy", json!({"PolicyArn": bound}));
    assert_eq!(usage["Policy"]["PermissionsBoundaryUsageCount"], 1);
    assert_eq!(w.refusal("DeletePolicy", json!({"PolicyArn": bound})).0, "DeleteConflict");
    w.call_as(&w.root(), "DeleteUserPermissionsBoundary", json!({"UserName": "ada"}));
    w.call_as(&ada, "CreateUser", json!({"UserName": "bob"}));
}

#[test]
fn conditions_see_the_call_and_the_tags() {
    let mut w = crate::world();
    let when = |condition: Value| {
        json!([{"Effect": "Allow", "Action": "iam:GetUser", "Resource": "*",
            "Condition": condition}])
    };
    let cases = [
        (json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), true),
        (json!({"IpAddress": {"aws:SourceIp": "192.168.0.0/16"}}), false),
        (json!({"Bool": {"aws:SecureTransport": "true"}}), false),
        (json!({"StringEquals": {"aws:username": "u2"}}), false),
        (json!({"StringEquals": {"aws:username": "u4"}}), true),
        (json!({"StringEquals": {"aws:RequestedRegion": "us-east-1"}}), true),
        (json!({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/u6"}}), true),
        (json!({"StringEquals": {"aws:PrincipalTag/team": "red"}}), true),
        (json!({"StringEquals": {"aws:PrincipalTag/team": "blue"}}), false),
        (json!({"StringEquals": {"iam:ResourceTag/team": "red"}}), true),
        (json!({"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}), true),
        (json!({"Bool": {"aws:MultiFactorAuthPresent": "false"}}), false),
        (json!({"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}), true),
        (json!({"DateLessThan": {"aws:CurrentTime": "2023-11-15T00:00:00Z"}}), true),
        (json!({"DateGreaterThan": {"aws:CurrentTime": "2023-11-15T00:00:00Z"}}), false),
        (json!({"StringEquals": {"aws:PrincipalAccount": "123456789012"}}), true),
        (json!({"StringEquals": {"aws:UserAgent": "test"}}), true),
    ];
    for (nth, (condition, allowed)) in cases.into_iter().enumerate() {
        let name = format!("u{nth}");
        let key = w.user(&name, when(condition.clone()));
        let tags = json!([{"Key": "team", "Value": "red"}]);
        w.call("TagUser", json!({"UserName": name, "Tags": tags}));
        assert_eq!(get(&mut w, &key, &name).is_ok(), allowed, "{condition}");
    }
}

#[test]
fn tags_in_a_request_can_be_demanded() {
    let mut w = crate::world();
    let key = w.user(
        "ada",
        json!([{"Effect": "Allow", "Action": ["iam:CreateUser", "iam:TagUser"], "Resource": "*",
            "Condition": {"StringEquals": {"aws:RequestTag/team": "red"},
                "ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}}]),
    );
    let tags = |pairs: &[(&str, &str)]| {
        let tags = pairs.iter().map(|(k, v)| json!({"Key": k, "Value": v}));
        Value::from(tags.collect::<Vec<_>>())
    };
    let mut create = |name: &str, given: Value| {
        w.try_as(&key, "CreateUser", json!({"UserName": name, "Tags": given})).is_ok()
    };
    assert!(!create("a", json!([])));
    assert!(!create("b", tags(&[("team", "blue")])));
    assert!(!create("c", tags(&[("team", "red"), ("more", "x")])));
    assert!(create("d", tags(&[("team", "red")])));
}

#[test]
fn keys_open_while_they_are_active() {
    let mut w = crate::world();
    let ada = w.user("ada", json!([]));
    assert_eq!(&*w.caller(&ada).unwrap().arn, ADA);
    let status = |status: &str| json!({"UserName": "ada", "AccessKeyId": ada.id, "Status": status});
    w.call("UpdateAccessKey", status("Inactive"));
    assert_eq!(w.caller(&ada).err(), Some(CredentialError::Unknown));
    w.call("UpdateAccessKey", status("Active"));
    w.call("UpdateUser", json!({"UserName": "ada", "NewUserName": "Eve", "NewPath": "/x/"}));
    assert_eq!(&*w.caller(&ada).unwrap().arn, "arn:aws:iam::123456789012:user/x/Eve");
    let with_token = Key { token: Some("x".into()), ..ada.clone() };
    assert_eq!(w.caller(&with_token).err(), Some(CredentialError::BadToken));
    w.call("DeleteAccessKey", json!({"UserName": "eve", "AccessKeyId": ada.id}));
    assert_eq!(w.caller(&ada).err(), Some(CredentialError::Unknown));
}

#[test]
fn accounts_do_not_see_each_other() {
    let mut w = crate::world();
    w.user("ada", json!([]));
    let other = w.open("999999999999", "AKIAOTHER");
    let users = w.call_as(&other, "ListUsers", json!({}));
    assert_eq!(users["Users"], json!([]));
    let missing = w.refusal_as(&other, "GetUser", json!({"UserName": "ada"}));
    assert_eq!(missing.0, "NoSuchEntity");
    let policy = w.call("CreatePolicy", json!({"PolicyName": "p", "PolicyDocument": ALLOW_ALL}));
    let theirs = json!({"PolicyArn": policy["Policy"]["Arn"]});
    assert_eq!(w.refusal_as(&other, "GetPolicy", theirs).0, "AccessDenied");
    let aws = json!({"PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"});
    w.call_as(&other, "GetPolicy", aws);
}

#[test]
fn everything_is_as_it_was_after_a_restart() {
    let mut w = crate::world();
    let ada = w.user("ada", json!([{"Effect": "Allow", "Action": "iam:*", "Resource": "*"}]));
    let before = w.call("GetAccountAuthorizationDetails", json!({}));
    let mut w = w.restarted();
    assert_eq!(w.call_as(&ada, "GetAccountAuthorizationDetails", json!({})), before);
}

//! GetFederationToken: at most what the user may, and at most what the session's policies say.

use serde_json::{Value, json};

use crate::world::{ALLOW_ALL, document, session};

fn only(action: &str) -> String {
    document(json!([{"Effect": "Allow", "Action": action, "Resource": "*"}]))
}

#[test]
fn a_federated_user_may_what_both_allow() {
    let mut w = crate::world();
    let both = json!([{"Effect": "Allow", "Resource": "*",
        "Action": ["sts:GetFederationToken", "sts:GetAccessKeyInfo"]}]);
    let ada = w.user("ada", both);
    let federate = |policy: Value| json!({"Name": "bob", "Policy": policy});
    let answer = w.call_as(&ada, "GetFederationToken", federate(json!(ALLOW_ALL)));
    let user = &answer["FederatedUser"];
    assert_eq!(user["Arn"], "arn:aws:sts::123456789012:federated-user/bob");
    assert_eq!(user["FederatedUserId"], "123456789012:bob");
    let key = session(&answer);
    let me = w.call_as(&key, "GetCallerIdentity", json!({}));
    assert_eq!((&me["Arn"], &me["UserId"]), (&user["Arn"], &user["FederatedUserId"]));
    let info = json!({"AccessKeyId": ada.id});
    w.call_as(&key, "GetAccessKeyInfo", info.clone());
    let role = json!({"RoleArn": "arn:aws:iam::123456789012:role/r", "RoleSessionName": "s1"});
    assert_eq!(w.refusal_as(&key, "AssumeRole", role).0, "AccessDenied");
    // The session's policy does not.
    let answer = w.call_as(&ada, "GetFederationToken", federate(json!(only("ecs:*"))));
    let (code, text) = w.refusal_as(&session(&answer), "GetAccessKeyInfo", info.clone());
    assert_eq!(code, "AccessDenied");
    assert!(text.contains("because no session policy allows"), "{text}");
    // AWS: without any policy the session may do nothing.
    let answer = w.call_as(&ada, "GetFederationToken", json!({"Name": "bob"}));
    let none = session(&answer);
    assert_eq!(w.refusal_as(&none, "GetAccessKeyInfo", info).0, "AccessDenied");
    w.call_as(&none, "GetCallerIdentity", json!({}));
}

#[test]
fn roots_federated_users_may_what_their_policies_say() {
    let mut w = crate::world();
    let ask = json!({"Name": "bob", "Policy": only("sts:GetAccessKeyInfo")});
    let key = session(&w.call("GetFederationToken", ask));
    w.call_as(&key, "GetAccessKeyInfo", json!({"AccessKeyId": key.id}));
}

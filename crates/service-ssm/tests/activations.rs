//! Activations with IAM's policies enforced: made, used by machines, used up, expired, deleted; and sessions.

#![allow(clippy::unwrap_used)]

#[path = "../../service-iam/tests/world/mod.rs"]
mod world;

use std::time::Duration;

use core_step::Slice;
use serde_json::{Value, json};
use world::{Key, Refusal, World, refused};

const HOUR: Duration = Duration::from_secs(3600);
const ROLE: &str = "arn:aws:iam::123456789012:role/anywhere";
const SSM: &str = "ssm.amazonaws.com";

fn world() -> World {
    static SLICES: &[&Slice] = &[&service_iam::SLICE, &service_sts::SLICE, &service_ssm::SLICE];
    let mut world = World::of(SLICES);
    world.role("anywhere", trust(SSM, json!({})));
    world
}

fn trust(service: &str, condition: Value) -> Value {
    json!([{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole",
        "Condition": condition}])
}

struct Given {
    id: String,
    code: String,
}

fn activate(world: &mut World, more: Value) -> Given {
    let mut input = json!({"IamRole": "anywhere"});
    for (key, value) in more.as_object().unwrap() {
        input[key] = value.clone();
    }
    let made = world.call("CreateActivation", input);
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    Given { id: text("ActivationId"), code: text("ActivationCode") }
}

/// SHA-256 of `secret-1` and so on.
fn fingerprint(secret: &str) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(secret))
}

fn join(world: &mut World, given: &Given, secret: &str) -> Result<String, Refusal> {
    let input = json!({"ActivationId": given.id, "ActivationCode": given.code,
        "Fingerprint": fingerprint(secret)});
    let told = world.try_unsigned("RegisterManagedInstance", input)?;
    Ok(told["InstanceId"].as_str().unwrap().to_owned())
}

fn session(world: &mut World, id: &str, secret: &str) -> Result<Key, Refusal> {
    let input = json!({"InstanceId": id, "Secret": secret});
    let told = world.try_unsigned("RequestManagedInstanceRoleToken", input)?;
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    let token = Some(text("SessionToken"));
    Ok(Key { id: text("AccessKeyId"), secret: text("SecretAccessKey"), token })
}

fn activations(world: &mut World, input: Value) -> Vec<Value> {
    let told = world.call("DescribeActivations", input);
    told["ActivationList"].as_array().unwrap().clone()
}

#[test]
fn a_machine_joins_and_has_the_roles_session() {
    let mut w = world();
    let given = activate(
        &mut w,
        json!({"DefaultInstanceName": "rack", "Tags": [{"Key": "site", "Value": "cellar"}]}),
    );
    assert_eq!((given.id.len(), given.code.len()), (36, 20));
    let told = activations(&mut w, json!({})).remove(0);
    assert_eq!(told["ActivationId"], given.id);
    assert_eq!((&told["RegistrationLimit"], &told["RegistrationsCount"]), (&json!(1), &json!(0)));
    assert_eq!((&told["Expired"], &told["IamRole"]), (&json!(false), &json!("anywhere")));
    assert_eq!(told["ExpirationDate"], 1_700_000_000 + 24 * 3600);
    assert!(!told.to_string().contains(&given.code), "the code is told once");

    let id = join(&mut w, &given, "secret-1").unwrap();
    assert!(id.starts_with("mi-") && id.len() == 20, "{id}");
    // An answer that was lost: the machine asks again, and is the same.
    assert_eq!(join(&mut w, &given, "secret-1").unwrap(), id);
    assert_eq!(activations(&mut w, json!({}))[0]["RegistrationsCount"], 1);
    let key = session(&mut w, &id, "secret-1").unwrap();
    let me = w.call_as(&key, "GetCallerIdentity", json!({}));
    assert_eq!(me["Arn"], format!("arn:aws:sts::123456789012:assumed-role/anywhere/{id}"));
    let (code, _) = session(&mut w, &id, "secret-2").unwrap_err();
    assert_eq!(code, "InvalidInstanceId");

    // What is stored is enough to go on, and holds neither code nor secret.
    let mut stored = String::new();
    w.core.state().encode_all(&mut |row| {
        if row.table.starts_with("ssm-") {
            stored.push_str(&String::from_utf8_lossy(row.value.as_deref().unwrap_or_default()));
        }
    });
    assert!(stored.contains(&id) && !stored.contains(&given.code) && !stored.contains("secret-1"));
    let mut w = w.restarted();
    session(&mut w, &id, "secret-1").unwrap();

    w.call("DeregisterManagedInstance", json!({"InstanceId": id}));
    assert_eq!(session(&mut w, &id, "secret-1").unwrap_err().0, "InvalidInstanceId");
    let gone = w.refusal("DeregisterManagedInstance", json!({"InstanceId": id}));
    assert_eq!(gone.0, "InvalidInstanceId");
}

#[test]
fn an_activation_ends_by_number_by_time_and_by_deletion() {
    let mut w = world();
    let given = activate(&mut w, json!({"RegistrationLimit": 2}));
    let first = join(&mut w, &given, "secret-1").unwrap();
    join(&mut w, &given, "secret-2").unwrap();
    let (code, text) = join(&mut w, &given, "secret-3").unwrap_err();
    assert_eq!(code, "InvalidActivation");
    assert!(text.contains("limit (2)"), "{text}");
    assert_eq!(join(&mut w, &given, "secret-1").unwrap(), first, "it has joined already");
    // A machine that left does not make room for another.
    w.call("DeregisterManagedInstance", json!({"InstanceId": first}));
    assert_eq!(join(&mut w, &given, "secret-3").unwrap_err().0, "InvalidActivation");

    let at = 1_700_000_000 + 7200;
    let given = activate(&mut w, json!({"ExpirationDate": at}));
    w.pass(HOUR * 2);
    let (_, text) = join(&mut w, &given, "secret-1").unwrap_err();
    assert_eq!(text, "The activation has expired.");
    let told = activations(
        &mut w,
        json!({"Filters": [{"FilterKey": "ActivationIds", "FilterValues": [given.id]}]}),
    );
    assert_eq!((told.len(), &told[0]["Expired"]), (1, &json!(true)));

    let given = activate(&mut w, json!({}));
    let wrong = Given { code: "x".repeat(20), id: given.id.clone() };
    let unknown = join(&mut w, &wrong, "secret-1").unwrap_err();
    let id = join(&mut w, &given, "secret-1").unwrap();
    w.call("DeleteActivation", json!({"ActivationId": given.id}));
    assert_eq!(join(&mut w, &given, "secret-4").unwrap_err(), unknown, "as if it never was");
    session(&mut w, &id, "secret-1").unwrap();
    let (code, _) = w.refusal("DeleteActivation", json!({"ActivationId": given.id}));
    assert_eq!(code, "InvalidActivationId");
}

#[test]
fn only_a_role_that_trusts_the_service_is_lent() {
    let mut w = world();
    let text =
        format!("Nonexistent role or missing ssm service principal in trust policy: {ROLE}-2");
    let expected = refused("ValidationError", &text);
    let ask = json!({"IamRole": "anywhere-2"});
    assert_eq!(w.refusal("CreateActivation", ask.clone()), expected);
    w.role("anywhere-2", trust("ec2.amazonaws.com", json!({})));
    assert_eq!(w.refusal("CreateActivation", ask), expected);
    // AWS: the confused deputy: trust may be for another account's machines only.
    let mine = |account: &str| json!({"StringEquals": {"aws:SourceAccount": account}});
    w.role("mine", trust(SSM, mine("123456789012")));
    w.role("theirs", trust(SSM, mine("210987654321")));
    w.call("CreateActivation", json!({"IamRole": "mine"}));
    assert_eq!(w.refusal("CreateActivation", json!({"IamRole": "theirs"})).0, expected.0);

    // A role that trusts no more lends no more.
    let given = activate(&mut w, json!({}));
    let id = join(&mut w, &given, "secret-1").unwrap();
    let policy = world::document(trust("ec2.amazonaws.com", json!({})));
    w.call("UpdateAssumeRolePolicy", json!({"RoleName": "anywhere", "PolicyDocument": policy}));
    assert_eq!(session(&mut w, &id, "secret-1").unwrap_err().0, "ValidationError");
}

#[test]
fn who_may_make_activations_may_pass_their_role() {
    let mut w = world();
    let make = json!([{"Effect": "Allow", "Action": "ssm:*", "Resource": "*"}]);
    let ada = w.user("ada", make);
    let (code, text) = w.refusal_as(&ada, "CreateActivation", json!({"IamRole": "anywhere"}));
    assert_eq!(code, "AccessDenied");
    assert!(text.contains("iam:PassRole on resource: ") && text.contains(ROLE), "{text}");
    let both = json!([{"Effect": "Allow", "Action": ["ssm:*", "iam:PassRole"], "Resource": "*"}]);
    let bob = w.user("bob", both);
    w.call_as(&bob, "CreateActivation", json!({"IamRole": "anywhere"}));
    for days in [0, 31] {
        let at = 1_700_000_000 + days * 24 * 3600;
        let input = json!({"IamRole": "anywhere", "ExpirationDate": at});
        assert_eq!(w.refusal("CreateActivation", input).0, "InvalidParameters");
    }
}

#[test]
fn activations_come_in_pages() {
    let mut w = world();
    for _ in 0..7 {
        activate(&mut w, json!({}));
    }
    let (mut seen, mut token) = (0, Value::Null);
    loop {
        let mut input = json!({"MaxResults": 3});
        if !token.is_null() {
            input["NextToken"] = token;
        }
        let told = w.call("DescribeActivations", input);
        seen += told["ActivationList"].as_array().unwrap().len();
        token = told["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(seen, 7);
    assert_eq!(w.refusal("DescribeActivations", json!({"NextToken": "x"})).0, "InvalidNextToken");
}

/// AWS: an answer without a token says that the session is over; after an error session-manager-plugin
/// holds its terminal for ever.
#[test]
fn a_session_whose_connection_broke_is_over() {
    let mut w = world();
    let session = json!({"SessionId": "ecs-execute-command-1"});
    assert_eq!(w.call("ResumeSession", session.clone()), session);
    let nobody = w.user("nobody", json!([]));
    let refusal = w.refusal_as(&nobody, "ResumeSession", session);
    assert_eq!(refusal.0, "AccessDenied");
}

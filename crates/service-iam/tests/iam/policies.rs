//! Managed policies: versions, where they are attached, AWS's own.

use serde_json::{Value, json};

use crate::world::{ALLOW_ALL, World, document};

fn make(w: &mut World, name: &str) -> String {
    let made = w.call("CreatePolicy", json!({"PolicyName": name, "PolicyDocument": ALLOW_ALL}));
    made["Policy"]["Arn"].as_str().unwrap().to_owned()
}

fn names(list: &Value, member: &str) -> Vec<String> {
    let list = list.as_array().expect("a list");
    list.iter().map(|one| one[member].as_str().unwrap().to_owned()).collect()
}

#[test]
fn versions_count_up_and_the_default_is_in_force() {
    let mut w = crate::world();
    let arn = make(&mut w, "p");
    let ada = w.user("ada", json!([]));
    w.call("AttachUserPolicy", json!({"UserName": "ada", "PolicyArn": arn}));
    w.call_as(&ada, "ListUsers", json!({}));
    let deny = document(json!([{"Effect": "Deny", "Action": "iam:ListUsers", "Resource": "*"}]));
    let version =
        |default: bool| json!({"PolicyArn": arn, "PolicyDocument": deny, "SetAsDefault": default});
    let made = w.call("CreatePolicyVersion", version(false));
    assert_eq!(made["PolicyVersion"]["VersionId"], "v2");
    w.call_as(&ada, "ListUsers", json!({}));
    w.call("SetDefaultPolicyVersion", json!({"PolicyArn": arn, "VersionId": "v2"}));
    assert_eq!(w.refusal_as(&ada, "ListUsers", json!({})).0, "AccessDenied");
    w.call("DeletePolicyVersion", json!({"PolicyArn": arn, "VersionId": "v1"}));
    for wanted in ["v3", "v4", "v5", "v6"] {
        let made = w.call("CreatePolicyVersion", version(false));
        assert_eq!(made["PolicyVersion"]["VersionId"], wanted, "numbers are not used again");
    }
    let (code, text) = w.refusal("CreatePolicyVersion", version(false));
    assert_eq!(code, "LimitExceeded");
    assert!(text.starts_with("A managed policy can have up to 5 versions."), "{text}");
    let listed = w.call("ListPolicyVersions", json!({"PolicyArn": arn}));
    assert_eq!(names(&listed["Versions"], "VersionId"), ["v6", "v5", "v4", "v3", "v2"]);
    let first = w.call("ListPolicyVersions", json!({"PolicyArn": arn, "MaxItems": 2}));
    let marker = &first["Marker"];
    let next = json!({"PolicyArn": arn, "MaxItems": 2, "Marker": marker});
    let next = w.call("ListPolicyVersions", next);
    assert_eq!(names(&next["Versions"], "VersionId"), ["v4", "v3"]);
}

#[test]
fn a_policy_knows_where_it_is_attached() {
    let mut w = crate::world();
    let arn = make(&mut w, "p");
    w.call("CreateUser", json!({"UserName": "u"}));
    w.call("CreateGroup", json!({"GroupName": "g"}));
    w.role(
        "r",
        json!([{"Effect": "Allow", "Principal": {"AWS": "123456789012"},
            "Action": "sts:AssumeRole"}]),
    );
    for (operation, member, name) in [
        ("AttachUserPolicy", "UserName", "u"),
        ("AttachGroupPolicy", "GroupName", "g"),
        ("AttachRolePolicy", "RoleName", "r"),
        ("PutRolePermissionsBoundary", "RoleName", "r"),
    ] {
        let policy = if operation.starts_with("Put") { "PermissionsBoundary" } else { "PolicyArn" };
        w.call(operation, json!({member: name, policy: arn}));
    }
    let shown = w.call("GetPolicy", json!({"PolicyArn": arn}));
    assert_eq!(shown["Policy"]["AttachmentCount"], 3);
    assert_eq!(shown["Policy"]["PermissionsBoundaryUsageCount"], 1);
    let of = |w: &mut World, more: Value| {
        let mut input = json!({"PolicyArn": arn});
        for (key, value) in more.as_object().unwrap() {
            input[key] = value.clone();
        }
        let found = w.call("ListEntitiesForPolicy", input);
        [
            names(&found["PolicyGroups"], "GroupName"),
            names(&found["PolicyRoles"], "RoleName"),
            names(&found["PolicyUsers"], "UserName"),
        ]
        .concat()
    };
    assert_eq!(of(&mut w, json!({})), ["g", "r", "u"]);
    assert_eq!(of(&mut w, json!({"EntityFilter": "Role"})), ["r"]);
    assert_eq!(of(&mut w, json!({"PolicyUsageFilter": "PermissionsBoundary"})), ["r"]);
    w.call("DetachRolePolicy", json!({"RoleName": "r", "PolicyArn": arn}));
    assert_eq!(of(&mut w, json!({"PolicyUsageFilter": "PermissionsPolicy"})), ["g", "u"]);
}

#[test]
fn awss_own_policies_are_there_to_read_and_to_attach() {
    let mut w = crate::world();
    make(&mut w, "mine");
    let scoped = |w: &mut World, input: Value| {
        names(&w.call("ListPolicies", input)["Policies"], "PolicyName")
    };
    assert_eq!(scoped(&mut w, json!({"Scope": "Local"})), ["mine"]);
    let aws = scoped(&mut w, json!({"Scope": "AWS", "MaxItems": 1000}));
    assert!(aws.contains(&"AdministratorAccess".to_owned()));
    assert!(!aws.contains(&"mine".to_owned()));
    let roles = scoped(&mut w, json!({"Scope": "AWS", "PathPrefix": "/service-role/"}));
    assert!(roles.contains(&"AmazonECSTaskExecutionRolePolicy".to_owned()), "{roles:?}");
    assert_eq!(scoped(&mut w, json!({"OnlyAttached": true})), Vec::<String>::new());
    w.call("CreateGroup", json!({"GroupName": "g"}));
    let admin = "arn:aws:iam::aws:policy/AdministratorAccess";
    w.call("AttachGroupPolicy", json!({"GroupName": "g", "PolicyArn": admin}));
    assert_eq!(scoped(&mut w, json!({"OnlyAttached": true})), ["AdministratorAccess"]);
    let shown = w.call("GetPolicy", json!({"PolicyArn": admin}));
    let version = json!({"PolicyArn": admin, "VersionId": shown["Policy"]["DefaultVersionId"]});
    let version = w.call("GetPolicyVersion", version);
    assert_eq!(version["PolicyVersion"]["IsDefaultVersion"], true);
    assert_eq!(w.refusal("DeletePolicy", json!({"PolicyArn": admin})).0, "AccessDenied");
}

#[test]
fn embedded_policies_are_kept_by_name() {
    let mut w = crate::world();
    w.call("CreateGroup", json!({"GroupName": "g"}));
    for name in ["b", "a"] {
        let put = json!({"GroupName": "g", "PolicyName": name, "PolicyDocument": ALLOW_ALL});
        w.call("PutGroupPolicy", put);
    }
    let listed = w.call("ListGroupPolicies", json!({"GroupName": "g"}));
    assert_eq!(listed["PolicyNames"], json!(["a", "b"]));
    let shown = w.call("GetGroupPolicy", json!({"GroupName": "g", "PolicyName": "a"}));
    assert!(shown["PolicyDocument"].as_str().unwrap().starts_with("%7B%22Version%22"));
    w.call("DeleteGroupPolicy", json!({"GroupName": "g", "PolicyName": "a"}));
    let listed = w.call("ListGroupPolicies", json!({"GroupName": "g"}));
    assert_eq!(listed["PolicyNames"], json!(["b"]));
}

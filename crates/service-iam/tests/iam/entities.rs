//! Users, groups, roles, instance profiles, keys: what is kept and how it is listed.

use serde_json::{Value, json};

use crate::world::{ALLOW_ALL, World, document};

fn names(list: &Value, member: &str) -> Vec<String> {
    let list = list.as_array().expect("a list");
    list.iter().map(|one| one[member].as_str().unwrap().to_owned()).collect()
}

fn service_trust() -> Value {
    json!([{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"},
        "Action": "sts:AssumeRole"}])
}

#[test]
fn lists_are_by_name_under_a_path_and_in_pages() {
    let mut w = crate::world();
    for (name, path) in [("delta", "/a/"), ("Alpha", "/a/b/"), ("charlie", "/"), ("bravo", "/a/")] {
        w.call("CreateUser", json!({"UserName": name, "Path": path}));
    }
    let all = w.call("ListUsers", json!({}));
    assert_eq!(names(&all["Users"], "UserName"), ["Alpha", "bravo", "charlie", "delta"]);
    assert_eq!(all["IsTruncated"], false);
    let under = w.call("ListUsers", json!({"PathPrefix": "/a/"}));
    assert_eq!(names(&under["Users"], "UserName"), ["Alpha", "bravo", "delta"]);
    let mut seen = Vec::new();
    let mut marker = Value::Null;
    loop {
        let mut input = json!({"MaxItems": 1, "PathPrefix": "/a/"});
        if !marker.is_null() {
            input["Marker"] = marker;
        }
        let page = w.call("ListUsers", input);
        seen.extend(names(&page["Users"], "UserName"));
        marker = page["Marker"].clone();
        assert_eq!(page["IsTruncated"], !marker.is_null());
        if marker.is_null() {
            break;
        }
    }
    assert_eq!(seen, ["Alpha", "bravo", "delta"]);
}

#[test]
fn a_user_is_shown_with_what_it_was_made_with() {
    let mut w = crate::world();
    let policy = w.call("CreatePolicy", json!({"PolicyName": "b", "PolicyDocument": ALLOW_ALL}));
    let boundary = &policy["Policy"]["Arn"];
    let made = w.call(
        "CreateUser",
        json!({"UserName": "Ada", "Path": "/eng/", "PermissionsBoundary": boundary,
            "Tags": [{"Key": "team", "Value": "red"}]}),
    );
    let user = &made["User"];
    assert_eq!(user["Arn"], "arn:aws:iam::123456789012:user/eng/Ada");
    assert_eq!(user["CreateDate"], 1_700_000_000);
    assert_eq!(user["PermissionsBoundary"]["PermissionsBoundaryArn"], *boundary);
    let id = user["UserId"].as_str().unwrap();
    assert!(id.starts_with("AIDA") && id.len() == 21, "{id}");
    assert_eq!(w.call("GetUser", json!({"UserName": "ada"})), made, "whatever the name's case");
    let listed = w.call("ListUsers", json!({}));
    // AWS: lists leave tags and boundaries out.
    assert_eq!(listed["Users"][0]["Tags"], Value::Null);
    assert_eq!(listed["Users"][0]["PermissionsBoundary"], Value::Null);
}

#[test]
fn the_flow_of_an_ecs_instance_role() {
    let mut w = crate::world();
    let role = w.role("ecsInstanceRole", service_trust());
    assert_eq!(role, "arn:aws:iam::123456789012:role/ecsInstanceRole");
    let policy = "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role";
    w.call("AttachRolePolicy", json!({"RoleName": "ecsInstanceRole", "PolicyArn": policy}));
    let profile = json!({"InstanceProfileName": "ecsInstanceRole"});
    w.call("CreateInstanceProfile", profile.clone());
    let add = json!({"InstanceProfileName": "ecsInstanceRole", "RoleName": "ecsInstanceRole"});
    w.call("AddRoleToInstanceProfile", add.clone());
    let shown = w.call("GetInstanceProfile", profile.clone());
    assert_eq!(shown["InstanceProfile"]["Roles"][0]["Arn"], role);
    let of_role = w.call("ListInstanceProfilesForRole", json!({"RoleName": "ecsInstanceRole"}));
    let listed = names(&of_role["InstanceProfiles"], "InstanceProfileName");
    assert_eq!(listed, ["ecsInstanceRole"]);
    let attached = w.call("ListAttachedRolePolicies", json!({"RoleName": "ecsInstanceRole"}));
    assert_eq!(attached["AttachedPolicies"][0]["PolicyArn"], policy);
    w.call("RemoveRoleFromInstanceProfile", add);
    w.call("DeleteInstanceProfile", profile);
    w.call("DetachRolePolicy", json!({"RoleName": "ecsInstanceRole", "PolicyArn": policy}));
    w.call("DeleteRole", json!({"RoleName": "ecsInstanceRole"}));
    assert_eq!(w.call("ListRoles", json!({}))["Roles"], json!([]));
}

#[test]
fn documents_are_shown_percent_encoded() {
    let mut w = crate::world();
    w.role("r", service_trust());
    let role = w.call("GetRole", json!({"RoleName": "r"}));
    let shown = role["Role"]["AssumeRolePolicyDocument"].as_str().unwrap();
    assert!(shown.starts_with("%7B%22Statement%22%3A%5B%7B%22Action%22"), "{shown}");
    assert_eq!(decoded(shown), document(service_trust()));
    let update = json!({"RoleName": "r", "PolicyDocument": document(service_trust()) + " "});
    w.call("UpdateAssumeRolePolicy", update);
    let role = w.call("GetRole", json!({"RoleName": "r"}));
    let shown = role["Role"]["AssumeRolePolicyDocument"].as_str().unwrap();
    assert!(shown.ends_with("%7D%20"), "as it was given, to the last space: {shown}");
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let hex: Vec<u8> = rest.by_ref().take(2).collect();
        bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn groups_know_their_members_under_any_name() {
    let mut w = crate::world();
    for name in ["bob", "ada"] {
        w.call("CreateUser", json!({"UserName": name}));
    }
    w.call("CreateGroup", json!({"GroupName": "Devs"}));
    for name in ["bob", "ada", "ada"] {
        w.call("AddUserToGroup", json!({"GroupName": "devs", "UserName": name}));
    }
    w.call("UpdateGroup", json!({"GroupName": "devs", "NewGroupName": "ops"}));
    w.call("UpdateUser", json!({"UserName": "bob", "NewUserName": "zoe"}));
    let group = w.call("GetGroup", json!({"GroupName": "ops"}));
    assert_eq!(names(&group["Users"], "UserName"), ["ada", "zoe"]);
    let groups = w.call("ListGroupsForUser", json!({"UserName": "zoe"}));
    assert_eq!(names(&groups["Groups"], "GroupName"), ["ops"]);
}

#[test]
fn a_user_goes_only_when_nothing_is_left_of_it() {
    let mut w = crate::world();
    let key = w.user("ada", json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}]));
    let ada = json!({"UserName": "ada"});
    w.call("CreateLoginProfile", json!({"UserName": "ada", "Password": "Sesame-open-1"}));
    let left = |w: &mut World| w.refusal("DeleteUser", json!({"UserName": "ada"})).1;
    assert!(left(&mut w).contains("delete login profile"));
    w.call("DeleteLoginProfile", ada.clone());
    assert!(left(&mut w).contains("delete access keys"));
    w.call("DeleteAccessKey", json!({"UserName": "ada", "AccessKeyId": key.id}));
    assert!(left(&mut w).contains("delete policies"));
    w.call("DeleteUserPolicy", json!({"UserName": "ada", "PolicyName": "own"}));
    w.call("DeleteUser", ada.clone());
    assert_eq!(w.refusal("GetUser", ada).0, "NoSuchEntity");
}

#[test]
fn tags_of_every_kind_are_set_unset_and_listed() {
    let mut w = crate::world();
    w.call("CreateUser", json!({"UserName": "x"}));
    w.role("x", service_trust());
    w.call("CreateInstanceProfile", json!({"InstanceProfileName": "x"}));
    let made = w.call("CreatePolicy", json!({"PolicyName": "x", "PolicyDocument": ALLOW_ALL}));
    let policy = made["Policy"]["Arn"].as_str().unwrap().to_owned();
    let made = w.call("CreateVirtualMFADevice", json!({"VirtualMFADeviceName": "x"}));
    let serial = made["VirtualMFADevice"]["SerialNumber"].as_str().unwrap().to_owned();
    let made = w.call(
        "CreateOpenIDConnectProvider",
        json!({"Url": "https://id.example.com/pool", "ThumbprintList": ["a".repeat(40)]}),
    );
    let oidc = made["OpenIDConnectProviderArn"].as_str().unwrap().to_owned();
    assert_eq!(oidc, "arn:aws:iam::123456789012:oidc-provider/id.example.com/pool");
    let metadata =
        format!("<EntityDescriptor entityID=\"x\">{}</EntityDescriptor>", " ".repeat(1000));
    let made = w.call("CreateSAMLProvider", json!({"Name": "x", "SAMLMetadataDocument": metadata}));
    let saml = made["SAMLProviderArn"].as_str().unwrap().to_owned();
    for (kind, member, name) in [
        ("User", "UserName", "x"),
        ("Role", "RoleName", "x"),
        ("InstanceProfile", "InstanceProfileName", "x"),
        ("Policy", "PolicyArn", &policy),
        ("MFADevice", "SerialNumber", &serial),
        ("OpenIDConnectProvider", "OpenIDConnectProviderArn", &oidc),
        ("SAMLProvider", "SAMLProviderArn", &saml),
    ] {
        let tags = json!([{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "1"}]);
        w.call(&format!("Tag{kind}"), json!({member: name, "Tags": tags}));
        let again = json!([{"Key": "B", "Value": "3"}]);
        w.call(&format!("Tag{kind}"), json!({member: name, "Tags": again}));
        w.call(&format!("Untag{kind}"), json!({member: name, "TagKeys": ["A"]}));
        let listed = w.call(&format!("List{kind}Tags"), json!({member: name}));
        assert_eq!(listed["Tags"], json!([{"Key": "B", "Value": "3"}]), "{kind}");
    }
}

#[test]
fn a_service_linked_role_comes_with_its_policy_and_goes_by_a_task() {
    let mut w = crate::world();
    let made = w.call("CreateServiceLinkedRole", json!({"AWSServiceName": "ecs.amazonaws.com"}));
    let role = &made["Role"];
    assert_eq!(role["Path"], "/aws-service-role/ecs.amazonaws.com/");
    let name = json!({"RoleName": role["RoleName"]});
    let attached = w.call("ListAttachedRolePolicies", name.clone());
    let policies = names(&attached["AttachedPolicies"], "PolicyName");
    assert_eq!(policies, ["AmazonECSServiceRolePolicy"]);
    let task = w.call("DeleteServiceLinkedRole", name.clone());
    let status = w.call("GetServiceLinkedRoleDeletionStatus", task);
    assert_eq!(status["Status"], "SUCCEEDED");
    assert_eq!(w.refusal("GetRole", name).0, "NoSuchEntity");
}

#[test]
fn the_root_user_has_keys_of_its_own() {
    let mut w = crate::world();
    let shown = w.call("GetUser", json!({}));
    assert_eq!(shown["User"]["Arn"], "arn:aws:iam::123456789012:root");
    let made = w.call("CreateAccessKey", json!({}));
    let listed = w.call("ListAccessKeys", json!({}));
    assert_eq!(listed["AccessKeyMetadata"].as_array().unwrap().len(), 2);
    w.open(crate::world::ACCOUNT, "AKIAROOT");
    let again = w.call("ListAccessKeys", json!({}));
    assert_eq!(again, listed, "the next start leaves the key that root made");
    w.call("DeleteAccessKey", json!({"AccessKeyId": made["AccessKey"]["AccessKeyId"]}));
}

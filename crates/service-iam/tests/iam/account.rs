//! What an account has one of, passwords, and MFA devices.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{ALLOW_ALL, refused};

#[test]
fn an_alias_belongs_to_one_account() {
    let mut w = crate::world();
    w.call("CreateAccountAlias", json!({"AccountAlias": "house"}));
    let other = w.open("999999999999", "AKIAOTHER");
    let taken = w.refusal_as(&other, "CreateAccountAlias", json!({"AccountAlias": "house"}));
    let text = "The account alias house already exists.";
    assert_eq!(taken, refused("EntityAlreadyExists", text));
    assert_eq!(w.call("ListAccountAliases", json!({}))["AccountAliases"], json!(["house"]));
    w.call("DeleteAccountAlias", json!({"AccountAlias": "house"}));
    assert_eq!(w.call("ListAccountAliases", json!({}))["AccountAliases"], json!([]));
}

#[test]
fn a_password_policy_is_kept_and_enforced() {
    let mut w = crate::world();
    let ada = w.user("ada", json!([]));
    let policy = json!({"MinimumPasswordLength": 12, "RequireSymbols": true, "MaxPasswordAge": 90,
        "AllowUsersToChangePassword": true, "PasswordReusePrevention": 1});
    w.call("UpdateAccountPasswordPolicy", policy);
    let shown = w.call("GetAccountPasswordPolicy", json!({}))["PasswordPolicy"].clone();
    assert_eq!(shown["ExpirePasswords"], true);
    assert_eq!(shown["RequireNumbers"], false);
    assert_eq!(shown["HardExpiry"], Value::Null);
    let violation = "Password does not conform to the account password policy.";
    let violation = refused("PasswordPolicyViolation", violation);
    let create = |password: &str| json!({"UserName": "ada", "Password": password});
    assert_eq!(w.refusal("CreateLoginProfile", create("no-symbol")), violation);
    assert_eq!(w.refusal("CreateLoginProfile", create("NoSymbolAtAll1")), violation);
    w.call("CreateLoginProfile", create("open, sesame!"));
    let change = |old: &str, new: &str| json!({"OldPassword": old, "NewPassword": new});
    let wrong = w.refusal_as(&ada, "ChangePassword", change("wrong", "close, sesame!"));
    assert_eq!(wrong, refused("AccessDenied", "The old password was incorrect."));
    let same = change("open, sesame!", "open, sesame!");
    assert_eq!(w.refusal_as(&ada, "ChangePassword", same), violation);
    w.call_as(&ada, "ChangePassword", change("open, sesame!", "close, sesame!"));
    let root = w.refusal("ChangePassword", change("x", "close, sesame!"));
    assert_eq!(root.0, "InvalidUserType");
    w.call("DeleteAccountPasswordPolicy", json!({}));
    assert_eq!(w.refusal("DeleteAccountPasswordPolicy", json!({})).0, "NoSuchEntity");
    // AWS: without that policy's leave it takes a permission.
    let denied = w.refusal_as(&ada, "ChangePassword", change("close, sesame!", "Sesame-open-1"));
    assert_eq!(denied.0, "AccessDenied");
}

#[test]
fn the_summary_counts() {
    let mut w = crate::world();
    w.user("ada", json!([]));
    w.call("CreateGroup", json!({"GroupName": "g"}));
    w.call("CreatePolicy", json!({"PolicyName": "p", "PolicyDocument": ALLOW_ALL}));
    w.call("CreateVirtualMFADevice", json!({"VirtualMFADeviceName": "x"}));
    let summary = w.call("GetAccountSummary", json!({}))["SummaryMap"].clone();
    for (name, count) in [
        ("Users", 1),
        ("Groups", 1),
        ("Roles", 0),
        ("Policies", 1),
        ("PolicyVersionsInUse", 1),
        ("MFADevices", 1),
        ("MFADevicesInUse", 0),
        ("AccountAccessKeysPresent", 1),
        ("UsersQuota", 5000),
        ("GlobalEndpointTokenVersion", 1),
    ] {
        assert_eq!(summary[name], count, "{name}");
    }
}

#[test]
fn details_show_everything_in_pages() {
    let mut w = crate::world();
    w.user("ada", json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}]));
    w.call("CreateGroup", json!({"GroupName": "g"}));
    let admin = "arn:aws:iam::aws:policy/AdministratorAccess";
    w.call("AttachGroupPolicy", json!({"GroupName": "g", "PolicyArn": admin}));
    w.call("AddUserToGroup", json!({"GroupName": "g", "UserName": "ada"}));
    w.call("CreatePolicy", json!({"PolicyName": "p", "PolicyDocument": ALLOW_ALL}));
    let all = w.call("GetAccountAuthorizationDetails", json!({}));
    assert_eq!(all["UserDetailList"][0]["GroupList"], json!(["g"]));
    assert_eq!(all["UserDetailList"][0]["UserPolicyList"][0]["PolicyName"], "own");
    let attached = &all["GroupDetailList"][0]["AttachedManagedPolicies"];
    assert_eq!(attached[0]["PolicyArn"], admin);
    let policies = all["Policies"].as_array().unwrap();
    let names: Vec<_> = policies.iter().map(|p| p["PolicyName"].as_str().unwrap()).collect();
    assert_eq!(names, ["p", "AdministratorAccess"], "of AWS's those in use");
    let (mut seen, mut marker) = (0, Value::Null);
    loop {
        let mut input = json!({"MaxItems": 1});
        if !marker.is_null() {
            input["Marker"] = marker;
        }
        let page = w.call("GetAccountAuthorizationDetails", input);
        for list in ["UserDetailList", "GroupDetailList", "RoleDetailList", "Policies"] {
            seen += page[list].as_array().unwrap().len();
        }
        marker = page["Marker"].clone();
        if marker.is_null() {
            break;
        }
    }
    assert_eq!(seen, 4);
    let users = json!({"Filter": ["User"]});
    let users = w.call("GetAccountAuthorizationDetails", users);
    assert_eq!(users["Policies"], json!([]));
}

#[test]
fn the_credential_report_is_a_table_that_ages() {
    let mut w = crate::world();
    w.user("ada", json!([]));
    let state =
        |w: &mut crate::World| w.call("GenerateCredentialReport", json!({}))["State"].clone();
    assert_eq!(state(&mut w), "STARTED");
    assert_eq!(state(&mut w), "COMPLETE");
    let report = w.call("GetCredentialReport", json!({}));
    let content = report["Content"].as_str().unwrap();
    use base64::Engine;
    let content = base64::engine::general_purpose::STANDARD.decode(content).unwrap();
    let content = String::from_utf8(content).unwrap();
    let lines: Vec<Vec<&str>> = content.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{content}");
    assert_eq!(lines[2][0], "ada");
    let active = lines[0].iter().position(|name| *name == "access_key_1_active").unwrap();
    assert_eq!((lines[1][active], lines[2][active]), ("true", "true"));
    w.pass(Duration::from_secs(5 * 3600));
    assert_eq!(w.refusal("GetCredentialReport", json!({})).0, "ReportExpired");
    assert_eq!(state(&mut w), "STARTED");
}

#[test]
fn a_device_takes_two_codes_that_follow_each_other() {
    let mut w = crate::world();
    w.user("ada", json!([]));
    let made = w.call("CreateVirtualMFADevice", json!({"VirtualMFADeviceName": "phone"}));
    let serial = made["VirtualMFADevice"]["SerialNumber"].clone();
    assert_eq!(serial, "arn:aws:iam::123456789012:mfa/phone");
    let enable = |a: &str, b: &str| {
        json!({"UserName": "ada", "SerialNumber": serial, "AuthenticationCode1": a,
            "AuthenticationCode2": b})
    };
    let refusal = w.refusal("EnableMFADevice", enable("000000", "000000"));
    assert_eq!(refusal.0, "InvalidAuthenticationCode");
    let all = |w: &mut crate::World, status: &str| {
        let listed = w.call("ListVirtualMFADevices", json!({"AssignmentStatus": status}));
        listed["VirtualMFADevices"].as_array().unwrap().len()
    };
    assert_eq!((all(&mut w, "Assigned"), all(&mut w, "Unassigned"), all(&mut w, "Any")), (0, 1, 1));
    let get = w.refusal("GetMFADevice", json!({"SerialNumber": serial}));
    assert_eq!(get.0, "NoSuchEntity");
    w.call("DeleteVirtualMFADevice", json!({"SerialNumber": serial}));
}

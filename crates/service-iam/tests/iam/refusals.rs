//! Every way to be refused, with AWS's code and words.

use serde_json::{Value, json};

use crate::world::{ALLOW_ALL, World, document, refused};

/// A world with one of everything, all of it in use.
fn furnished() -> World {
    let mut w = crate::world();
    w.call("CreateUser", json!({"UserName": "ada"}));
    w.call("CreateGroup", json!({"GroupName": "devs"}));
    w.call("AddUserToGroup", json!({"GroupName": "devs", "UserName": "ada"}));
    let trust = json!([{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
        "Action": "sts:AssumeRole"}]);
    w.role("host", trust);
    w.call("CreateInstanceProfile", json!({"InstanceProfileName": "host"}));
    w.call("AddRoleToInstanceProfile", json!({"InstanceProfileName": "host", "RoleName": "host"}));
    w.call("CreatePolicy", json!({"PolicyName": "all", "PolicyDocument": ALLOW_ALL}));
    w.call("AttachUserPolicy", json!({"UserName": "ada", "PolicyArn": arn("policy/all")}));
    w.call("CreateServiceLinkedRole", json!({"AWSServiceName": "ecs.amazonaws.com"}));
    w
}

fn arn(resource: &str) -> String {
    format!("arn:aws:iam::123456789012:{resource}")
}

#[test]
fn each_refusal_has_awss_code_and_text() {
    let mut w = furnished();
    let linked = "Cannot perform the operation on the protected role 'AWSServiceRoleForECS' - this \
        role is only modifiable by AWS";
    let nobody = "The user with name bob cannot be found.";
    let trust = document(json!([{"Effect": "Allow", "Principal": {"AWS": arn("user/bob")},
        "Action": "sts:AssumeRole"}]));
    let stranger = format!("Invalid principal in policy: \"AWS\":\"{}\"", arn("user/bob"));
    let table: Vec<(&str, Value, &str, String)> = vec![
        ("GetUser", json!({"UserName": "bob"}), "NoSuchEntity", nobody.into()),
        ("DeleteUser", json!({"UserName": "bob"}), "NoSuchEntity", nobody.into()),
        ("ListAccessKeys", json!({"UserName": "bob"}), "NoSuchEntity", nobody.into()),
        ("ListGroupsForUser", json!({"UserName": "bob"}), "NoSuchEntity", nobody.into()),
        (
            "CreateUser",
            json!({"UserName": "ADA"}),
            "EntityAlreadyExists",
            "User with name ADA already exists.".into(),
        ),
        (
            "CreateGroup",
            json!({"GroupName": "devs"}),
            "EntityAlreadyExists",
            "Group with name devs already exists.".into(),
        ),
        (
            "CreateRole",
            json!({"RoleName": "host", "AssumeRolePolicyDocument": "{}"}),
            "EntityAlreadyExists",
            "Role with name host already exists.".into(),
        ),
        (
            "CreateInstanceProfile",
            json!({"InstanceProfileName": "host"}),
            "EntityAlreadyExists",
            "Instance Profile host already exists.".into(),
        ),
        (
            "CreatePolicy",
            json!({"PolicyName": "All", "Path": "/x/", "PolicyDocument": ALLOW_ALL}),
            "EntityAlreadyExists",
            "A policy called All already exists. Duplicate names are not allowed.".into(),
        ),
        (
            "CreateRole",
            json!({"RoleName": "new", "AssumeRolePolicyDocument": "{"}),
            "MalformedPolicyDocument",
            "Syntax errors in policy.".into(),
        ),
        (
            "CreateRole",
            json!({"RoleName": "new", "AssumeRolePolicyDocument": trust}),
            "MalformedPolicyDocument",
            stranger,
        ),
        (
            "CreateUser",
            json!({"UserName": "new", "PermissionsBoundary": arn("policy/none")}),
            "NoSuchEntity",
            format!("Scope ARN: {} does not exist or is not attachable.", arn("policy/none")),
        ),
        (
            "CreateUser",
            json!({"UserName": "new", "Tags": [{"Key": "a", "Value": "1"}, {"Key": "A", "Value": ""}]}),
            "InvalidInput",
            "Duplicate tag keys found. Please note that Tag keys are case insensitive.".into(),
        ),
        (
            "DeleteUser",
            json!({"UserName": "ada"}),
            "DeleteConflict",
            "Cannot delete entity, must remove users from group first.".into(),
        ),
        (
            "DeleteGroup",
            json!({"GroupName": "devs"}),
            "DeleteConflict",
            "Cannot delete entity, must remove users from group first.".into(),
        ),
        (
            "DeleteRole",
            json!({"RoleName": "host"}),
            "DeleteConflict",
            "Cannot delete entity, must remove roles from instance profile first.".into(),
        ),
        (
            "DeleteInstanceProfile",
            json!({"InstanceProfileName": "host"}),
            "DeleteConflict",
            "Cannot delete entity, must remove roles from instance profile first.".into(),
        ),
        (
            "DeletePolicy",
            json!({"PolicyArn": arn("policy/all")}),
            "DeleteConflict",
            "Cannot delete a policy attached to entities.".into(),
        ),
        (
            "DeletePolicyVersion",
            json!({"PolicyArn": arn("policy/all"), "VersionId": "v1"}),
            "DeleteConflict",
            "Cannot delete the default version of a policy.".into(),
        ),
        (
            "GetPolicyVersion",
            json!({"PolicyArn": arn("policy/all"), "VersionId": "v7"}),
            "NoSuchEntity",
            format!("Policy {} version v7 does not exist or is not attachable.", arn("policy/all")),
        ),
        (
            "GetPolicy",
            json!({"PolicyArn": arn("policy/none")}),
            "NoSuchEntity",
            format!("Policy {} was not found.", arn("policy/none")),
        ),
        (
            "AttachUserPolicy",
            json!({"UserName": "ada", "PolicyArn": arn("policy/none")}),
            "NoSuchEntity",
            format!("Policy {} does not exist or is not attachable.", arn("policy/none")),
        ),
        (
            "AttachUserPolicy",
            json!({"UserName": "ada", "PolicyArn": "arn:aws:ecs:us-east-1:1:cluster/x"}),
            "InvalidInput",
            "ARN arn:aws:ecs:us-east-1:1:cluster/x is not valid.".into(),
        ),
        (
            "AttachRolePolicy",
            json!({"RoleName": "host", "PolicyArn":
                "arn:aws:iam::aws:policy/aws-service-role/AmazonECSServiceRolePolicy"}),
            "PolicyNotAttachable",
            "Cannot attach a Service Role Policy to a Customer Role.".into(),
        ),
        (
            "DetachGroupPolicy",
            json!({"GroupName": "devs", "PolicyArn": arn("policy/all")}),
            "NoSuchEntity",
            format!("Policy {} was not found.", arn("policy/all")),
        ),
        (
            "GetRolePolicy",
            json!({"RoleName": "host", "PolicyName": "p"}),
            "NoSuchEntity",
            "The role policy with name p cannot be found.".into(),
        ),
        (
            "DeleteUserPolicy",
            json!({"UserName": "ada", "PolicyName": "p"}),
            "NoSuchEntity",
            "The user policy with name p cannot be found.".into(),
        ),
        (
            "AddRoleToInstanceProfile",
            json!({"InstanceProfileName": "host", "RoleName": "host"}),
            "LimitExceeded",
            "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1".into(),
        ),
        (
            "RemoveRoleFromInstanceProfile",
            json!({"InstanceProfileName": "host", "RoleName": "other"}),
            "NoSuchEntity",
            "The role with name other cannot be found.".into(),
        ),
        (
            "GetInstanceProfile",
            json!({"InstanceProfileName": "none"}),
            "NoSuchEntity",
            "Instance Profile none cannot be found.".into(),
        ),
        (
            "DeleteRole",
            json!({"RoleName": "AWSServiceRoleForECS"}),
            "UnmodifiableEntity",
            linked.into(),
        ),
        (
            "PutRolePolicy",
            json!({"RoleName": "AWSServiceRoleForECS", "PolicyName": "p", "PolicyDocument": ALLOW_ALL}),
            "UnmodifiableEntity",
            linked.into(),
        ),
        (
            "CreateServiceLinkedRole",
            json!({"AWSServiceName": "ecs.amazonaws.com"}),
            "InvalidInput",
            "Service role name AWSServiceRoleForECS has been taken in this account, please try a \
             different suffix."
                .into(),
        ),
        (
            "DeleteAccessKey",
            json!({"UserName": "ada", "AccessKeyId": "AKIAEXAMPLEEXAMPLE00"}),
            "NoSuchEntity",
            "The Access Key with id AKIAEXAMPLEEXAMPLE00 cannot be found.".into(),
        ),
        (
            "GetLoginProfile",
            json!({"UserName": "ada"}),
            "NoSuchEntity",
            "Login Profile for User ada cannot be found.".into(),
        ),
        (
            "CreateLoginProfile",
            json!({"UserName": "ada", "Password": "short"}),
            "PasswordPolicyViolation",
            "Password does not conform to the account password policy.".into(),
        ),
        (
            "GetAccountPasswordPolicy",
            json!({}),
            "NoSuchEntity",
            "The Password Policy with domain name 123456789012 cannot be found.".into(),
        ),
        (
            "GetCredentialReport",
            json!({}),
            "ReportNotPresent",
            "No report exists. Please call GenerateCredentialReport to create a new report.".into(),
        ),
        ("ListUsers", json!({"Marker": "x"}), "ValidationError", "Invalid Marker.".into()),
        (
            "UploadServerCertificate",
            json!({"ServerCertificateName": "c", "CertificateBody": "x", "PrivateKey": "y"}),
            "MalformedCertificate",
            "Unable to parse certificate. Please ensure the certificate is in PEM format.".into(),
        ),
    ];
    for (operation, input, code, text) in table {
        assert_eq!(
            w.refusal(operation, input.clone()),
            refused(code, &text),
            "{operation} {input}"
        );
    }
}

#[test]
fn quotas_are_kept() {
    let mut w = crate::world();
    let exceeded =
        |what: &str| refused("LimitExceeded", &format!("Cannot exceed quota for {what}"));
    w.call("CreateUser", json!({"UserName": "ada"}));
    for _ in 0..2 {
        w.call("CreateAccessKey", json!({"UserName": "ada"}));
    }
    let third = w.refusal("CreateAccessKey", json!({"UserName": "ada"}));
    assert_eq!(third, exceeded("AccessKeysPerUser: 2"));
    for n in 0..11 {
        let policy = json!({"PolicyName": format!("p{n}"), "PolicyDocument": ALLOW_ALL});
        w.call("CreatePolicy", policy);
        w.call("CreateGroup", json!({"GroupName": format!("g{n}")}));
        let attach = json!({"UserName": "ada", "PolicyArn": arn(&format!("policy/p{n}"))});
        let join = json!({"UserName": "ada", "GroupName": format!("g{n}")});
        if n < 10 {
            w.call("AttachUserPolicy", attach);
            w.call("AddUserToGroup", join);
        } else {
            assert_eq!(w.refusal("AttachUserPolicy", attach), exceeded("PoliciesPerUser: 10"));
            assert_eq!(w.refusal("AddUserToGroup", join), exceeded("GroupsPerUser: 10"));
        }
    }
    let long = |bytes: usize| {
        let resource = format!("arn:aws:s3:::{}", "x".repeat(bytes));
        document(json!([{"Effect": "Allow", "Action": "s3:*", "Resource": resource}]))
    };
    let put = json!({"UserName": "ada", "PolicyName": "p", "PolicyDocument": long(2048)});
    let text = "Maximum policy size of 2048 bytes exceeded for user ada";
    assert_eq!(w.refusal("PutUserPolicy", put), refused("LimitExceeded", text));
    let managed = json!({"PolicyName": "big", "PolicyDocument": long(6144)});
    assert_eq!(w.refusal("CreatePolicy", managed), exceeded("PolicySize: 6144"));
}

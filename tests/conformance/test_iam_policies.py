"""Policies, managed and inline, with their versions; the account's own settings; simulations."""

import json

import pytest

from wharf_server import ACCOUNT

ARN = f"arn:aws:iam::{ACCOUNT}:"
SEEDS = [
    "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role",
    "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceRole",
    "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy",
    "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",
    "arn:aws:iam::aws:policy/AmazonECS_FullAccess",
    "arn:aws:iam::aws:policy/AdministratorAccess",
    "arn:aws:iam::aws:policy/ReadOnlyAccess",
]


def document(action="ecs:*", resource="*", effect="Allow", **more):
    statement = {"Effect": effect, "Action": action, "Resource": resource} | more
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


TRUST = json.dumps({"Version": "2012-10-17", "Statement": [{
    "Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]})


@pytest.mark.parametrize("arn", SEEDS)
def test_built_in(iam, arn):
    policy = iam.get_policy(PolicyArn=arn)["Policy"]
    assert policy["Arn"] == arn and policy["IsAttachable"]
    version = iam.get_policy_version(
        PolicyArn=arn, VersionId=policy["DefaultVersionId"]
    )["PolicyVersion"]
    assert version["Document"]["Version"] == "2012-10-17"
    assert version["IsDefaultVersion"]


def test_built_in_policies_cannot_be_changed(iam, refused):
    arn = SEEDS[0]
    with refused("AccessDenied"):
        iam.delete_policy(PolicyArn=arn)


def test_customer_policy(iam, name, refused):
    made = iam.create_policy(
        PolicyName=name, Path="/p/", PolicyDocument=document(), Description="words",
        Tags=[{"Key": "a", "Value": "b"}],
    )["Policy"]
    arn = f"{ARN}policy/p/{name}"
    assert made["Arn"] == arn
    assert made["PolicyId"].startswith("ANPA")
    assert (made["DefaultVersionId"], made["AttachmentCount"]) == ("v1", 0)
    with refused("EntityAlreadyExists",
                 f"A policy called {name} already exists. Duplicate names are not allowed.", 409):
        iam.create_policy(PolicyName=name, PolicyDocument=document())
    seen = iam.get_policy(PolicyArn=arn)["Policy"]
    assert (seen["Description"], seen["Tags"]) == ("words", [{"Key": "a", "Value": "b"}])
    listed = iam.list_policies(Scope="Local", PathPrefix="/p/")["Policies"]
    assert [p["PolicyName"] for p in listed] == [name]
    iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "c", "Value": ""}])
    iam.untag_policy(PolicyArn=arn, TagKeys=["a"])
    assert iam.list_policy_tags(PolicyArn=arn)["Tags"] == [{"Key": "c", "Value": ""}]
    iam.delete_policy(PolicyArn=arn)
    with refused("NoSuchEntity", f"Policy {arn} was not found.", 404):
        iam.get_policy(PolicyArn=arn)


def test_versions(iam, name, refused):
    arn = iam.create_policy(PolicyName=name, PolicyDocument=document())["Policy"]["Arn"]
    for n in range(2, 6):
        made = iam.create_policy_version(
            PolicyArn=arn, PolicyDocument=document(f"ecs:Op{n}"), SetAsDefault=n == 3
        )["PolicyVersion"]
        assert (made["VersionId"], made["IsDefaultVersion"]) == (f"v{n}", n == 3)
    with refused("LimitExceeded", "A managed policy can have up to 5 versions. Before you create a "
                 "new version, you must delete an existing version.", 409):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=document())
    with refused("DeleteConflict", "Cannot delete the default version of a policy.", 409):
        iam.delete_policy_version(PolicyArn=arn, VersionId="v3")
    iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v5")
    versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    assert sorted(v["VersionId"] for v in versions) == ["v1", "v3", "v4", "v5"]
    assert [v["VersionId"] for v in versions if v["IsDefaultVersion"]] == ["v5"]
    made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=document())["PolicyVersion"]
    assert made["VersionId"] == "v6"
    with refused("NoSuchEntity", status=404):
        iam.get_policy_version(PolicyArn=arn, VersionId="v2")
    with refused("DeleteConflict", status=409):
        iam.delete_policy(PolicyArn=arn)


BAD = [
    "", "{", "[]", "{}", "null", '{"Version":"2012-10-17"}',
    document(effect="Perhaps"), document(action="no-colon"), document(resource="not-an-arn"),
    document().replace("2012-10-17", "2030-01-01"), document(Principal="*"),
    document(Condition={"NoSuchOperator": {"a": "b"}}), document(Nonsense=1),
    document().replace('"Action"', '"NotThere"'),
]


@pytest.mark.parametrize("text", BAD)
def test_documents_that_are_none(iam, name, refused, text):
    # AWS: the model wants at least one character; all else is the parser's to refuse.
    code = "MalformedPolicyDocument" if text else "ValidationError"
    with refused(code, status=400):
        iam.create_policy(PolicyName=name, PolicyDocument=text)
    iam.create_user(UserName=name)
    with refused(code, status=400):
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=text)


def test_a_document_too_large(iam, name, refused):
    text = document([f"ecs:Action{n:05}" for n in range(700)])
    with refused("LimitExceeded", status=409):
        iam.create_policy(PolicyName=name, PolicyDocument=text)


@pytest.mark.parametrize("what", ["user", "group", "role"])
def test_attached(iam, name, refused, what):
    make(iam, what, name)
    who = {f"{what.capitalize()}Name": name}
    arn = iam.create_policy(PolicyName=name, PolicyDocument=document())["Policy"]["Arn"]
    attach, detach = getattr(iam, f"attach_{what}_policy"), getattr(iam, f"detach_{what}_policy")
    attach(**who, PolicyArn=arn)
    attach(**who, PolicyArn=arn)
    attached = getattr(iam, f"list_attached_{what}_policies")(**who)["AttachedPolicies"]
    assert attached == [{"PolicyName": name, "PolicyArn": arn}]
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    holders = iam.list_entities_for_policy(PolicyArn=arn)
    assert [e[f"{what.capitalize()}Name"] for e in holders[f"Policy{what.capitalize()}s"]] == [
        name
    ]
    with refused("DeleteConflict", "Cannot delete a policy attached to entities.", 409):
        iam.delete_policy(PolicyArn=arn)
    detach(**who, PolicyArn=arn)
    with refused("NoSuchEntity", f"Policy {arn} was not found.", 404):
        detach(**who, PolicyArn=arn)
    missing = f"{ARN}policy/no-such"
    with refused("NoSuchEntity", f"Policy {missing} does not exist or is not attachable.", 404):
        attach(**who, PolicyArn=missing)
    with refused("NoSuchEntity", status=404):
        attach(**{f"{what.capitalize()}Name": "no-such"}, PolicyArn=arn)


def make(iam, what, name):
    if what == "role":
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    else:
        getattr(iam, f"create_{what}")(**{f"{what.capitalize()}Name": name})


@pytest.mark.parametrize("what", ["user", "group", "role"])
def test_inline(iam, name, refused, what):
    make(iam, what, name)
    who = {f"{what.capitalize()}Name": name}
    put, get = getattr(iam, f"put_{what}_policy"), getattr(iam, f"get_{what}_policy")
    put(**who, PolicyName="p", PolicyDocument=document())
    put(**who, PolicyName="p", PolicyDocument=document("ecs:List*"))
    put(**who, PolicyName="q", PolicyDocument=document())
    assert get(**who, PolicyName="p")["PolicyDocument"] == json.loads(document("ecs:List*"))
    names = getattr(iam, f"list_{what}_policies")(**who)["PolicyNames"]
    assert names == ["p", "q"]
    getattr(iam, f"delete_{what}_policy")(**who, PolicyName="p")
    with refused("NoSuchEntity", f"The {what} policy with name p cannot be found.", 404):
        get(**who, PolicyName="p")
    with refused("NoSuchEntity", f"The {what} with name no-such cannot be found.", 404):
        put(**{f"{what.capitalize()}Name": "no-such"}, PolicyName="p", PolicyDocument=document())


def test_alias(iam, refused):
    assert iam.list_account_aliases()["AccountAliases"] == []
    iam.create_account_alias(AccountAlias="our-dock")
    assert iam.list_account_aliases()["AccountAliases"] == ["our-dock"]
    iam.create_account_alias(AccountAlias="our-pier")
    assert iam.list_account_aliases()["AccountAliases"] == ["our-pier"]
    for bad in ("UPPER", "a", "-a-", "a--b", "x" * 64):
        with refused("ValidationError", status=400):
            iam.create_account_alias(AccountAlias=bad)
    with refused("NoSuchEntity", status=404):
        iam.delete_account_alias(AccountAlias="another")
    iam.delete_account_alias(AccountAlias="our-pier")


def test_password_policy(iam, name, refused):
    with refused("NoSuchEntity",
                 f"The Password Policy with domain name {ACCOUNT} cannot be found.", 404):
        iam.get_account_password_policy()
    iam.update_account_password_policy(
        MinimumPasswordLength=12, RequireSymbols=True, RequireNumbers=True, MaxPasswordAge=90,
        PasswordReusePrevention=3, AllowUsersToChangePassword=True,
    )
    got = iam.get_account_password_policy()["PasswordPolicy"]
    assert (got["MinimumPasswordLength"], got["ExpirePasswords"]) == (12, True)
    assert got["RequireUppercaseCharacters"] is False
    iam.create_user(UserName=name)
    with refused("PasswordPolicyViolation", status=400):
        iam.create_login_profile(UserName=name, Password="short")
    with refused("ValidationError", status=400):
        iam.update_account_password_policy(MinimumPasswordLength=5)
    iam.delete_account_password_policy()
    with refused("NoSuchEntity", status=404):
        iam.delete_account_password_policy()


def test_summary_and_details(iam, name):
    make(iam, "user", name)
    make(iam, "group", name)
    make(iam, "role", name)
    iam.add_user_to_group(UserName=name, GroupName=name)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document())
    iam.create_policy(PolicyName=name, PolicyDocument=document())
    summary = iam.get_account_summary()["SummaryMap"]
    for what in ("Users", "Groups", "Roles", "Policies"):
        assert summary[what] >= 1
    assert summary["AccessKeysPerUserQuota"] == 2
    users, roles, groups, policies = [], [], [], []
    for page in iam.get_paginator("get_account_authorization_details").paginate():
        users += page["UserDetailList"]
        roles += page["RoleDetailList"]
        groups += page["GroupDetailList"]
        policies += page["Policies"]
    [mine] = [user for user in users if user["UserName"] == name]
    assert mine["GroupList"] == [name]
    assert mine["UserPolicyList"][0]["PolicyDocument"] == json.loads(document())
    assert name in [r["RoleName"] for r in roles] and name in [g["GroupName"] for g in groups]
    assert name in [p["PolicyName"] for p in policies]
    only = iam.get_account_authorization_details(Filter=["Role"])
    assert only["UserDetailList"] == [] and only["RoleDetailList"]


def test_simulate_principal(iam, name, refused):
    make(iam, "user", name)
    arn = f"{ARN}user/{name}"
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document("ecs:List*"))
    got = iam.simulate_principal_policy(
        PolicySourceArn=arn, ActionNames=["ecs:ListClusters", "ecs:DeleteCluster"]
    )["EvaluationResults"]
    assert {r["EvalActionName"]: r["EvalDecision"] for r in got} == {
        "ecs:ListClusters": "allowed", "ecs:DeleteCluster": "implicitDeny",
    }
    with refused("NoSuchEntity", status=404):
        iam.simulate_principal_policy(PolicySourceArn=f"{ARN}user/no-such", ActionNames=["a:b"])


def test_simulate_custom(iam):
    deny = document("ecs:Delete*", effect="Deny")
    got = iam.simulate_custom_policy(
        PolicyInputList=[document(), deny], ActionNames=["ecs:DeleteCluster", "s3:GetObject"]
    )["EvaluationResults"]
    assert [r["EvalDecision"] for r in got] == ["explicitDeny", "implicitDeny"]


def test_context_keys(iam, name):
    text = document(Condition={"StringEquals": {"aws:RequestTag/a": "b"}})
    got = iam.get_context_keys_for_custom_policy(PolicyInputList=[text])["ContextKeyNames"]
    assert got == ["aws:RequestTag/a"]
    make(iam, "user", name)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=text)
    got = iam.get_context_keys_for_principal_policy(PolicySourceArn=f"{ARN}user/{name}")
    assert got["ContextKeyNames"] == ["aws:RequestTag/a"]

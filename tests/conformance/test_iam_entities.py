"""Users, groups, roles, instance profiles: what is made is found, and what is used cannot be
deleted."""

import json
import re

import pytest

from patience import until
from wharf_server import ACCOUNT

ARN = f"arn:aws:iam::{ACCOUNT}:"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }],
}
ALLOW = {"Version": "2012-10-17",
         "Statement": [{"Effect": "Allow", "Action": "ecs:*", "Resource": "*"}]}
READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"


def role(iam, name, **more):
    return iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST), **more
    )["Role"]


def test_user(iam, name, refused):
    made = iam.create_user(
        UserName=name, Path="/team/a/", Tags=[{"Key": "k", "Value": "v"}]
    )["User"]
    assert made["Arn"] == f"{ARN}user/team/a/{name}"
    assert re.fullmatch(r"AIDA[A-Z0-9]{16,17}", made["UserId"])
    assert made["Tags"] == [{"Key": "k", "Value": "v"}]
    seen = iam.get_user(UserName=name)["User"]
    assert seen == made
    with refused("EntityAlreadyExists", f"User with name {name} already exists.", 409):
        iam.create_user(UserName=name)
    iam.update_user(UserName=name, NewUserName=name + "-2", NewPath="/")
    moved = iam.get_user(UserName=name + "-2")["User"]
    assert (moved["UserId"], moved["Arn"]) == (made["UserId"], f"{ARN}user/{name}-2")
    iam.delete_user(UserName=name + "-2")
    with refused("NoSuchEntity", f"The user with name {name} cannot be found.", 404):
        iam.get_user(UserName=name)
    with refused("NoSuchEntity"):
        iam.delete_user(UserName=name)


def test_names_differ_by_more_than_case(iam, name, refused):
    """AWS: names are kept as given and are unique without regard to case."""
    iam.create_user(UserName=name.lower())
    with refused("EntityAlreadyExists", status=409):
        iam.create_user(UserName=name.upper())


@pytest.mark.parametrize("bad", ["", "a b", "a/b", "ü", "u" * 129, "a:b"])
def test_user_names_that_are_none(iam, refused, bad):
    with refused("ValidationError", status=400):
        iam.create_user(UserName=bad)


@pytest.mark.parametrize("path", ["no-slash", "/half", "half/", "", "/" + "p" * 512 + "/"])
def test_paths_that_are_none(iam, name, refused, path):
    with refused("ValidationError", status=400):
        iam.create_user(UserName=name, Path=path)


def test_root_asks_for_itself(iam):
    user = iam.get_user()["User"]
    assert user["Arn"] == f"{ARN}root"
    assert user["UserId"] == ACCOUNT


def test_group_and_its_members(iam, name, refused):
    group = iam.create_group(GroupName=name, Path="/g/")["Group"]
    assert group["Arn"] == f"{ARN}group/g/{name}"
    assert group["GroupId"].startswith("AGPA")
    with refused("EntityAlreadyExists", f"Group with name {name} already exists.", 409):
        iam.create_group(GroupName=name)
    iam.create_user(UserName=name)
    iam.add_user_to_group(GroupName=name, UserName=name)
    iam.add_user_to_group(GroupName=name, UserName=name)
    assert [u["UserName"] for u in iam.get_group(GroupName=name)["Users"]] == [name]
    assert [g["GroupName"] for g in iam.list_groups_for_user(UserName=name)["Groups"]] == [name]
    assert name in [g["GroupName"] for g in iam.list_groups(PathPrefix="/g/")["Groups"]]
    with refused("DeleteConflict", status=409):
        iam.delete_group(GroupName=name)
    with refused("DeleteConflict", status=409):
        iam.delete_user(UserName=name)
    with refused("NoSuchEntity", "The group with name no-such cannot be found.", 404):
        iam.add_user_to_group(GroupName="no-such", UserName=name)
    with refused("NoSuchEntity", "The user with name no-such cannot be found.", 404):
        iam.add_user_to_group(GroupName=name, UserName="no-such")
    iam.update_group(GroupName=name, NewGroupName=name + "-2")
    assert [g["GroupName"] for g in iam.list_groups_for_user(UserName=name)["Groups"]] == [
        name + "-2"
    ]
    iam.remove_user_from_group(GroupName=name + "-2", UserName=name)
    iam.delete_group(GroupName=name + "-2")
    iam.delete_user(UserName=name)


def test_role(iam, name, refused):
    made = role(iam, name, Path="/r/", Description="Größe", MaxSessionDuration=7200,
                Tags=[{"Key": "k", "Value": ""}])
    assert made["Arn"] == f"{ARN}role/r/{name}"
    assert made["RoleId"].startswith("AROA")
    assert made["AssumeRolePolicyDocument"] == TRUST
    seen = iam.get_role(RoleName=name)["Role"]
    assert (seen["Description"], seen["MaxSessionDuration"]) == ("Größe", 7200)
    assert seen["Tags"] == [{"Key": "k", "Value": ""}]
    assert seen["RoleLastUsed"] == {}
    with refused("EntityAlreadyExists", f"Role with name {name} already exists.", 409):
        role(iam, name)
    iam.update_role(RoleName=name, Description="", MaxSessionDuration=3600)
    assert iam.get_role(RoleName=name)["Role"]["MaxSessionDuration"] == 3600
    iam.update_role_description(RoleName=name, Description="new")
    assert iam.get_role(RoleName=name)["Role"]["Description"] == "new"
    other = json.loads(json.dumps(TRUST).replace("ecs-tasks", "ec2"))
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(other))
    assert iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"] == other
    listed = iam.list_roles(PathPrefix="/r/")["Roles"]
    assert [r["RoleName"] for r in listed] == [name]
    iam.delete_role(RoleName=name)
    with refused("NoSuchEntity", f"The role with name {name} cannot be found.", 404):
        iam.get_role(RoleName=name)


@pytest.mark.parametrize("document", [
    "", "{", "[]", "{}", '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"x:y"}]}',
    json.dumps(ALLOW), json.dumps(TRUST).replace("Allow", "Maybe"),
    json.dumps(TRUST).replace("2012-10-17", "2021-10-17"),
])
def test_trust_policies_that_are_none(iam, name, refused, document):
    # AWS: the model wants at least one character; all else is the parser's to refuse.
    code = "MalformedPolicyDocument" if document else "ValidationError"
    with refused(code, status=400):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)


@pytest.mark.parametrize("seconds", [3599, 43201])
def test_session_durations_that_are_none(iam, name, refused, seconds):
    with refused("ValidationError", status=400):
        role(iam, name, MaxSessionDuration=seconds)


def test_roles_in_use_stay(iam, name, refused):
    role(iam, name)
    iam.attach_role_policy(RoleName=name, PolicyArn=READ_ONLY)
    with refused("DeleteConflict", "Cannot delete entity, must detach all policies first.", 409):
        iam.delete_role(RoleName=name)
    iam.detach_role_policy(RoleName=name, PolicyArn=READ_ONLY)
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(ALLOW))
    with refused("DeleteConflict", "Cannot delete entity, must delete policies first.", 409):
        iam.delete_role(RoleName=name)
    iam.delete_role_policy(RoleName=name, PolicyName="p")
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    with refused("DeleteConflict",
                 "Cannot delete entity, must remove roles from instance profile first.", 409):
        iam.delete_role(RoleName=name)
    iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name)
    iam.delete_instance_profile(InstanceProfileName=name)
    iam.delete_role(RoleName=name)


def test_users_in_use_stay(iam, name, refused):
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
    with refused("DeleteConflict", status=409):
        iam.delete_user(UserName=name)
    iam.delete_access_key(UserName=name, AccessKeyId=key)
    iam.create_login_profile(UserName=name, Password="Correct-horse1")
    with refused("DeleteConflict", status=409):
        iam.delete_user(UserName=name)
    iam.delete_login_profile(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(ALLOW))
    with refused("DeleteConflict", "Cannot delete entity, must delete policies first.", 409):
        iam.delete_user(UserName=name)
    iam.delete_user_policy(UserName=name, PolicyName="p")
    iam.attach_user_policy(UserName=name, PolicyArn=READ_ONLY)
    with refused("DeleteConflict", "Cannot delete entity, must detach all policies first.", 409):
        iam.delete_user(UserName=name)
    iam.detach_user_policy(UserName=name, PolicyArn=READ_ONLY)
    iam.delete_user(UserName=name)


def test_instance_profile(iam, name, refused):
    made = iam.create_instance_profile(
        InstanceProfileName=name, Path="/p/", Tags=[{"Key": "a", "Value": "b"}]
    )["InstanceProfile"]
    assert made["Arn"] == f"{ARN}instance-profile/p/{name}"
    assert made["InstanceProfileId"].startswith("AIPA")
    assert made["Roles"] == []
    with refused("EntityAlreadyExists", f"Instance Profile {name} already exists.", 409):
        iam.create_instance_profile(InstanceProfileName=name)
    role(iam, name)
    role(iam, name + "-2")
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    with refused("LimitExceeded", status=409):
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name + "-2")
    seen = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    assert [r["RoleName"] for r in seen["Roles"]] == [name]
    assert seen["Roles"][0]["AssumeRolePolicyDocument"] == TRUST
    of_role = iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"]
    assert [p["InstanceProfileName"] for p in of_role] == [name]
    with refused("DeleteConflict", status=409):
        iam.delete_instance_profile(InstanceProfileName=name)
    with refused("NoSuchEntity", "Instance Profile no-such cannot be found.", 404):
        iam.get_instance_profile(InstanceProfileName="no-such")
    iam.tag_instance_profile(InstanceProfileName=name, Tags=[{"Key": "c", "Value": "d"}])
    iam.untag_instance_profile(InstanceProfileName=name, TagKeys=["a"])
    tags = iam.list_instance_profile_tags(InstanceProfileName=name)["Tags"]
    assert tags == [{"Key": "c", "Value": "d"}]
    assert name in [p["InstanceProfileName"] for p in
                    iam.list_instance_profiles(PathPrefix="/p/")["InstanceProfiles"]]


def last_used(iam, key):
    told = iam.get_access_key_last_used(AccessKeyId=key)["AccessKeyLastUsed"]
    return told if "LastUsedDate" in told else None


def test_access_keys(iam, server, name, refused):
    iam.create_user(UserName=name)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    assert re.fullmatch(r"AKIA[A-Z0-9]{16}", made["AccessKeyId"])
    assert len(made["SecretAccessKey"]) == 40
    assert made["Status"] == "Active"
    mine = server.client("sts", made["AccessKeyId"], made["SecretAccessKey"])
    assert mine.get_caller_identity()["Arn"] == f"{ARN}user/{name}"
    unused = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
    used = iam.get_access_key_last_used(AccessKeyId=unused)
    assert used["UserName"] == name
    assert used["AccessKeyLastUsed"] == {"ServiceName": "N/A", "Region": "N/A"}
    with refused("LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2", 409):
        iam.create_access_key(UserName=name)
    listed = iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
    assert len(listed) == 2 and all("SecretAccessKey" not in key for key in listed)
    seen = until("the key's use is told", lambda: last_used(iam, made["AccessKeyId"]))
    assert (seen["ServiceName"], seen["Region"]) == ("sts", "us-east-1")
    iam.update_access_key(UserName=name, AccessKeyId=made["AccessKeyId"], Status="Inactive")
    with refused("InvalidClientTokenId", status=403):
        mine.get_caller_identity()
    iam.update_access_key(UserName=name, AccessKeyId=made["AccessKeyId"], Status="Active")
    assert mine.get_caller_identity()["UserId"].startswith("AIDA")
    iam.delete_access_key(UserName=name, AccessKeyId=made["AccessKeyId"])
    with refused("InvalidClientTokenId", status=403):
        mine.get_caller_identity()
    with refused("NoSuchEntity", status=404):
        iam.delete_access_key(UserName=name, AccessKeyId=made["AccessKeyId"])
    with refused("ValidationError"):
        iam.update_access_key(UserName=name, AccessKeyId="A" * 20, Status="Asleep")


def test_login_profile(iam, name, refused):
    iam.create_user(UserName=name)
    with refused("NoSuchEntity", status=404):
        iam.get_login_profile(UserName=name)
    made = iam.create_login_profile(
        UserName=name, Password="Correct-horse1", PasswordResetRequired=True
    )["LoginProfile"]
    assert (made["UserName"], made["PasswordResetRequired"]) == (name, True)
    with refused("EntityAlreadyExists", status=409):
        iam.create_login_profile(UserName=name, Password="Correct-horse1")
    iam.update_login_profile(UserName=name, PasswordResetRequired=False)
    assert iam.get_login_profile(UserName=name)["LoginProfile"]["PasswordResetRequired"] is False
    iam.delete_login_profile(UserName=name)
    with refused("NoSuchEntity", status=404):
        iam.delete_login_profile(UserName=name)


@pytest.mark.parametrize("what", ["user", "role"])
def test_tags(iam, name, refused, what):
    title = what.capitalize()
    if what == "user":
        iam.create_user(UserName=name)
    else:
        role(iam, name)
    who = {f"{title}Name": name}
    tag, untag = getattr(iam, f"tag_{what}"), getattr(iam, f"untag_{what}")
    listed = getattr(iam, f"list_{what}_tags")
    tag(**who, Tags=[{"Key": "a", "Value": "1"}, {"Key": "é", "Value": "x y"}])
    tag(**who, Tags=[{"Key": "a", "Value": "2"}])
    assert {t["Key"]: t["Value"] for t in listed(**who)["Tags"]} == {"a": "2", "é": "x y"}
    untag(**who, TagKeys=["a", "never"])
    assert listed(**who)["Tags"] == [{"Key": "é", "Value": "x y"}]
    with refused("LimitExceeded"):
        tag(**who, Tags=[{"Key": f"k{n}", "Value": ""} for n in range(50)])
    with refused("InvalidInput"):
        tag(**who, Tags=[{"Key": "aws:x", "Value": ""}])
    with refused("NoSuchEntity", status=404):
        listed(**{f"{title}Name": "no-such"})


def test_boundary(iam, name, refused):
    iam.create_user(UserName=name, PermissionsBoundary=READ_ONLY)
    seen = iam.get_user(UserName=name)["User"]["PermissionsBoundary"]
    assert seen == {
        "PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": READ_ONLY
    } or seen["PermissionsBoundaryArn"] == READ_ONLY
    iam.delete_user_permissions_boundary(UserName=name)
    assert "PermissionsBoundary" not in iam.get_user(UserName=name)["User"]
    iam.put_user_permissions_boundary(UserName=name, PermissionsBoundary=READ_ONLY)
    role(iam, name)
    iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=READ_ONLY)
    assert "PermissionsBoundary" in iam.get_role(RoleName=name)["Role"]
    iam.delete_role_permissions_boundary(RoleName=name)
    with refused("NoSuchEntity", status=404):
        iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=f"{ARN}policy/none")


def test_service_linked_role(iam, refused):
    made = iam.create_service_linked_role(AWSServiceName="ecs.amazonaws.com")["Role"]
    assert made["RoleName"] == "AWSServiceRoleForECS"
    assert made["Path"] == "/aws-service-role/ecs.amazonaws.com/"
    with refused("InvalidInput", status=400):
        iam.create_service_linked_role(AWSServiceName="ecs.amazonaws.com")
    with refused("UnmodifiableEntity", status=400):
        iam.delete_role(RoleName="AWSServiceRoleForECS")
    # AWS: its tags and its description are the account's own.
    iam.tag_role(RoleName="AWSServiceRoleForECS", Tags=[{"Key": "a", "Value": "b"}])
    tags = iam.list_role_tags(RoleName="AWSServiceRoleForECS")["Tags"]
    assert tags == [{"Key": "a", "Value": "b"}]
    iam.update_role_description(RoleName="AWSServiceRoleForECS", Description="ours")
    got = iam.get_role(RoleName="AWSServiceRoleForECS")["Role"]
    assert got["Description"] == "ours"
    task = iam.delete_service_linked_role(RoleName="AWSServiceRoleForECS")["DeletionTaskId"]
    status = iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"]
    assert status in ("SUCCEEDED", "IN_PROGRESS", "NOT_STARTED")


def test_waiters(iam, name):
    iam.create_user(UserName=name)
    role(iam, name)
    iam.create_instance_profile(InstanceProfileName=name)
    arn = iam.create_policy(
        PolicyName=name, PolicyDocument=json.dumps(ALLOW)
    )["Policy"]["Arn"]
    quick = {"Delay": 1, "MaxAttempts": 2}
    iam.get_waiter("user_exists").wait(UserName=name, WaiterConfig=quick)
    iam.get_waiter("role_exists").wait(RoleName=name, WaiterConfig=quick)
    iam.get_waiter("instance_profile_exists").wait(InstanceProfileName=name, WaiterConfig=quick)
    iam.get_waiter("policy_exists").wait(PolicyArn=arn, WaiterConfig=quick)

"""Who am I, and who may I become: sessions, their tokens, their bounds and their end."""

import datetime
import json
import re
import shutil

import pytest

from patience import until
from wharf_server import ACCOUNT, ROOT_KEY, Server

ARN = f"arn:aws:iam::{ACCOUNT}:"
STS = f"arn:aws:sts::{ACCOUNT}:"
INVALID_TOKEN = "The security token included in the request is invalid."


def policy(action="*", resource="*", effect="Allow", **more):
    statement = {"Effect": effect, "Action": action, "Resource": resource} | more
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def trust(principal, **more):
    return json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"} | more]})


@pytest.fixture
def user(iam, server, name):
    """A user who may assume any role, as (name, key, secret)."""
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=policy("sts:*"))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return name, key["AccessKeyId"], key["SecretAccessKey"]


@pytest.fixture
def role(iam, name):
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust({"AWS": f"{ARN}root"}))
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy("ecs:*"))
    return f"{ARN}role/{name}"


def keys(answer):
    found = answer["Credentials"]
    return found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]


def test_root(sts):
    got = sts.get_caller_identity()
    assert (got["UserId"], got["Account"], got["Arn"]) == (ACCOUNT, ACCOUNT, f"{ARN}root")


def test_assume_role(server, user, role, name):
    sts = server.client("sts", *user[1:])
    got = sts.assume_role(RoleArn=role, RoleSessionName="s-1")
    assert re.fullmatch(r"ASIA[A-Z0-9]{16}", got["Credentials"]["AccessKeyId"])
    assert got["AssumedRoleUser"]["Arn"] == f"{STS}assumed-role/{name}/s-1"
    assert re.fullmatch(r"AROA[A-Z0-9]+:s-1", got["AssumedRoleUser"]["AssumedRoleId"])
    inside = server.client("sts", *keys(got)).get_caller_identity()
    assert inside["Arn"] == f"{STS}assumed-role/{name}/s-1"
    assert inside["UserId"] == got["AssumedRoleUser"]["AssumedRoleId"]
    server.client("ecs", *keys(got)).list_clusters()


def test_a_session_is_a_use_of_its_role(server, iam, user, role, name):
    assert iam.get_role(RoleName=name)["Role"]["RoleLastUsed"] == {}
    got = server.client("sts", *user[1:]).assume_role(RoleArn=role, RoleSessionName="s-1")
    server.client("ecs", *keys(got)).list_clusters()
    told = lambda: iam.get_role(RoleName=name)["Role"]["RoleLastUsed"]
    seen = until("the role's use is told", told)
    assert seen["Region"] == "us-east-1"
    details = iam.get_account_authorization_details(Filter=["Role"])["RoleDetailList"]
    assert [one["RoleLastUsed"] for one in details if one["RoleName"] == name] == [seen]


def test_durations(server, user, role, refused):
    sts = server.client("sts", *user[1:])
    got = sts.assume_role(RoleArn=role, RoleSessionName="s-1", DurationSeconds=900)
    left = got["Credentials"]["Expiration"] - datetime.datetime.now(datetime.timezone.utc)
    assert 890 < left.total_seconds() <= 901
    with refused("ValidationError", status=400):
        sts.assume_role(RoleArn=role, RoleSessionName="s-1", DurationSeconds=899)
    with refused("ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration "
                 "set for this role.", 400):
        sts.assume_role(RoleArn=role, RoleSessionName="s-1", DurationSeconds=7200)


def test_wrong_tokens(server, user, role, refused):
    sts = server.client("sts", *user[1:])
    key, secret, token = keys(sts.assume_role(RoleArn=role, RoleSessionName="s-1"))
    other = keys(sts.assume_role(RoleArn=role, RoleSessionName="s-2"))
    middle = len(token) // 2
    flipped = "A" if token[middle] != "A" else "B"
    for wrong in (None, token[:-4], token[:middle] + flipped + token[middle + 1:], "x", other[2]):
        for service, code, status in [
            ("sts", "InvalidClientTokenId", 403), ("ecs", "UnrecognizedClientException", 400),
        ]:
            client = server.client(service, key, secret, wrong)
            call = client.get_caller_identity if service == "sts" else client.list_clusters
            with refused(code, INVALID_TOKEN, status):
                call()


def test_a_token_with_a_lasting_key(server, user, role, refused):
    sts = server.client("sts", *user[1:])
    token = keys(sts.assume_role(RoleArn=role, RoleSessionName="s-1"))[2]
    with refused("InvalidClientTokenId", status=403):
        server.client("sts", user[1], user[2], token).get_caller_identity()


def test_session_policies_only_narrow(server, user, role, refused):
    sts = server.client("sts", *user[1:])
    got = sts.assume_role(
        RoleArn=role, RoleSessionName="narrow", Policy=policy(["ecs:List*", "iam:*"])
    )
    ecs = server.client("ecs", *keys(got))
    ecs.list_clusters()
    with refused("AccessDeniedException", status=400):
        ecs.create_cluster(clusterName="no")
    with refused("AccessDenied", status=403):
        server.client("iam", *keys(got)).list_users()
    by_arn = sts.assume_role(
        RoleArn=role, RoleSessionName="narrow",
        PolicyArns=[{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}],
    )
    ecs = server.client("ecs", *keys(by_arn))
    ecs.list_clusters()
    with refused("AccessDeniedException"):
        ecs.create_cluster(clusterName="no")
    with refused("MalformedPolicyDocument", status=400):
        sts.assume_role(RoleArn=role, RoleSessionName="broken", Policy="{")


def test_trust_is_needed(server, iam, user, name, refused):
    iam.create_role(RoleName=name + "-s",
                    AssumeRolePolicyDocument=trust({"Service": "ec2.amazonaws.com"}))
    arn = f"{ARN}role/{name}-s"
    sts = server.client("sts", *user[1:])
    text = (f"User: {ARN}user/{user[0]} is not authorized to perform: sts:AssumeRole on resource: "
            f"{arn}")
    with refused("AccessDenied", text, 403):
        sts.assume_role(RoleArn=arn, RoleSessionName="s-1")
    # AWS: whether a role exists is not told to those who may not assume it.
    with refused("AccessDenied", status=403):
        sts.assume_role(RoleArn=f"{ARN}role/never-was", RoleSessionName="s-1")


def test_root_assumes_no_role(sts, role, refused):
    with refused("AccessDenied", "Roles may not be assumed by root accounts.", 403):
        sts.assume_role(RoleArn=role, RoleSessionName="s-1")


def test_external_id(server, iam, user, name, refused):
    iam.create_role(RoleName=name + "-e", AssumeRolePolicyDocument=trust(
        {"AWS": f"{ARN}user/{user[0]}"}, Condition={"StringEquals": {"sts:ExternalId": "secret"}}
    ))
    arn = f"{ARN}role/{name}-e"
    sts = server.client("sts", *user[1:])
    sts.assume_role(RoleArn=arn, RoleSessionName="s-1", ExternalId="secret")
    with refused("AccessDenied"):
        sts.assume_role(RoleArn=arn, RoleSessionName="s-1", ExternalId="guess")
    with refused("AccessDenied"):
        sts.assume_role(RoleArn=arn, RoleSessionName="s-1")


@pytest.mark.parametrize("session", ["", "x", "a b", "s" * 65, "ü"])
def test_session_names_that_are_none(server, user, role, refused, session):
    with refused("ValidationError", status=400):
        server.client("sts", *user[1:]).assume_role(RoleArn=role, RoleSessionName=session)


def test_session_token(server, user):
    got = server.client("sts", *user[1:]).get_session_token(DurationSeconds=900)
    me = server.client("sts", *keys(got)).get_caller_identity()
    assert me["Arn"] == f"{ARN}user/{user[0]}"


def test_federation_token(server, user, refused):
    got = server.client("sts", *user[1:]).get_federation_token(
        Name="bob", Policy=policy("ecs:List*")
    )
    assert got["FederatedUser"]["Arn"] == f"{STS}federated-user/bob"


def test_access_key_info(sts, user, refused):
    assert sts.get_access_key_info(AccessKeyId=user[1])["Account"] == ACCOUNT
    assert sts.get_access_key_info(AccessKeyId=ROOT_KEY)["Account"] == ACCOUNT


def test_identities_of_others_are_refused_clearly(sts, role, refused):
    with refused("InvalidIdentityToken"):
        sts.assume_role_with_web_identity(
            RoleArn=role, RoleSessionName="s-1", WebIdentityToken="a.b.c"
        )


@pytest.mark.skipif(shutil.which("faketime") is None, reason="no faketime on this machine")
def test_expired(tmp_path, monkeypatch, refused):
    """The same server, twenty minutes later: a session of a quarter of an hour is over."""
    import botocore.auth

    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    later = now + datetime.timedelta(minutes=20)
    before = Server(tmp_path / "data").start()
    try:
        got = before.client("sts").get_session_token(DurationSeconds=900)
        before.client("ecs", *keys(got)).list_clusters()
        before.stop()
        after = Server(tmp_path / "data", under=("faketime", "-f", "+20m")).start()
    finally:
        before.kill()
    try:
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: later)
        text = "The security token included in the request is expired"
        with refused("ExpiredTokenException", text, 400):
            after.client("ecs", *keys(got)).list_clusters()
        with refused("ExpiredToken", text, 403):
            after.client("sts", *keys(got)).get_caller_identity()
        after.client("ecs").list_clusters()
    finally:
        after.kill()


def test_deleted_role_ends_sessions(server, iam, user, role, name, refused):
    got = server.client("sts", *user[1:]).assume_role(RoleArn=role, RoleSessionName="s-1")
    iam.delete_role_policy(RoleName=name, PolicyName="p")
    with refused("AccessDeniedException", status=400):
        server.client("ecs", *keys(got)).list_clusters()
    iam.delete_role(RoleName=name)
    with refused("UnrecognizedClientException", status=400):
        server.client("ecs", *keys(got)).list_clusters()

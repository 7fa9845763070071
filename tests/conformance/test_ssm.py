"""Systems Manager: activations, as the stock clients make, list and delete them."""

import datetime
import hashlib
import json
import urllib.error
import urllib.request

import pytest

from wharf_server import ACCOUNT

TRUST = json.dumps({"Version": "2012-10-17", "Statement": [{
    "Effect": "Allow", "Principal": {"Service": "ssm.amazonaws.com"}, "Action": "sts:AssumeRole",
}]})


@pytest.fixture(scope="module")
def ssm(server):
    return server.client("ssm")


@pytest.fixture
def role(server, name):
    server.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    return name


def test_an_activation_is_described_as_made_and_gone_when_deleted(ssm, role):
    ends = datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(days=3)
    made = ssm.create_activation(
        IamRole=role, Description="racks", DefaultInstanceName="rack", RegistrationLimit=7,
        ExpirationDate=ends, Tags=[{"Key": "site", "Value": "cellar"}],
    )
    assert len(made["ActivationCode"]) == 20
    only = [{"FilterKey": "IamRole", "FilterValues": [role]}]
    [told] = ssm.describe_activations(Filters=only)["ActivationList"]
    created = told.pop("CreatedDate")
    assert abs((created - datetime.datetime.now(datetime.UTC)).total_seconds()) < 60
    assert told == {
        "ActivationId": made["ActivationId"], "Description": "racks",
        "DefaultInstanceName": "rack", "IamRole": role, "RegistrationLimit": 7,
        "RegistrationsCount": 0, "ExpirationDate": ends, "Expired": False,
        "Tags": [{"Key": "site", "Value": "cellar"}],
    }
    ssm.delete_activation(ActivationId=made["ActivationId"])
    assert ssm.describe_activations(Filters=only)["ActivationList"] == []


def unsigned(server, operation, **given):
    """What a machine calls that has no keys yet: status and answer."""
    request = urllib.request.Request(server.endpoint, json.dumps(given).encode(), headers={
        "X-Amz-Target": f"AmazonSSM.{operation}", "Content-Type": "application/x-amz-json-1.1",
    })
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_machine_becomes_an_instance_with_the_roles_session(server, ssm, role):
    made = ssm.create_activation(IamRole=role)
    secret = "of the machine's own"
    joining = made | {"Fingerprint": hashlib.sha256(secret.encode()).hexdigest()}
    joining.pop("ResponseMetadata")
    status, told = unsigned(server, "RegisterManagedInstance", **joining)
    assert status == 200 and told["InstanceId"].startswith("mi-")
    status, lent = unsigned(
        server, "RequestManagedInstanceRoleToken", InstanceId=told["InstanceId"], Secret=secret
    )
    assert status == 200
    keys = lent["AccessKeyId"], lent["SecretAccessKey"], lent["SessionToken"]
    who = server.client("sts", *keys).get_caller_identity()["Arn"]
    assert who == f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{told['InstanceId']}"
    ssm.deregister_managed_instance(InstanceId=told["InstanceId"])
    status, refused = unsigned(
        server, "RequestManagedInstanceRoleToken", InstanceId=told["InstanceId"], Secret=secret
    )
    assert status == 400 and refused["__type"].endswith("InvalidInstanceId")


def test_pages(ssm, role):
    made = {ssm.create_activation(IamRole=role)["ActivationId"] for _ in range(5)}
    pages = ssm.get_paginator("describe_activations").paginate(
        Filters=[{"FilterKey": "IamRole", "FilterValues": [role]}],
        PaginationConfig={"PageSize": 2},
    )
    found = [one["ActivationId"] for page in pages for one in page["ActivationList"]]
    assert len(found) == 5 and set(found) == made


def test_refusals(ssm, refused):
    absent = f"arn:aws:iam::{ACCOUNT}:role/never-was"
    with refused("ValidationException", lambda told: told == (
        "Nonexistent role or missing ssm service principal in trust policy: " + absent
    )):
        ssm.create_activation(IamRole="never-was")
    with refused("ValidationException"):
        ssm.create_activation()
    with refused("ValidationException"):
        ssm.create_activation(IamRole="x", RegistrationLimit=1001)
    with refused("InvalidActivationId"):
        ssm.delete_activation(ActivationId="00000000-0000-0000-0000-000000000000")
    with refused("InvalidNextToken"):
        ssm.describe_activations(NextToken="not a token")


def test_a_broken_session_is_over(ssm):
    """session-manager-plugin takes an answer without a token as that, and ends."""
    told = ssm.resume_session(SessionId="ecs-execute-command-0123456789abcdef0")
    assert told["SessionId"] == "ecs-execute-command-0123456789abcdef0"
    assert "TokenValue" not in told

"""Accounts share a server and nothing else: what is another's is not there."""

import json

import pytest

from wharf_server import ACCOUNT, REGION, json_of

NEIGHBOUR = "210987654321"
CARGO = "cargo-of-the-neighbour"
NAME = "theirs"
ALLOW = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Sid": CARGO.replace("-", ""), "Effect": "Allow", "Action": "*", "Resource": "*"}]})


@pytest.fixture(scope="module")
def neighbour(server):
    """The keys of a second account."""
    opened = json_of(server.wharf("account", "create", NEIGHBOUR, "--json"))
    # Made by the operator's command, read from the operator's file.
    shell = json_of(server.wharf("env", "--account", NEIGHBOUR, "--json"))
    assert NEIGHBOUR in json.dumps(opened)
    return shell["AWS_ACCESS_KEY_ID"], shell["AWS_SECRET_ACCESS_KEY"]


@pytest.fixture(scope="module")
def filled(server, neighbour):
    """The neighbour's account with one thing of every kind, each holding its cargo."""
    ecs, iam = server.client("ecs", *neighbour), server.client("iam", *neighbour)
    tags = [{"key": "cargo", "value": CARGO}]
    ecs.create_cluster(clusterName=NAME, tags=tags)
    ecs.register_task_definition(family=NAME, tags=tags, containerDefinitions=[
        {"name": "a", "image": CARGO, "memory": 8}])
    ecs.create_capacity_provider(name=NAME, tags=tags, autoScalingGroupProvider={
        "autoScalingGroupArn": f"arn:aws:autoscaling:{REGION}:{NEIGHBOUR}:autoScalingGroup:"
                               f"1-2-3:autoScalingGroupName/{CARGO}"})
    ecs.put_account_setting_default(name="containerInsights", value="enabled")
    iam.create_user(UserName=NAME, Path=f"/{CARGO}/")
    iam.create_group(GroupName=NAME, Path=f"/{CARGO}/")
    iam.create_role(RoleName=NAME, Description=CARGO, AssumeRolePolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
                                                 "Principal": {"AWS": NEIGHBOUR}}]}))
    iam.create_policy(PolicyName=NAME, PolicyDocument=ALLOW, Description=CARGO)
    iam.create_instance_profile(InstanceProfileName=NAME, Path=f"/{CARGO}/")
    iam.create_account_alias(AccountAlias=CARGO)
    return ecs, iam


def arns(account):
    ecs, iam = f"arn:aws:ecs:{REGION}:{account}:", f"arn:aws:iam::{account}:"
    return [f"{ecs}cluster/{NAME}", f"{ecs}task-definition/{NAME}:1",
            f"{ecs}capacity-provider/{NAME}", f"{iam}user/{CARGO}/{NAME}", f"{iam}policy/{NAME}",
            f"{iam}role/{NAME}"]


def test_each_is_someone_else(server, sts, neighbour):
    theirs = server.client("sts", *neighbour).get_caller_identity()
    assert theirs["Account"] == NEIGHBOUR
    assert theirs["Arn"] == f"arn:aws:iam::{NEIGHBOUR}:root"
    assert sts.get_caller_identity()["Account"] == ACCOUNT


def test_every_list_is_ones_own(server, filled):
    """Each operation without a required member, asked by us, shows nothing of theirs."""
    for service in ("ecs", "iam", "sts"):
        client = server.client(service)
        model = client.meta.service_model
        asked = 0
        for operation in model.operation_names:
            shape = model.operation_model(operation).input_shape
            reads = operation.startswith(("List", "Describe", "Get"))
            if not reads or (shape is not None and shape.required_members):
                continue
            try:
                answer = client._make_api_call(operation, {})
            except client.exceptions.ClientError as error:
                answer = error.response
            asked += 1
            assert CARGO not in json.dumps(answer, default=str), operation
            assert NEIGHBOUR not in json.dumps(answer, default=str), operation
        assert asked >= 1


def attempts(ecs, iam):
    cluster, definition, provider, _, policy, role = arns(NEIGHBOUR)
    return {
        "describe cluster": lambda: ecs.describe_clusters(clusters=[cluster], include=["TAGS"]),
        "describe definition": lambda: ecs.describe_task_definition(taskDefinition=definition),
        "deregister": lambda: ecs.deregister_task_definition(taskDefinition=definition),
        "delete cluster": lambda: ecs.delete_cluster(cluster=cluster),
        "update cluster": lambda: ecs.update_cluster_settings(
            cluster=cluster, settings=[{"name": "containerInsights", "value": "enabled"}]),
        "delete provider": lambda: ecs.delete_capacity_provider(capacityProvider=provider),
        "tags": lambda: ecs.list_tags_for_resource(resourceArn=cluster),
        "tag": lambda: ecs.tag_resource(resourceArn=cluster, tags=[{"key": "a", "value": "b"}]),
        "untag": lambda: ecs.untag_resource(resourceArn=definition, tagKeys=["cargo"]),
        "get policy": lambda: iam.get_policy(PolicyArn=policy),
        "policy version": lambda: iam.get_policy_version(PolicyArn=policy, VersionId="v1"),
        "delete policy": lambda: iam.delete_policy(PolicyArn=policy),
        "get user": lambda: iam.get_user(UserName=NAME),
        "get role": lambda: iam.get_role(RoleName=NAME),
        "simulate": lambda: iam.simulate_principal_policy(
            PolicySourceArn=role, ActionNames=["a:b"]),
        "key": lambda: iam.create_access_key(UserName=NAME),
    }


NAMES = list(attempts(None, None))


@pytest.mark.parametrize("which", NAMES)
def test_reaching_for_what_is_theirs(ecs, iam, filled, which):
    with pytest.raises(ecs.exceptions.ClientError) as told:
        attempts(ecs, iam)[which]()
    error = told.value.response
    assert 400 <= error["ResponseMetadata"]["HTTPStatusCode"] < 500
    assert CARGO not in json.dumps(error, default=str)


def test_the_same_as_what_is_nowhere(ecs, iam, filled):
    """Their things and things that are nowhere are refused in the same words."""
    nowhere = "555555555555"
    for call in (
        lambda account: ecs.describe_task_definition(taskDefinition=arns(account)[1]),
        lambda account: ecs.delete_cluster(cluster=arns(account)[0]),
        lambda account: ecs.list_tags_for_resource(resourceArn=arns(account)[0]),
        lambda account: iam.get_policy(PolicyArn=arns(account)[4]),
    ):
        told = []
        for account in (NEIGHBOUR, nowhere):
            with pytest.raises(ecs.exceptions.ClientError) as error:
                call(account)
            found = error.value.response["Error"]
            told.append((found["Code"], found["Message"].replace(account, "ACCOUNT")))
        assert told[0] == told[1]


def test_nothing_of_theirs_was_changed(filled):
    ecs, iam = filled
    [cluster] = ecs.describe_clusters(clusters=[NAME], include=["TAGS"])["clusters"]
    assert cluster["status"] == "ACTIVE"
    assert cluster["tags"] == [{"key": "cargo", "value": CARGO}]
    definition = ecs.describe_task_definition(taskDefinition=NAME)["taskDefinition"]
    assert definition["status"] == "ACTIVE"
    assert iam.list_access_keys(UserName=NAME)["AccessKeyMetadata"] == []


def test_a_role_that_trusts_us_is_a_door(server, iam, filled, refused, name):
    """The trusting account opens it, and the trusted one has to allow its user to walk through."""
    _, theirs = filled
    theirs.create_role(RoleName="door", AssumeRolePolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
                                                 "Principal": {"AWS": ACCOUNT}}]}))
    theirs.put_role_policy(RoleName="door", PolicyName="p", PolicyDocument=ALLOW)
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    sts = server.client("sts", key["AccessKeyId"], key["SecretAccessKey"])
    arn = f"arn:aws:iam::{NEIGHBOUR}:role/door"
    with refused("AccessDenied", status=403):
        sts.assume_role(RoleArn=arn, RoleSessionName="visit")
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=ALLOW)
    got = sts.assume_role(RoleArn=arn, RoleSessionName="visit")["Credentials"]
    inside = server.client(
        "ecs", got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"]
    )
    assert inside.list_clusters()["clusterArns"] == [arns(NEIGHBOUR)[0]]
    with refused("AccessDenied", status=403):
        sts.assume_role(RoleArn=f"arn:aws:iam::{NEIGHBOUR}:role/{NAME}", RoleSessionName="visit")

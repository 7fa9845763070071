"""Every paginator of botocore's, with pages of one: all that is there, once, in one order."""

import json
import time

import pytest

from wharf_server import ACCOUNT

ARN = f"arn:aws:iam::{ACCOUNT}:"
MANY = 3
NAMESPACE = f"arn:aws:servicediscovery:us-east-1:{ACCOUNT}:namespace/ns-abcdefghijklmnop"
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "ecs.amazonaws.com"}, "Action": "sts:AssumeRole"}
]})
ALLOW = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "ecs:*", "Resource": "*"}]})


@pytest.fixture(scope="module")
def filled(ecs, iam, server):
    """At least three of everything that a list lists."""
    logs = server.client("logs")
    for n in range(MANY):
        logs.create_log_group(logGroupName=f"l-{n}")
        logs.create_log_stream(logGroupName="l-0", logStreamName=f"s-{n}")
        logs.put_log_events(logGroupName="l-0", logStreamName=f"s-{n}", logEvents=[
            {"timestamp": int(time.time() * 1000), "message": f"line {n}"}])
        ecs.create_cluster(clusterName=f"c-{n}")
        ecs.register_task_definition(family=f"f-{n}", containerDefinitions=[
            {"name": "a", "image": "b", "memory": 8}])
        ecs.create_service(cluster="c-0", serviceName=f"s-{n}", taskDefinition=f"f-{n}",
                           desiredCount=0)
        iam.create_user(UserName=f"u-{n}")
        iam.create_group(GroupName=f"g-{n}")
        iam.create_role(RoleName=f"r-{n}", AssumeRolePolicyDocument=TRUST)
        iam.create_policy(PolicyName=f"p-{n}", PolicyDocument=ALLOW)
        iam.create_instance_profile(InstanceProfileName=f"i-{n}")
    for n in range(MANY):
        arn = f"{ARN}policy/p-{n}"
        iam.add_role_to_instance_profile(InstanceProfileName=f"i-{n}", RoleName="r-0")
        iam.add_user_to_group(GroupName=f"g-{n}", UserName="u-0")
        iam.add_user_to_group(GroupName="g-0", UserName=f"u-{n}")
        tags = [{"Key": f"k-{n}", "Value": "v"}]
        for what, who in (("user", "u-0"), ("role", "r-0"), ("group", "g-0")):
            key = {f"{what.capitalize()}Name": who}
            getattr(iam, f"attach_{what}_policy")(**key, PolicyArn=arn)
            getattr(iam, f"put_{what}_policy")(**key, PolicyName=f"n-{n}", PolicyDocument=ALLOW)
            if what != "group":
                getattr(iam, f"tag_{what}")(**key, Tags=tags)
                getattr(iam, f"attach_{what}_policy")(
                    **{f"{what.capitalize()}Name": f"{what[0]}-{n}"}, PolicyArn=f"{ARN}policy/p-0"
                )
        iam.tag_policy(PolicyArn=f"{ARN}policy/p-0", Tags=tags)
        iam.tag_instance_profile(InstanceProfileName="i-0", Tags=tags)
        if n:
            iam.create_access_key(UserName="u-0")
            iam.create_policy_version(PolicyArn=f"{ARN}policy/p-0", PolicyDocument=ALLOW)


# Operation, its arguments, and how many there must be at least.
PAGED = [
    ("ecs", "list_clusters", {}, MANY),
    ("ecs", "list_task_definitions", {}, MANY),
    ("ecs", "list_task_definition_families", {}, MANY),
    ("ecs", "list_account_settings", {"effectiveSettings": True}, MANY),
    ("ecs", "list_services", {"cluster": "c-0"}, MANY),
    ("logs", "describe_log_groups", {}, MANY),
    ("logs", "describe_log_streams", {"logGroupName": "l-0"}, MANY),
    ("logs", "filter_log_events", {"logGroupName": "l-0"}, MANY),
    ("iam", "list_users", {}, MANY),
    ("iam", "list_groups", {}, MANY),
    ("iam", "list_roles", {}, MANY),
    ("iam", "list_policies", {"Scope": "Local"}, MANY),
    ("iam", "list_instance_profiles", {}, MANY),
    ("iam", "list_instance_profiles_for_role", {"RoleName": "r-0"}, MANY),
    ("iam", "get_group", {"GroupName": "g-0"}, MANY),
    ("iam", "list_groups_for_user", {"UserName": "u-0"}, MANY),
    ("iam", "list_attached_user_policies", {"UserName": "u-0"}, MANY),
    ("iam", "list_attached_group_policies", {"GroupName": "g-0"}, MANY),
    ("iam", "list_attached_role_policies", {"RoleName": "r-0"}, MANY),
    ("iam", "list_user_policies", {"UserName": "u-0"}, MANY),
    ("iam", "list_group_policies", {"GroupName": "g-0"}, MANY),
    ("iam", "list_role_policies", {"RoleName": "r-0"}, MANY),
    ("iam", "list_user_tags", {"UserName": "u-0"}, MANY),
    ("iam", "list_role_tags", {"RoleName": "r-0"}, MANY),
    ("iam", "list_policy_tags", {"PolicyArn": f"{ARN}policy/p-0"}, MANY),
    ("iam", "list_instance_profile_tags", {"InstanceProfileName": "i-0"}, MANY),
    ("iam", "list_access_keys", {"UserName": "u-0"}, 2),
    ("iam", "list_policy_versions", {"PolicyArn": f"{ARN}policy/p-0"}, MANY),
    ("iam", "list_entities_for_policy", {"PolicyArn": f"{ARN}policy/p-0"}, 2 * MANY),
    ("iam", "get_account_authorization_details", {}, 3 * MANY),
    ("iam", "simulate_custom_policy", {
        "PolicyInputList": [ALLOW], "ActionNames": ["ecs:A", "ecs:B", "iam:C"]}, MANY),
    ("iam", "simulate_principal_policy", {
        "PolicySourceArn": f"{ARN}user/u-0", "ActionNames": ["ecs:A", "ecs:B", "iam:C"]}, MANY),
]
# Lists of things that nobody in these tests has; an empty page is a page.
EMPTY = [
    ("ecs", "list_attributes", {"cluster": "c-0", "targetType": "container-instance"}),
    ("ecs", "list_container_instances", {"cluster": "c-0"}),
    ("ecs", "list_tasks", {"cluster": "c-0"}),
    ("ecs", "list_services_by_namespace", {"namespace": NAMESPACE}),
    ("iam", "list_account_aliases", {}), ("iam", "list_mfa_devices", {"UserName": "u-0"}),
    ("iam", "list_server_certificates", {}), ("iam", "list_virtual_mfa_devices", {}),
    ("iam", "list_signing_certificates", {"UserName": "u-0"}),
    ("iam", "list_ssh_public_keys", {"UserName": "u-0"}),
]
# Lists of tags of one thing; their pages are those of `list_user_tags`, in the same code.
TAGS_OF_ONE = {
    "list_mfa_device_tags", "list_open_id_connect_provider_tags", "list_saml_provider_tags",
    "list_server_certificate_tags",
}


def items(client, operation, arguments, size):
    paginator = client.get_paginator(operation)
    found, pages = [], 0
    for page in paginator.paginate(**arguments, PaginationConfig={"PageSize": size}):
        pages += 1
        assert pages < 500, "pages without an end"
        got = [item for key in paginator.result_keys for item in key.search(page) or []]
        assert len(got) <= size, f"a page of {len(got)} where {size} were asked for"
        found += got
    return [json.dumps(item, default=str, sort_keys=True) for item in found], pages


@pytest.mark.parametrize("service,operation,arguments,least", PAGED, ids=lambda v: str(v)[:40])
def test_all_once(server, filled, service, operation, arguments, least):
    client = server.client(service)
    by_one, pages = items(client, operation, arguments, 1)
    # AWS: account settings come ten at a time.
    most = {"list_account_settings": 10}.get(operation, 50 if service == "logs" else 100)
    whole, _ = items(client, operation, arguments, most)
    assert len(whole) >= least
    # An answer with several lists tells them one after the other, whatever the order of all.
    assert sorted(by_one) == sorted(whole)
    assert len(set(by_one)) == len(by_one)
    assert pages >= len(by_one)


def offered(client, operation, arguments):
    try:
        getattr(client, operation)(**arguments)
    except client.exceptions.ClientError as error:
        return error.response["Error"]["Code"] != "UnsupportedOperation"
    return True


@pytest.mark.parametrize("service,operation,arguments", EMPTY, ids=lambda v: str(v)[:40])
def test_an_empty_page(server, filled, service, operation, arguments):
    client = server.client(service)
    if offered(client, operation, arguments):
        assert items(client, operation, arguments, 1)[0] == []


def test_every_paginator_is_tried(server):
    """A list that begins to be offered needs a line above."""
    tried = {operation for _, operation, *_ in PAGED + EMPTY} | TAGS_OF_ONE
    for service in ("ecs", "iam", "logs", "sts"):
        client = server.client(service)
        for method, operation in client.meta.method_to_api_mapping.items():
            if client.can_paginate(method) and method not in tried:
                model = client.meta.service_model.operation_model(operation)
                needed = model.input_shape.required_members if model.input_shape else []
                arguments = {name: "x" * 16 for name in needed}
                assert not offered(client, method, arguments), method


def test_a_page_survives_what_changes(iam, server, name):
    """What is deleted between pages is skipped; what stays is neither lost nor doubled."""
    names = [f"{name}-{n}" for n in range(6)]
    for each in names:
        iam.create_user(UserName=each, Path=f"/{name}/")
    first = iam.list_users(PathPrefix=f"/{name}/", MaxItems=2)
    assert first["IsTruncated"]
    iam.delete_user(UserName=names[1])
    iam.delete_user(UserName=names[2])
    rest = iam.list_users(PathPrefix=f"/{name}/", Marker=first["Marker"])
    got = [u["UserName"] for u in first["Users"] + rest["Users"]]
    assert got == names[:2] + names[3:]


@pytest.mark.parametrize("marker", ["made-up", "x" * 2000, "☃"])
def test_markers_that_are_none(iam, refused, marker):
    with refused("ValidationError", status=400):
        iam.list_users(Marker=marker)

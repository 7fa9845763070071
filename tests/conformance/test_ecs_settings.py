"""Account settings, tags, capacity providers and attributes."""

import pytest

from wharf_server import ACCOUNT, REGION

CLUSTER = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/"
ASG = (f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:"
       "a1b2c3d4-5678-90ab-cdef-EXAMPLE11111:autoScalingGroupName/group")
ROOT = f"arn:aws:iam::{ACCOUNT}:root"


def effective(ecs, name, **more):
    found = ecs.list_account_settings(name=name, effectiveSettings=True, **more)["settings"]
    return {s["name"]: s["value"] for s in found}[name]


def test_defaults_are_effective(ecs):
    pages = ecs.get_paginator("list_account_settings").paginate(effectiveSettings=True)
    found = [setting for page in pages for setting in page["settings"]]
    values = {s["name"]: s["value"] for s in found}
    assert values["taskLongArnFormat"] == "enabled"
    assert values["containerInsights"] == "disabled"
    assert values["awsvpcTrunking"] == "disabled"
    assert {s["principalArn"] for s in found} == {ROOT}
    assert ecs.list_account_settings()["settings"] == []


def test_put_default_and_delete(ecs, refused):
    put = ecs.put_account_setting_default(name="containerInsights", value="enabled")["setting"]
    assert (put["name"], put["value"], put["principalArn"]) == (
        "containerInsights", "enabled", ROOT
    )
    assert effective(ecs, "containerInsights") == "enabled"
    made = ecs.create_cluster(clusterName="after-default")["cluster"]
    # AWS: a cluster takes the account's containerInsights at its creation.
    assert made["settings"] == [{"name": "containerInsights", "value": "enabled"}]
    ecs.put_account_setting_default(name="containerInsights", value="disabled")
    assert effective(ecs, "containerInsights") == "disabled"


def test_a_users_own_setting(server, ecs, iam, name):
    iam.create_user(UserName=name)
    arn = f"arn:aws:iam::{ACCOUNT}:user/{name}"
    put = ecs.put_account_setting(name="awsvpcTrunking", value="enabled", principalArn=arn)
    assert put["setting"]["principalArn"] == arn
    assert effective(ecs, "awsvpcTrunking", principalArn=arn) == "enabled"
    assert effective(ecs, "awsvpcTrunking") == "disabled"
    ecs.delete_account_setting(name="awsvpcTrunking", principalArn=arn)
    assert effective(ecs, "awsvpcTrunking", principalArn=arn) == "disabled"


@pytest.mark.parametrize("name,value", [
    ("noSuchSetting", "enabled"), ("containerInsights", "perhaps"), ("containerInsights", ""),
    ("fargateTaskRetirementWaitPeriod", "3"),
])
def test_settings_that_are_none(ecs, refused, name, value):
    with refused("InvalidParameterException", status=400):
        ecs.put_account_setting(name=name, value=value)


def test_fargate_wait_period(ecs):
    put = ecs.put_account_setting_default(name="fargateTaskRetirementWaitPeriod", value="14")
    assert put["setting"]["value"] == "14"


def test_tags_of_everything(ecs, name, refused):
    cluster = ecs.create_cluster(clusterName=name)["cluster"]["clusterArn"]
    definition = ecs.register_task_definition(
        family=name, containerDefinitions=[{"name": "a", "image": "b", "memory": 8}]
    )["taskDefinition"]["taskDefinitionArn"]
    provider = ecs.create_capacity_provider(
        name=name, autoScalingGroupProvider={"autoScalingGroupArn": ASG}
    )["capacityProvider"]["capacityProviderArn"]
    for arn in (cluster, definition, provider):
        ecs.tag_resource(resourceArn=arn, tags=[
            {"key": "a", "value": "1"}, {"key": "é", "value": ""}
        ])
        ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "2"}])
        tags = ecs.list_tags_for_resource(resourceArn=arn)["tags"]
        assert {t["key"]: t["value"] for t in tags} == {"a": "2", "é": ""}
        ecs.untag_resource(resourceArn=arn, tagKeys=["a", "never-there"])
        tags = ecs.list_tags_for_resource(resourceArn=arn)["tags"]
        assert tags == [{"key": "é", "value": ""}]


@pytest.mark.parametrize("tags", [
    [{"key": "aws:x", "value": ""}], [{"key": "", "value": ""}], [{"key": "k" * 129, "value": ""}],
    [{"key": "k", "value": "v" * 257}], [{"key": f"k{n}", "value": ""} for n in range(51)],
    [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}],
])
def test_tags_that_are_none(ecs, refused, tags):
    with refused("InvalidParameterException", status=400):
        ecs.create_cluster(clusterName="tagged-badly", tags=tags)
    assert ecs.describe_clusters(clusters=["tagged-badly"])["clusters"] == []


def test_fifty_tags_in_total(ecs, name, refused):
    arn = ecs.create_cluster(clusterName=name, tags=[
        {"key": f"k{n}", "value": "v"} for n in range(50)
    ])["cluster"]["clusterArn"]
    with refused("InvalidParameterException"):
        ecs.tag_resource(resourceArn=arn, tags=[{"key": "one-more", "value": ""}])
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "k0", "value": "changed"}])


@pytest.mark.parametrize("arn,code", [
    ("nonsense", "InvalidParameterException"),
    ("arn:aws:ecs:us-east-1", "InvalidParameterException"),
    ("arn:aws:s3:::bucket", "InvalidParameterException"),
    (CLUSTER + "no-such", "ClusterNotFoundException"),
    (f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/nobody:1", "InvalidParameterException"),
])
def test_tags_of_nothing(ecs, refused, arn, code):
    with refused(code, status=400):
        ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "b"}])
    with refused(code, status=400):
        ecs.list_tags_for_resource(resourceArn=arn)
    with refused(code, status=400):
        ecs.untag_resource(resourceArn=arn, tagKeys=["a"])


def test_capacity_provider(ecs, name, refused):
    made = ecs.create_capacity_provider(
        name=name, tags=[{"key": "a", "value": "b"}],
        autoScalingGroupProvider={
            "autoScalingGroupArn": ASG,
            "managedScaling": {"status": "ENABLED", "targetCapacity": 80,
                               "minimumScalingStepSize": 1, "maximumScalingStepSize": 100,
                               "instanceWarmupPeriod": 60},
            "managedTerminationProtection": "DISABLED", "managedDraining": "ENABLED",
        },
    )["capacityProvider"]
    assert made["capacityProviderArn"] == (
        f"arn:aws:ecs:{REGION}:{ACCOUNT}:capacity-provider/{name}"
    )
    assert made["status"] == "ACTIVE"
    assert made["tags"] == [{"key": "a", "value": "b"}]
    for which in (name, made["capacityProviderArn"]):
        [seen] = ecs.describe_capacity_providers(
            capacityProviders=[which], include=["TAGS"]
        )["capacityProviders"]
        assert seen["autoScalingGroupProvider"] == made["autoScalingGroupProvider"]
        assert seen["tags"] == made["tags"]
    changed = ecs.update_capacity_provider(
        name=name,
        autoScalingGroupProvider={"managedScaling": {"status": "ENABLED", "targetCapacity": 50}},
    )["capacityProvider"]
    assert changed["autoScalingGroupProvider"]["managedScaling"]["targetCapacity"] == 50
    ecs.create_cluster(clusterName=name, capacityProviders=[name])
    with refused("ClientException"):
        ecs.delete_capacity_provider(capacityProvider=name)
    ecs.put_cluster_capacity_providers(
        cluster=name, capacityProviders=[], defaultCapacityProviderStrategy=[]
    )
    gone = ecs.delete_capacity_provider(capacityProvider=name)["capacityProvider"]
    assert gone["name"] == name


def test_capacity_provider_defaults(ecs, name):
    made = ecs.create_capacity_provider(
        name=name, autoScalingGroupProvider={"autoScalingGroupArn": ASG}
    )["capacityProvider"]["autoScalingGroupProvider"]
    assert made["managedTerminationProtection"] == "DISABLED"
    assert made["managedDraining"] == "ENABLED"
    assert made["managedScaling"]["status"] == "DISABLED"


def test_built_in_capacity_providers(ecs, refused):
    found = ecs.describe_capacity_providers(capacityProviders=["FARGATE", "FARGATE_SPOT"])
    assert {p["name"] for p in found["capacityProviders"]} == {"FARGATE", "FARGATE_SPOT"}
    with refused("ClientException"):
        ecs.delete_capacity_provider(capacityProvider="FARGATE")
    missing = ecs.describe_capacity_providers(capacityProviders=["no-such"])
    assert missing["capacityProviders"] == []
    assert missing["failures"][0]["reason"] == "MISSING"


@pytest.mark.parametrize("name,provider", [
    ("aws-mine", {"autoScalingGroupArn": ASG}), ("fargate-mine", {"autoScalingGroupArn": ASG}),
    ("ecs-mine", {"autoScalingGroupArn": ASG}), ("bad name", {"autoScalingGroupArn": ASG}),
    ("", {"autoScalingGroupArn": ASG}), ("ok", {}), ("ok", None),
    ("ok", {"autoScalingGroupArn": ASG, "managedScaling": {"targetCapacity": 101}}),
    ("ok", {"autoScalingGroupArn": ASG, "managedTerminationProtection": "ENABLED"}),
])
def test_capacity_providers_that_are_none(ecs, refused, name, provider):
    given = {"autoScalingGroupProvider": provider} if provider is not None else {}
    with refused("InvalidParameterException", status=400):
        ecs.create_capacity_provider(name=name, **given)


def test_attributes_want_a_container_instance(ecs, name, refused):
    ecs.create_cluster(clusterName=name)
    attribute = {
        "name": "stack", "value": "blue", "targetType": "container-instance",
        "targetId": "0123456789abcdef0123456789abcdef",
    }
    with refused("TargetNotFoundException"):
        ecs.put_attributes(cluster=name, attributes=[attribute])
    with refused("TargetNotFoundException"):
        ecs.delete_attributes(cluster=name, attributes=[attribute])
    found = ecs.list_attributes(cluster=name, targetType="container-instance")
    assert found["attributes"] == []
    with refused("ClusterNotFoundException"):
        ecs.list_attributes(cluster="no-such", targetType="container-instance")
    with refused("InvalidParameterException"):
        ecs.list_attributes(cluster=name, targetType="teapot")

"""Container instances as an agent registers them, and their attributes."""

import json

import pytest

from wharf_server import ACCOUNT, REGION

ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}:"
RESOURCES = [
    {"name": "CPU", "type": "INTEGER", "integerValue": 2048},
    {"name": "MEMORY", "type": "INTEGER", "integerValue": 3953},
    {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22", "2375", "2376", "51678"]},
    {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
]
VERSIONS = {"agentVersion": "1.100.0", "agentHash": "abcdef12", "dockerVersion": "DockerVersion: 27"}


def machine(instance):
    return json.dumps({"instanceId": instance, "region": REGION, "accountId": ACCOUNT,
                       "instanceType": "t3.medium", "availabilityZone": f"{REGION}a",
                       "imageId": "ami-12345678"})


def register(ecs, cluster, instance, **more):
    return ecs.register_container_instance(
        cluster=cluster, instanceIdentityDocument=machine(instance),
        instanceIdentityDocumentSignature="x", totalResources=RESOURCES, versionInfo=VERSIONS,
        **more,
    )["containerInstance"]


@pytest.fixture
def cluster(ecs, name):
    ecs.create_cluster(clusterName=name)
    return name


def test_register(ecs, cluster):
    made = register(ecs, cluster, "i-0123456789abcdef0", tags=[{"key": "a", "value": "b"}],
                    attributes=[{"name": "stack", "value": "blue"}, {"name": "ecs.os-type",
                                                                     "value": "linux"}])
    assert made["containerInstanceArn"].startswith(f"{ARN}container-instance/{cluster}/")
    assert made["ec2InstanceId"] == "i-0123456789abcdef0"
    assert made["status"] == "ACTIVE"
    assert made["versionInfo"] == VERSIONS
    assert (made["runningTasksCount"], made["pendingTasksCount"]) == (0, 0)
    whole = {r["name"]: r for r in made["registeredResources"]}
    assert whole["CPU"]["integerValue"] == 2048
    assert {r["name"]: r for r in made["remainingResources"]}["MEMORY"]["integerValue"] == 3953
    names = {a["name"]: a.get("value") for a in made["attributes"]}
    assert names["stack"] == "blue"
    assert names["ecs.availability-zone"] == f"{REGION}a"
    assert names["ecs.instance-type"] == "t3.medium"
    [seen] = ecs.describe_container_instances(
        cluster=cluster, containerInstances=[made["containerInstanceArn"]], include=["TAGS"]
    )["containerInstances"]
    assert seen["tags"] == [{"key": "a", "value": "b"}]
    [counted] = ecs.describe_clusters(clusters=[cluster])["clusters"]
    assert counted["registeredContainerInstancesCount"] == 1


def test_registering_again_is_the_same_instance(ecs, cluster):
    first = register(ecs, cluster, "i-00000000000000001")
    again = register(ecs, cluster, "i-00000000000000001",
                     containerInstanceArn=first["containerInstanceArn"])
    assert again["containerInstanceArn"] == first["containerInstanceArn"]
    assert len(ecs.list_container_instances(cluster=cluster)["containerInstanceArns"]) == 1


def test_listing(ecs, cluster, refused):
    arns = sorted(register(ecs, cluster, f"i-0000000000000000{n}")["containerInstanceArn"]
                  for n in range(3))
    assert sorted(ecs.list_container_instances(cluster=cluster)["containerInstanceArns"]) == arns
    pages = ecs.get_paginator("list_container_instances").paginate(
        cluster=cluster, PaginationConfig={"PageSize": 1})
    assert sorted(a for page in pages for a in page["containerInstanceArns"]) == arns
    ecs.put_attributes(cluster=cluster, attributes=[
        {"name": "stack", "value": "blue", "targetId": arns[0]}])
    found = ecs.list_container_instances(cluster=cluster, filter="attribute:stack == blue")
    assert found["containerInstanceArns"] == [arns[0]]
    ecs.update_container_instances_state(
        cluster=cluster, containerInstances=[arns[1]], status="DRAINING")
    found = ecs.list_container_instances(cluster=cluster, status="DRAINING")
    assert found["containerInstanceArns"] == [arns[1]]
    with refused("InvalidParameterException"):
        ecs.list_container_instances(cluster=cluster, filter="attribute:stack ==")
    with refused("InvalidParameterException"):
        ecs.list_container_instances(cluster=cluster, status="ASLEEP")
    with refused("ClusterNotFoundException", "Cluster not found."):
        ecs.list_container_instances(cluster="no-such")


def test_describing(ecs, cluster, refused):
    arn = register(ecs, cluster, "i-00000000000000002")["containerInstanceArn"]
    short = arn.rsplit("/", 1)[1]
    got = ecs.describe_container_instances(cluster=cluster, containerInstances=[short, "f" * 32])
    assert [i["containerInstanceArn"] for i in got["containerInstances"]] == [arn]
    assert [f["reason"] for f in got["failures"]] == ["MISSING"]
    with refused("ClusterNotFoundException", "Cluster not found."):
        ecs.describe_container_instances(cluster="no-such", containerInstances=[short])
    with refused("InvalidParameterException"):
        ecs.describe_container_instances(cluster=cluster, containerInstances=[])
    with refused("InvalidParameterException"):
        ecs.describe_container_instances(cluster=cluster, containerInstances=["a"] * 101)


def test_attributes(ecs, cluster, refused):
    arn = register(ecs, cluster, "i-00000000000000003")["containerInstanceArn"]
    given = [{"name": "stack", "value": "blue", "targetId": arn}, {"name": "flag", "targetId": arn}]
    put = ecs.put_attributes(cluster=cluster, attributes=given)["attributes"]
    assert {a["name"] for a in put} == {"stack", "flag"}

    def listed(**how):
        found = ecs.list_attributes(cluster=cluster, targetType="container-instance", **how)
        return {a["name"]: a for a in found["attributes"]}

    assert listed()["stack"]["value"] == "blue"
    assert listed()["stack"]["targetId"] == arn
    assert set(listed(attributeName="stack")) == {"stack"}
    assert listed(attributeName="stack", attributeValue="red") == {}
    ecs.delete_attributes(cluster=cluster, attributes=[{"name": "stack", "targetId": arn}])
    assert "stack" not in listed()
    with refused("TargetNotFoundException"):
        ecs.put_attributes(cluster=cluster, attributes=[{"name": "a", "targetId": "f" * 32}])
    with refused("InvalidParameterException"):
        ecs.put_attributes(cluster=cluster, attributes=[{"name": "a b", "targetId": arn}])
    with refused("InvalidParameterException"):
        ecs.put_attributes(cluster=cluster, attributes=[
            {"name": f"a{n}", "targetId": arn} for n in range(11)])


def test_draining(ecs, cluster, refused):
    arn = register(ecs, cluster, "i-00000000000000004")["containerInstanceArn"]
    for status in ("DRAINING", "ACTIVE"):
        got = ecs.update_container_instances_state(
            cluster=cluster, containerInstances=[arn, "f" * 32], status=status)
        assert [i["status"] for i in got["containerInstances"]] == [status]
        assert [f["reason"] for f in got["failures"]] == ["MISSING"]
    with refused("InvalidParameterException"):
        ecs.update_container_instances_state(
            cluster=cluster, containerInstances=[arn], status="ASLEEP")


def test_deregistering(ecs, cluster, refused):
    arn = register(ecs, cluster, "i-00000000000000005")["containerInstanceArn"]
    with refused("ClusterContainsContainerInstancesException",
                 "The Cluster cannot be deleted while Container Instances are active or draining.",
                 400):
        ecs.delete_cluster(cluster=cluster)
    gone = ecs.deregister_container_instance(cluster=cluster, containerInstance=arn)
    assert gone["containerInstance"]["status"] == "INACTIVE"
    # AWS: a deregistered instance is described for a while, and listed no more.
    assert ecs.list_container_instances(cluster=cluster)["containerInstanceArns"] == []
    seen = ecs.describe_container_instances(cluster=cluster, containerInstances=[arn])
    assert [i["status"] for i in seen["containerInstances"]] == ["INACTIVE"]
    with refused("InvalidParameterException"):
        ecs.deregister_container_instance(cluster=cluster, containerInstance="f" * 32)
    ecs.delete_cluster(cluster=cluster)


@pytest.mark.parametrize("code,more", [
    ("ClientException", {"instanceIdentityDocument": "{"}),
    ("ClientException", {"instanceIdentityDocument": "x" * 20000}),
    ("InvalidParameterException", {"attributes": [{"name": f"a{n}"} for n in range(501)]}),
])
def test_machines_that_are_none(ecs, cluster, refused, code, more):
    with refused(code, status=400):
        ecs.register_container_instance(cluster=cluster, **more)


def test_daemon_task_definitions(ecs, name, refused):
    container = {"name": "agent", "image": "agent:1", "memory": 64}
    arns = [ecs.register_daemon_task_definition(
        family=name, containerDefinitions=[container], cpu="256", memory="512",
        tags=[{"key": "a", "value": "b"}],
    )["daemonTaskDefinitionArn"] for _ in range(2)]
    assert arns == [f"{ARN}daemon-task-definition/{name}:{n}" for n in (1, 2)]
    seen = ecs.describe_daemon_task_definition(
        daemonTaskDefinition=f"{name}:1")["daemonTaskDefinition"]
    assert (seen["family"], seen["revision"]) == (name, 1)
    assert seen["containerDefinitions"][0]["image"] == "agent:1"
    listed = ecs.list_daemon_task_definitions(familyPrefix=name)["daemonTaskDefinitions"]
    assert sorted(d["arn"] for d in listed) == arns
    gone = ecs.delete_daemon_task_definition(daemonTaskDefinition=arns[0])
    assert gone["daemonTaskDefinitionArn"] == arns[0]
    ecs.get_waiter("daemon_task_definition_deleted").wait(
        daemonTaskDefinition=arns[0], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    with refused("ClientException", status=400):
        ecs.describe_daemon_task_definition(daemonTaskDefinition="nobody")
    with refused("ClientException", status=400):
        ecs.register_daemon_task_definition(family=name, containerDefinitions=[])

"""Managed daemons as far as they go without a host: made, changed, refused, listed, deleted.

Hosts themselves run in the end-to-end tests.
"""

import pytest

from test_ecs_container_instances import register
from wharf_server import ACCOUNT, REGION

ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}:"


@pytest.fixture
def provider(ecs, name):
    """A cluster, and a capacity provider of managed instances in it, of the same name."""
    ecs.create_cluster(clusterName=name)
    role = f"arn:aws:iam::{ACCOUNT}:role/infrastructure"
    profile = f"arn:aws:iam::{ACCOUNT}:instance-profile/ecs"
    made = ecs.create_capacity_provider(name=name, cluster=name, managedInstancesProvider={
        "infrastructureRoleArn": role, "instanceLaunchTemplate": {
            "ec2InstanceProfileArn": profile,
            "networkConfiguration": {"subnets": ["subnet-1"]}}})
    for _ in range(2):
        ecs.register_daemon_task_definition(family=name, containerDefinitions=[
            {"name": "agent", "image": "agent:1", "memory": 64, "cpu": 10}])
    return made["capacityProvider"]["capacityProviderArn"]


@pytest.fixture
def asked(provider, name):
    """What asks for a daemon."""
    return {"daemonName": "agent", "clusterArn": f"{ARN}cluster/{name}",
            "capacityProviderArns": [provider],
            "daemonTaskDefinitionArn": f"{ARN}daemon-task-definition/{name}:1"}


def test_a_daemon_without_instances_is_there_at_once(ecs, asked, name):
    made = ecs.create_daemon(**asked, tags=[{"key": "a", "value": "b"}], clientToken="t")
    assert made["daemonArn"] == f"{ARN}daemon/{name}/agent"
    assert made["status"] == "ACTIVE"
    again = ecs.create_daemon(**asked, tags=[{"key": "a", "value": "b"}], clientToken="t")
    assert again["deploymentArn"] == made["deploymentArn"]
    ecs.get_waiter("daemon_active").wait(daemonArn=made["daemonArn"])
    shown = ecs.describe_daemon(daemonArn=made["daemonArn"])["daemon"]
    assert shown["deploymentArn"] == made["deploymentArn"]
    assert shown["currentRevisions"][0]["capacityProviders"] == [
        {"arn": asked["capacityProviderArns"][0], "runningCount": 0, "withoutDaemonCount": 0}]
    arns = [made["deploymentArn"]]
    ecs.get_waiter("daemon_deployment_successful").wait(daemonDeploymentArns=arns)
    told = ecs.describe_daemon_deployments(daemonDeploymentArns=arns)["daemonDeployments"][0]
    assert told["status"] == "SUCCESSFUL"
    assert told["deploymentConfiguration"]["drainPercent"] == 25.0
    arns = [shown["currentRevisions"][0]["arn"], f"{ARN}daemon-revision/{name}/agent/1"]
    answer = ecs.describe_daemon_revisions(daemonRevisionArns=arns)
    assert answer["daemonRevisions"][0]["critical"] is True
    assert answer["failures"] == [{"arn": arns[1], "reason": "MISSING"}]
    tags = ecs.list_tags_for_resource(resourceArn=made["daemonArn"])["tags"]
    assert tags == [{"key": "a", "value": "b"}]


def test_a_host_of_the_provider_waits_for_it(ecs, asked, name):
    made = ecs.create_daemon(**asked)
    of = [{"name": "wharf.capacity-provider", "value": name}]
    instance = register(ecs, name, "i-0123456789abcdef0", attributes=of)
    arns = [instance["containerInstanceArn"]]
    shown = ecs.describe_container_instances(cluster=name, containerInstances=arns)
    shown = shown["containerInstances"][0]
    assert (shown["status"], shown["capacityProviderName"]) == ("REGISTERING", name)
    listed = ecs.list_container_instances(cluster=name, status="REGISTERING")
    assert listed["containerInstanceArns"] == arns
    assert ecs.list_tasks(cluster=name, daemonName="agent")["taskArns"] == []
    ecs.delete_daemon(daemonArn=made["daemonArn"])
    shown = ecs.describe_container_instances(cluster=name, containerInstances=arns)
    assert shown["containerInstances"][0]["status"] == "ACTIVE"
    ecs.deregister_container_instance(cluster=name, containerInstance=arns[0])


def test_an_update_is_a_deployment(ecs, asked, name):
    made = ecs.create_daemon(**asked)
    updated = ecs.update_daemon(
        daemonArn=made["daemonArn"], capacityProviderArns=asked["capacityProviderArns"],
        daemonTaskDefinitionArn=f"{ARN}daemon-task-definition/{name}:2", critical=False,
        deploymentConfiguration={"drainPercent": 50.0, "bakeTimeInMinutes": 5})
    assert updated["deploymentArn"] != made["deploymentArn"]
    listed = ecs.list_daemon_deployments(daemonArn=made["daemonArn"])["daemonDeployments"]
    assert [one["daemonDeploymentArn"] for one in listed] == [
        updated["deploymentArn"], made["deploymentArn"]]
    # It has no hosts to watch, and bakes all the same.
    assert [one["status"] for one in listed] == ["IN_PROGRESS", "SUCCESSFUL"]
    stopped = ecs.list_daemon_deployments(daemonArn=made["daemonArn"], status=["STOPPED"])
    assert stopped["daemonDeployments"] == []


def test_daemons_are_listed(ecs, asked, name):
    for one in ("a", "b", "c"):
        ecs.create_daemon(**asked | {"daemonName": one})
    pages = ecs.list_daemons(clusterArn=asked["clusterArn"], maxResults=2)
    arns = [one["daemonArn"] for one in pages["daemonSummariesList"]]
    assert arns == [f"{ARN}daemon/{name}/a", f"{ARN}daemon/{name}/b"]
    rest = ecs.list_daemons(clusterArn=asked["clusterArn"], nextToken=pages["nextToken"])
    assert [one["daemonArn"] for one in rest["daemonSummariesList"]] == [f"{ARN}daemon/{name}/c"]
    on = ecs.list_daemons(capacityProviderArns=asked["capacityProviderArns"])
    assert len(on["daemonSummariesList"]) == 3


def test_the_refusals(ecs, asked, name, refused):
    with refused("ClusterNotFoundException", "Cluster not found.", status=400):
        ecs.create_daemon(**asked | {"clusterArn": "none"})
    with refused("UnsupportedFeatureException", status=400):
        ecs.create_daemon(**asked | {"capacityProviderArns": ["FARGATE"]})
    with refused("InvalidParameterException", status=400):
        ecs.create_daemon(**asked | {"daemonName": "a b"})
    with refused("ClientException", status=400):
        ecs.create_daemon(**asked | {"daemonTaskDefinitionArn": "none"})
    made = ecs.create_daemon(**asked)
    with refused("InvalidParameterException", status=400):
        ecs.create_daemon(**asked)
    missing = f"{ARN}daemon/{name}/none"
    with refused("DaemonNotFoundException", "Daemon not found.", status=400):
        ecs.describe_daemon(daemonArn=missing)
    with refused("DaemonNotFoundException", status=400):
        ecs.list_tasks(cluster=name, daemonName="none")
    with refused("ClientException", status=400):
        ecs.delete_capacity_provider(capacityProvider=name)
    with refused("ClusterContainsCapacityProviderException", status=400):
        ecs.delete_cluster(cluster=name)
    # Without tasks it is gone at once.
    deleted = ecs.delete_daemon(daemonArn=made["daemonArn"])
    assert deleted["status"] == "DELETE_IN_PROGRESS"
    with refused("DaemonNotFoundException", status=400):
        ecs.delete_daemon(daemonArn=made["daemonArn"])
    ecs.delete_capacity_provider(capacityProvider=name)
    ecs.delete_cluster(cluster=name)

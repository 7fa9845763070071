"""Managed daemons on real hosts: one container of theirs on each, a new version in place, and gone in the end."""

import pytest

from patience import until
from real_hosts import connected, running
from wharf_server import ACCOUNT, REGION

ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}:"
SCRIPT = "trap 'exit 0' TERM; while :; do sleep 1; done"


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    yield from running(tmp_path_factory.mktemp("daemons"))


def test_one_on_each_host_and_a_new_version_in_place(up):
    client = up.client("ecs")
    client.create_cluster()
    profile = f"arn:aws:iam::{ACCOUNT}:instance-profile/ecs"
    made = client.create_capacity_provider(name="mi", cluster="default", managedInstancesProvider={
        "infrastructureRoleArn": f"arn:aws:iam::{ACCOUNT}:role/infrastructure",
        "instanceLaunchTemplate": {"ec2InstanceProfileArn": profile,
                                   "networkConfiguration": {"subnets": ["subnet-1"]}}})
    provider = made["capacityProvider"]["capacityProviderArn"]
    for host in until("two hosts", lambda: len(connected(client)) == 2 and connected(client)):
        client.put_attributes(attributes=[{
            "name": "wharf.capacity-provider", "value": "mi", "targetType": "container-instance",
            "targetId": host["containerInstanceArn"]}])
    for _ in range(2):
        client.register_daemon_task_definition(family="agent", containerDefinitions=[
            {"name": "agent", "image": "busybox:latest", "memory": 32, "command": ["sh", "-c", SCRIPT]}])
    of = {"daemonTaskDefinitionArn": f"{ARN}daemon-task-definition/agent:1",
          "capacityProviderArns": [provider]}
    daemon = client.create_daemon(daemonName="agent", clusterArn=f"{ARN}cluster/default", **of)

    def status(deployment):
        told = client.describe_daemon_deployments(daemonDeploymentArns=[deployment])
        return told["daemonDeployments"][0]["status"]

    def running():
        arns = client.list_tasks(daemonName="agent")["taskArns"]
        tasks = client.describe_tasks(tasks=arns)["tasks"] if arns else []
        return {task["containerInstanceArn"]: task["taskDefinitionArn"] for task in tasks
                if task["lastStatus"] == "RUNNING"}

    until("the first deployment", lambda: status(daemon["deploymentArn"]) == "SUCCESSFUL")
    assert set(running().values()) == {of["daemonTaskDefinitionArn"]} and len(running()) == 2
    of["daemonTaskDefinitionArn"] = f"{ARN}daemon-task-definition/agent:2"
    updated = client.update_daemon(daemonArn=daemon["daemonArn"], **of)
    until("the second deployment", lambda: status(updated["deploymentArn"]) == "SUCCESSFUL")
    assert set(running().values()) == {of["daemonTaskDefinitionArn"]} and len(running()) == 2
    assert {one["status"] for one in connected(client)} == {"ACTIVE"}
    client.delete_daemon(daemonArn=daemon["daemonArn"])
    until("it is gone", lambda: client.list_daemons()["daemonSummariesList"] == [])

"""Tasks as far as they go without a host: what is asked for, refused, and said to be missing.

Hosts themselves run in the end-to-end tests.
"""

import pytest
from botocore.exceptions import ClientError

from test_ecs_container_instances import register
from wharf_server import ACCOUNT, REGION

ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}:"
ABSENT = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def cluster(ecs, name):
    ecs.create_cluster(clusterName=name)
    ecs.register_task_definition(family=name, containerDefinitions=[
        {"name": "web", "image": "busybox", "memory": 64, "cpu": 10,
         "portMappings": [{"containerPort": 80, "hostPort": 8080}]}])
    return name


def test_no_hosts_at_all(ecs, cluster, refused):
    with refused("InvalidParameterException", "No Container Instances were found in your cluster."):
        ecs.run_task(cluster=cluster, taskDefinition=cluster)


def test_a_host_whose_agent_is_away(ecs, cluster):
    arn = register(ecs, cluster, "i-0123456789abcdef0")["containerInstanceArn"]
    answer = ecs.run_task(cluster=cluster, taskDefinition=cluster, count=2)
    assert answer["tasks"] == []
    detail = "The agent is not connected."
    assert answer["failures"] == [{"arn": arn, "reason": "AGENT", "detail": detail}]
    answer = ecs.start_task(cluster=cluster, taskDefinition=cluster,
                            containerInstances=[arn, ABSENT])
    assert [failure["reason"] for failure in answer["failures"]] == ["AGENT", "MISSING"]
    ecs.update_container_instances_state(cluster=cluster, containerInstances=[arn],
                                         status="DRAINING")
    answer = ecs.run_task(cluster=cluster, taskDefinition=cluster)
    detail = "The instance takes no new tasks."
    assert answer["failures"] == [{"arn": arn, "reason": "INACTIVE", "detail": detail}]


@pytest.mark.parametrize("more, code, message", [
    ({"taskDefinition": "nothing-of-that-name"}, "ClientException", "TaskDefinition not found."),
    ({"cluster": "nowhere"}, "ClusterNotFoundException", "Cluster not found."),
    ({"launchType": "FARGATE"}, "InvalidParameterException",
     "Task definition does not support launch_type FARGATE."),
    ({"overrides": {"containerOverrides": [{"name": "other"}]}}, "InvalidParameterException",
     "Override for container named other is not a container in the TaskDefinition."),
    ({"launchType": "EC2", "capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]},
     "InvalidParameterException",
     "Specify either Launch Type or Capacity Provider Strategy, but not both."),
    ({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}},
     "InvalidParameterException",
     "Network Configuration is not valid for the given networkMode of this task definition."),
    ({"placementConstraints": [{"type": "memberOf", "expression": "nonsense"}]},
     "InvalidParameterException", "Invalid constraint expression."),
])
def test_refusals_of_run_task(ecs, cluster, refused, more, code, message):
    with refused(code, message, status=400):
        ecs.run_task(**{"cluster": cluster, "taskDefinition": cluster, **more})


def test_an_inactive_definition(ecs, cluster, refused):
    ecs.deregister_task_definition(taskDefinition=f"{cluster}:1")
    with refused("ClientException", "TaskDefinition is inactive", status=400):
        ecs.run_task(cluster=cluster, taskDefinition=f"{cluster}:1")


def test_what_is_not_there(ecs, cluster, refused):
    task = f"{ARN}task/{cluster}/{ABSENT}"
    answer = ecs.describe_tasks(cluster=cluster, tasks=[ABSENT])
    assert answer["failures"] == [{"arn": task, "reason": "MISSING"}]
    assert ecs.list_tasks(cluster=cluster)["taskArns"] == []
    for of in ("get", "update"):
        more = {"protectionEnabled": True} if of == "update" else {}
        answer = getattr(ecs, f"{of}_task_protection")(cluster=cluster, tasks=[task], **more)
        assert answer["failures"] == [{"arn": task, "reason": "MISSING"}]
    for call in (
        lambda: ecs.stop_task(cluster=cluster, task=ABSENT),
        lambda: ecs.execute_command(cluster=cluster, task=ABSENT, command="sh", interactive=True),
        lambda: ecs.submit_task_state_change(cluster=cluster, task=task, status="RUNNING"),
        lambda: ecs.submit_container_state_change(cluster=cluster, task=task, status="RUNNING"),
    ):
        with refused("InvalidParameterException", "The referenced task was not found."):
            call()
    with refused("InvalidParameterException", "taskId length should be one of [32,36]"):
        ecs.describe_tasks(cluster=cluster, tasks=["short"])
    with refused("ServiceNotFoundException", status=400):
        ecs.list_tasks(cluster=cluster, serviceName="none")


def test_the_stopped_waiter_waits_for_nothing_that_is_missing(ecs, cluster):
    waiter = ecs.get_waiter("tasks_running")
    with pytest.raises(Exception, match="MISSING"):
        waiter.wait(cluster=cluster, tasks=[ABSENT], WaiterConfig={"Delay": 1, "MaxAttempts": 2})


def test_agents_are_told_where_to_come(ecs, cluster):
    arn = register(ecs, cluster, "i-0123456789abcdef0")["containerInstanceArn"]
    answer = ecs.discover_poll_endpoint(cluster=cluster, containerInstance=arn)
    here = ecs.meta.endpoint_url
    assert answer["endpoint"].startswith(here)
    assert answer["telemetryEndpoint"].startswith(here)
    answer = ecs.submit_attachment_state_changes(cluster=cluster, attachments=[
        {"attachmentArn": f"{ARN}attachment/{ABSENT}", "status": "ATTACHED"}])
    assert answer["acknowledgment"] == "ACCEPT"
    with pytest.raises(ClientError, match="NoUpdateAvailableException"):
        ecs.update_container_agent(cluster=cluster, containerInstance=arn)

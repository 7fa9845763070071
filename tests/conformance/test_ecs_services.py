"""Services as far as they go without a host: made, changed, refused, listed, deleted.

Hosts themselves run in the end-to-end tests.
"""

import pytest

from test_ecs_container_instances import register
from wharf_server import ACCOUNT, REGION

ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}:"


@pytest.fixture
def cluster(ecs, name):
    ecs.create_cluster(clusterName=name)
    for _ in range(2):
        ecs.register_task_definition(family=name, containerDefinitions=[
            {"name": "web", "image": "busybox", "memory": 64, "cpu": 10,
             "portMappings": [{"containerPort": 80, "hostPort": 8080}]}])
    return name


@pytest.fixture
def service(ecs, cluster):
    """The keywords that name a service of its own."""
    ecs.create_service(cluster=cluster, serviceName="web", taskDefinition=f"{cluster}:1",
                       desiredCount=2, tags=[{"key": "a", "value": "b"}])
    return {"cluster": cluster, "service": "web"}


def described(ecs, service, **more):
    answer = ecs.describe_services(cluster=service["cluster"], services=[service["service"]],
                                   **more)
    assert answer["failures"] == []
    return answer["services"][0]


def test_a_service_without_a_host_says_why_it_waits(ecs, service):
    shown = described(ecs, service)
    assert (shown["status"], shown["desiredCount"], shown["runningCount"]) == ("ACTIVE", 2, 0)
    assert shown["serviceArn"] == f"{ARN}service/{service['cluster']}/web"
    assert "tags" not in shown
    assert described(ecs, service, include=["TAGS"])["tags"] == [{"key": "a", "value": "b"}]
    text = ("(service web) was unable to place a task because no container instance met all of "
            "its requirements. Reason: No Container Instances were found in your cluster. For "
            "more information, see the Troubleshooting section of the Amazon ECS Developer Guide.")
    assert [event["message"] for event in shown["events"]] == [text]
    instance = register(ecs, service["cluster"], "i-0123456789abcdef0")["containerInstanceArn"]
    last = described(ecs, service)["events"][0]["message"]
    assert f"(container-instance {instance.split('/')[-1]}) encountered error \"AGENT\"." in last


def test_an_update_is_a_deployment_or_none(ecs, service):
    first = described(ecs, service)["deployments"]
    count = ecs.update_service(**service, desiredCount=1)["service"]
    assert count["desiredCount"] == 1
    assert [one["id"] for one in count["deployments"]] == [one["id"] for one in first]
    updated = ecs.update_service(**service, taskDefinition=f"{service['cluster']}:2")["service"]
    assert updated["deployments"][0]["status"] == "PRIMARY"
    assert updated["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    assert updated["taskDefinition"].endswith(":2")
    forced = ecs.update_service(**service, forceNewDeployment=True)["service"]
    assert forced["deployments"][0]["id"] != updated["deployments"][0]["id"]
    listed = ecs.list_service_deployments(**service)["serviceDeployments"]
    assert [one["status"] for one in listed] == ["IN_PROGRESS", "STOPPED", "STOPPED"]
    arns = [one["serviceDeploymentArn"] for one in listed]
    shown = ecs.describe_service_deployments(serviceDeploymentArns=arns)["serviceDeployments"]
    assert [one["serviceDeploymentArn"] for one in shown] == arns
    revision = listed[0]["targetServiceRevisionArn"]
    shown = ecs.describe_service_revisions(serviceRevisionArns=[revision])["serviceRevisions"]
    assert shown[0]["taskDefinition"].endswith(":2")


def test_a_revision_shows_its_images(ecs, service):
    digest = "sha256:" + "a" * 64
    images = {"tagged": "web:1", "whole": f"web@{digest}"}
    containers = [{"name": name, "image": image, "memory": 16} for name, image in images.items()]
    containers[0]["versionConsistency"] = "disabled"
    made = ecs.register_task_definition(family=service["cluster"], containerDefinitions=containers)
    shown = made["taskDefinition"]["containerDefinitions"]
    assert [one.get("versionConsistency") for one in shown] == ["disabled", None]
    arn = made["taskDefinition"]["taskDefinitionArn"]
    updated = ecs.update_service(**service, taskDefinition=arn)["service"]
    revision = updated["currentServiceRevisions"][0]["arn"]
    shown = ecs.describe_service_revisions(serviceRevisionArns=[revision])["serviceRevisions"]
    assert shown[0]["containerImages"] == [
        {"containerName": "tagged", "image": "web:1"},
        {"containerName": "whole", "image": f"web@{digest}", "imageDigest": digest},
    ]


def test_the_waiter_sees_its_end(ecs, service, refused):
    text = "The service cannot be stopped while it is scaled above 0."
    with refused("InvalidParameterException", text, status=400):
        ecs.delete_service(**service)
    with refused("ClusterContainsServicesException", status=400):
        ecs.delete_cluster(cluster=service["cluster"])
    clusters = ecs.describe_clusters(clusters=[service["cluster"]])["clusters"]
    assert clusters[0]["activeServicesCount"] == 1
    ecs.update_service(**service, desiredCount=0)
    assert ecs.delete_service(**service)["service"]["desiredCount"] == 0
    ecs.get_waiter("services_inactive").wait(
        cluster=service["cluster"], services=["web"],
        WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    with refused("ServiceNotActiveException", "Service was not ACTIVE.", status=400):
        ecs.update_service(**service, desiredCount=1)
    with refused("ServiceNotFoundException", "Service not found.", status=400):
        ecs.delete_service(**service)
    ecs.delete_cluster(cluster=service["cluster"])


def test_a_service_of_none_is_stable_at_once(ecs, cluster):
    ecs.create_service(cluster=cluster, serviceName="none", taskDefinition=cluster, desiredCount=0)
    ecs.get_waiter("services_stable").wait(
        cluster=cluster, services=["none"], WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    shown = described(ecs, {"cluster": cluster, "service": "none"})
    assert shown["events"][0]["message"] == "(service none) has reached a steady state."


@pytest.mark.parametrize("more, code, message", [
    ({"taskDefinition": "nothing-of-that-name"}, "ClientException", "TaskDefinition not found."),
    ({"cluster": "nowhere"}, "ClusterNotFoundException", "Cluster not found."),
    ({"serviceName": "web"}, "InvalidParameterException",
     "Creation of service was not idempotent."),
    ({"schedulingStrategy": "DAEMON"}, "InvalidParameterException",
     "The daemon scheduling strategy does not support a desired count for services. Remove the "
     "desired count value and try again"),
    ({"deploymentConfiguration": {"maximumPercent": 100, "minimumHealthyPercent": 100}},
     "InvalidParameterException",
     "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments."),
    ({"launchType": "FARGATE"}, "InvalidParameterException",
     "Task definition does not support launch_type FARGATE."),
])
def test_refusals_of_create_service(ecs, service, refused, more, code, message):
    base = {"cluster": service["cluster"], "serviceName": "other",
            "taskDefinition": service["cluster"], "desiredCount": 1}
    with refused(code, message, status=400):
        ecs.create_service(**{**base, **more})


def test_what_is_not_there(ecs, cluster, refused):
    answer = ecs.describe_services(cluster=cluster, services=["none"])
    arn = f"{ARN}service/{cluster}/none"
    assert answer["failures"] == [{"arn": arn, "reason": "MISSING"}]
    for call in (ecs.update_service, ecs.delete_service, ecs.list_service_deployments):
        with refused("ServiceNotFoundException", "Service not found.", status=400):
            call(cluster=cluster, service="none")


def test_lists_in_pages(ecs, cluster):
    for n in range(12):
        ecs.create_service(cluster=cluster, serviceName=f"s{n:02}", taskDefinition=cluster,
                           desiredCount=0)
    assert len(ecs.list_services(cluster=cluster)["serviceArns"]) == 10
    pages = ecs.get_paginator("list_services").paginate(cluster=cluster,
                                                        PaginationConfig={"PageSize": 5})
    found = [arn.split("/")[-1] for page in pages for arn in page["serviceArns"]]
    assert found == [f"s{n:02}" for n in range(12)]


def test_tags(ecs, service):
    arn = described(ecs, service)["serviceArn"]
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "c", "value": "d"}])
    ecs.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "c", "value": "d"}]


def test_a_deployment_is_stopped_by_hand(ecs, service, refused):
    first = ecs.list_service_deployments(**service)["serviceDeployments"][0]
    arn = first["serviceDeploymentArn"]
    answer = ecs.stop_service_deployment(serviceDeploymentArn=arn, stopType="ABORT")
    assert answer["serviceDeploymentArn"] == arn
    with refused("ConflictException", status=400):
        ecs.stop_service_deployment(serviceDeploymentArn=arn)
    assert described(ecs, service)["deployments"][0]["rolloutState"] == "FAILED"


def test_no_service_is_in_a_namespace(ecs, refused):
    arn = f"arn:aws:servicediscovery:{REGION}:{ACCOUNT}:namespace/ns-abcdefghijklmnop"
    assert ecs.list_services_by_namespace(namespace=arn)["serviceArns"] == []
    with refused("NamespaceNotFoundException", status=400):
        ecs.list_services_by_namespace(namespace="none")


def test_task_sets(ecs, cluster, refused):
    ecs.create_service(cluster=cluster, serviceName="set", desiredCount=4,
                       deploymentController={"type": "EXTERNAL"})
    service = {"cluster": cluster, "service": "set"}
    scale = {"value": 50.0, "unit": "PERCENT"}
    made = ecs.create_task_set(**service, taskDefinition=cluster, scale=scale, externalId="x",
                               tags=[{"key": "a", "value": "b"}])["taskSet"]
    assert (made["status"], made["computedDesiredCount"], made["externalId"]) == ("ACTIVE", 2, "x")
    assert made["taskSetArn"] == f"{ARN}task-set/{cluster}/set/{made['id']}"
    named = {**service, "taskSet": made["id"]}
    ecs.update_service_primary_task_set(**service, primaryTaskSet=made["taskSetArn"])
    shown = ecs.describe_task_sets(**service, taskSets=[made["id"], "ecs-svc/1"],
                                   include=["TAGS"])
    assert shown["taskSets"][0]["status"] == "PRIMARY"
    assert shown["taskSets"][0]["tags"] == [{"key": "a", "value": "b"}]
    assert [failure["reason"] for failure in shown["failures"]] == ["MISSING"]
    assert described(ecs, service)["taskDefinition"].endswith(":2")
    text = "The task set cannot be deleted while it is scaled above 0."
    with refused("InvalidParameterException", text, status=400):
        ecs.delete_task_set(**named)
    ecs.update_task_set(**named, scale={"value": 0.0, "unit": "PERCENT"})
    assert ecs.delete_task_set(**named)["taskSet"]["status"] == "DRAINING"
    with refused("TaskSetNotFoundException", status=400):
        ecs.update_task_set(**named, scale=scale)

"""Clusters: made once however often asked, described as AWS describes them, and gone slowly."""

import pytest

from wharf_server import ACCOUNT, REGION

ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/"


def test_create_answers_with_the_whole_cluster(ecs, name):
    made = ecs.create_cluster(clusterName=name)["cluster"]
    assert made == {
        "clusterArn": ARN + name,
        "clusterName": name,
        "status": "ACTIVE",
        "registeredContainerInstancesCount": 0,
        "runningTasksCount": 0,
        "pendingTasksCount": 0,
        "activeServicesCount": 0,
        "statistics": [],
        "tags": [],
        "settings": [{"name": "containerInsights", "value": "disabled"}],
        "capacityProviders": [],
        "defaultCapacityProviderStrategy": [],
    }


def test_create_without_a_name_makes_default(ecs):
    assert ecs.create_cluster()["cluster"]["clusterName"] == "default"
    found = ecs.describe_clusters()["clusters"]
    assert [cluster["clusterName"] for cluster in found] == ["default"]
    ecs.delete_cluster(cluster="default")


def test_create_twice_is_create_once(ecs, name):
    first = ecs.create_cluster(clusterName=name, tags=[{"key": "a", "value": "b"}])["cluster"]
    again = ecs.create_cluster(clusterName=name, tags=[{"key": "a", "value": "b"}])["cluster"]
    assert first["clusterArn"] == again["clusterArn"]
    arns = [a for page in ecs.get_paginator("list_clusters").paginate()
            for a in page["clusterArns"]]
    assert arns.count(ARN + name) == 1


@pytest.mark.parametrize("bad", ["a b", "a/b", "ü", "a" * 256, "a.b", "<x>"])
def test_names_that_are_none(ecs, refused, bad):
    with refused("InvalidParameterException", status=400):
        ecs.create_cluster(clusterName=bad)


def test_longest_name(ecs):
    name = "n" * 255
    assert ecs.create_cluster(clusterName=name)["cluster"]["clusterName"] == name
    ecs.delete_cluster(cluster=name)


def test_configuration_is_kept_and_shown_when_asked_for(ecs, name):
    configuration = {
        "executeCommandConfiguration": {
            "logging": "OVERRIDE",
            "logConfiguration": {
                "cloudWatchLogGroupName": "exec", "cloudWatchEncryptionEnabled": True,
                "s3BucketName": "bucket", "s3EncryptionEnabled": True, "s3KeyPrefix": "logs",
            },
        },
        "managedStorageConfiguration": {
            "kmsKeyId": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1", "fargateEphemeralStorageKmsKeyId":
            f"arn:aws:kms:{REGION}:{ACCOUNT}:key/2",
        },
    }
    ecs.create_cluster(
        clusterName=name, configuration=configuration, tags=[{"key": "Größe", "value": "grün"}],
        settings=[{"name": "containerInsights", "value": "enhanced"}],
    )
    [bare] = ecs.describe_clusters(clusters=[name])["clusters"]
    assert "configuration" not in bare
    assert bare["tags"] == [] and bare["settings"] == [] and bare["statistics"] == []
    include = ["ATTACHMENTS", "CONFIGURATIONS", "SETTINGS", "STATISTICS", "TAGS"]
    [full] = ecs.describe_clusters(clusters=[ARN + name], include=include)["clusters"]
    assert full["configuration"] == configuration
    assert full["tags"] == [{"key": "Größe", "value": "grün"}]
    assert full["settings"] == [{"name": "containerInsights", "value": "enhanced"}]
    assert {s["name"] for s in full["statistics"]} >= {
        "runningEC2TasksCount", "runningFargateTasksCount", "pendingEC2TasksCount",
        "pendingFargateTasksCount", "activeEC2ServiceCount", "activeFargateServiceCount",
        "drainingEC2ServiceCount", "drainingFargateServiceCount",
    }
    assert {s["value"] for s in full["statistics"]} == {"0"}


def test_describe_tells_what_is_missing(ecs, name):
    ecs.create_cluster(clusterName=name)
    got = ecs.describe_clusters(clusters=[name, "no-such", ARN + "neither"])
    assert [cluster["clusterName"] for cluster in got["clusters"]] == [name]
    assert got["failures"] == [
        {"arn": ARN + "no-such", "reason": "MISSING"},
        {"arn": ARN + "neither", "reason": "MISSING"},
    ]


def test_describe_takes_a_hundred(ecs, refused):
    assert len(ecs.describe_clusters(clusters=[f"x{n}" for n in range(100)])["failures"]) == 100
    with refused("InvalidParameterException"):
        ecs.describe_clusters(clusters=[f"x{n}" for n in range(101)])


def test_describe_wants_a_known_include(ecs, refused):
    with refused("InvalidParameterException"):
        ecs.describe_clusters(include=["EVERYTHING"])


def test_update_settings(ecs, name, refused):
    ecs.create_cluster(clusterName=name)
    settings = [{"name": "containerInsights", "value": "enabled"}]
    changed = ecs.update_cluster_settings(cluster=name, settings=settings)["cluster"]
    assert changed["settings"] == settings
    [seen] = ecs.describe_clusters(clusters=[name], include=["SETTINGS"])["clusters"]
    assert seen["settings"] == settings
    with refused("ClusterNotFoundException", "Cluster not found."):
        ecs.update_cluster_settings(cluster="no-such", settings=settings)
    with refused("InvalidParameterException"):
        ecs.update_cluster_settings(
            cluster=name, settings=[{"name": "containerInsights", "value": "perhaps"}]
        )
    with refused("InvalidParameterException"):
        ecs.update_cluster_settings(cluster=name, settings=[{"name": "x", "value": "enabled"}])


def test_update_cluster(ecs, name, refused):
    ecs.create_cluster(clusterName=name)
    configuration = {"executeCommandConfiguration": {"logging": "NONE"}}
    ecs.update_cluster(cluster=name, configuration=configuration)
    [seen] = ecs.describe_clusters(clusters=[name], include=["CONFIGURATIONS"])["clusters"]
    assert seen["configuration"] == configuration
    with refused("ClusterNotFoundException"):
        ecs.update_cluster(cluster="no-such", configuration=configuration)


def test_exec_logging_must_fit(ecs, name, refused):
    with refused("InvalidParameterException"):
        ecs.create_cluster(
            clusterName=name, configuration={"executeCommandConfiguration": {"logging": "LOUD"}}
        )


def test_delete(ecs, name, refused):
    ecs.create_cluster(clusterName=name, tags=[{"key": "a", "value": "b"}])
    gone = ecs.delete_cluster(cluster=ARN + name)["cluster"]
    assert (gone["clusterName"], gone["status"]) == (name, "INACTIVE")
    # AWS: a deleted cluster is described as INACTIVE for a while, and no longer listed.
    [seen] = ecs.describe_clusters(clusters=[name])["clusters"]
    assert seen["status"] == "INACTIVE"
    assert ARN + name not in ecs.list_clusters()["clusterArns"]
    with refused("ClusterNotFoundException", "Cluster not found."):
        ecs.delete_cluster(cluster="never-was")


def test_a_deleted_name_is_free(ecs, name):
    ecs.create_cluster(clusterName=name, tags=[{"key": "old", "value": "1"}])
    ecs.delete_cluster(cluster=name)
    again = ecs.create_cluster(clusterName=name)["cluster"]
    assert (again["status"], again["tags"]) == ("ACTIVE", [])


def test_another_accounts_arn(ecs, refused):
    """AWS: another account's cluster would need a policy of its own, and ECS has none."""
    arn = f"arn:aws:ecs:{REGION}:999999999999:cluster/theirs"
    text = (f"User: arn:aws:iam::{ACCOUNT}:root is not authorized to perform: ecs:{{0}} on "
            f"resource: {arn} because no resource-based policy allows the ecs:{{0}} action")
    with refused("AccessDeniedException", text.format("DescribeClusters"), 400):
        ecs.describe_clusters(clusters=[arn])
    with refused("AccessDeniedException", text.format("DeleteCluster"), 400):
        ecs.delete_cluster(cluster=arn)


def test_capacity_providers_of_a_cluster(ecs, name, refused):
    strategy = [
        {"capacityProvider": "FARGATE", "weight": 1, "base": 2},
        {"capacityProvider": "FARGATE_SPOT", "weight": 4, "base": 0},
    ]
    made = ecs.create_cluster(
        clusterName=name, capacityProviders=["FARGATE", "FARGATE_SPOT"],
        defaultCapacityProviderStrategy=strategy,
    )["cluster"]
    assert made["capacityProviders"] == ["FARGATE", "FARGATE_SPOT"]
    assert made["defaultCapacityProviderStrategy"] == strategy
    put = ecs.put_cluster_capacity_providers(
        cluster=name, capacityProviders=["FARGATE"], defaultCapacityProviderStrategy=[]
    )["cluster"]
    assert put["capacityProviders"] == ["FARGATE"]
    assert put["defaultCapacityProviderStrategy"] == []
    with refused("ClusterNotFoundException", "Cluster not found."):
        ecs.put_cluster_capacity_providers(
            cluster="no-such", capacityProviders=[], defaultCapacityProviderStrategy=[]
        )
    with refused("InvalidParameterException"):
        ecs.put_cluster_capacity_providers(
            cluster=name, capacityProviders=["no-such"], defaultCapacityProviderStrategy=[]
        )
    with refused("InvalidParameterException"):
        ecs.put_cluster_capacity_providers(
            cluster=name, capacityProviders=["FARGATE"],
            defaultCapacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
        )
    with refused("InvalidParameterException"):
        ecs.put_cluster_capacity_providers(
            cluster=name, capacityProviders=["FARGATE", "FARGATE_SPOT"],
            defaultCapacityProviderStrategy=[
                {"capacityProvider": "FARGATE", "base": 1, "weight": 1},
                {"capacityProvider": "FARGATE_SPOT", "base": 1, "weight": 1},
            ],
        )
    for weight in (-1, 1001):
        with refused("InvalidParameterException"):
            ecs.put_cluster_capacity_providers(
                cluster=name, capacityProviders=["FARGATE"],
                defaultCapacityProviderStrategy=[
                    {"capacityProvider": "FARGATE", "weight": weight}
                ],
            )


def test_list_pages_are_sealed(ecs, server, refused):
    for n in range(4):
        ecs.create_cluster(clusterName=f"page-{n}")
    first = ecs.list_clusters(maxResults=2)
    assert len(first["clusterArns"]) == 2
    second = ecs.list_clusters(maxResults=2, nextToken=first["nextToken"])
    assert not set(first["clusterArns"]) & set(second["clusterArns"])
    with refused("InvalidParameterException"):
        ecs.list_clusters(nextToken="made-up")
    with refused("InvalidParameterException"):
        ecs.list_task_definitions(nextToken=first["nextToken"])
    for count in (0, -1, 101):
        with refused("InvalidParameterException"):
            ecs.list_clusters(maxResults=count)

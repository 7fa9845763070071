"""Task definitions: what is registered comes back, with AWS's defaults and nothing else added."""

import copy

import pytest

from wharf_server import ACCOUNT, REGION

ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/"
SMALL = {"name": "web", "image": "nginx", "memory": 128}


def register(ecs, family, *containers, **more):
    containers = list(containers) or [copy.deepcopy(SMALL)]
    return ecs.register_task_definition(
        family=family, containerDefinitions=containers, **more
    )["taskDefinition"]


def test_the_smallest(ecs, name):
    got = register(ecs, name)
    assert got["registeredBy"] == f"arn:aws:iam::{ACCOUNT}:root"
    assert got.pop("registeredAt").tzinfo is not None
    got.pop("registeredBy")
    got.pop("requiresAttributes", None)
    assert got == {
        "taskDefinitionArn": f"{ARN}{name}:1",
        "containerDefinitions": [{
            "name": "web", "image": "nginx", "cpu": 0, "memory": 128, "portMappings": [],
            "essential": True, "environment": [], "mountPoints": [], "volumesFrom": [],
            "systemControls": [],
        }],
        "family": name,
        "revision": 1,
        "volumes": [],
        "status": "ACTIVE",
        "placementConstraints": [],
        "compatibilities": ["EXTERNAL", "EC2"],
        "enableFaultInjection": False,
    }


def test_revisions_count_up_and_are_never_reused(ecs, name):
    assert [register(ecs, name)["revision"] for _ in range(3)] == [1, 2, 3]
    ecs.deregister_task_definition(taskDefinition=f"{name}:3")
    assert register(ecs, name)["revision"] == 4


@pytest.mark.parametrize("mode,given,host", [
    ("bridge", {"containerPort": 80}, 0),
    ("bridge", {"containerPort": 80, "hostPort": 8080, "protocol": "udp"}, 8080),
    ("host", {"containerPort": 80}, 80),
    ("awsvpc", {"containerPort": 80, "name": "web", "appProtocol": "http"}, 80),
])
def test_ports_by_network_mode(ecs, name, mode, given, host):
    got = register(ecs, name, SMALL | {"portMappings": [given]}, networkMode=mode)
    assert got["networkMode"] == mode
    expected = {"protocol": "tcp", "hostPort": host} | given
    assert got["containerDefinitions"][0]["portMappings"] == [expected]


EVERYTHING = {
    "name": "app", "image": f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/app:1", "cpu": 256,
    "memory": 512, "memoryReservation": 256, "essential": True,
    "portMappings": [
        {"containerPort": 8080, "hostPort": 8080, "protocol": "tcp", "name": "http",
         "appProtocol": "http2"},
    ],
    "restartPolicy": {"enabled": True, "ignoredExitCodes": [0, 42], "restartAttemptPeriod": 120},
    "entryPoint": ["/bin/sh", "-c"], "command": ["exec app \"$@\" ☃"],
    "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": ""}],
    "environmentFiles": [{"value": "arn:aws:s3:::bucket/file.env", "type": "s3"}],
    "mountPoints": [{"sourceVolume": "data", "containerPath": "/data", "readOnly": True}],
    "volumesFrom": [{"sourceContainer": "side", "readOnly": False}],
    "linuxParameters": {"initProcessEnabled": True, "capabilities": {"drop": ["NET_RAW"]}},
    "secrets": [{"name": "S", "valueFrom": f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/s"}],
    "dependsOn": [{"containerName": "side", "condition": "HEALTHY"}],
    "startTimeout": 30, "stopTimeout": 60, "user": "1000:1000", "workingDirectory": "/srv",
    "privileged": False, "readonlyRootFilesystem": True, "interactive": True,
    "pseudoTerminal": False, "dockerLabels": {"team": "blue"},
    "ulimits": [{"name": "nofile", "softLimit": 1024, "hardLimit": 4096}],
    "logConfiguration": {
        "logDriver": "awslogs",
        "options": {"awslogs-group": "/app", "awslogs-region": "us-east-1",
                    "awslogs-stream-prefix": "app"},
        "secretOptions": [],
    },
    "healthCheck": {"command": ["CMD-SHELL", "true"], "interval": 30, "timeout": 5, "retries": 3,
                    "startPeriod": 10},
    "systemControls": [],
}
SIDE = SMALL | {
    "name": "side", "essential": False, "memory": 64,
    "healthCheck": {"command": ["CMD", "true"]},
}


def test_fargate_with_everything(ecs, name):
    given = dict(
        networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="512", memory="1024",
        executionRoleArn=ROLE + "execution", taskRoleArn=ROLE + "task",
        ephemeralStorage={"sizeInGiB": 30},
        runtimePlatform={"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
        volumes=[{
            "name": "data",
            "efsVolumeConfiguration": {
                "fileSystemId": "fs-12345678", "rootDirectory": "/", "transitEncryption":
                "ENABLED", "transitEncryptionPort": 2999,
                "authorizationConfig": {"accessPointId": "fsap-1", "iam": "ENABLED"},
            },
        }],
        tags=[{"key": "a", "value": "b"}],
    )
    answer = ecs.register_task_definition(
        family=name, containerDefinitions=[EVERYTHING, SIDE], **given
    )
    assert answer["tags"] == [{"key": "a", "value": "b"}]
    described = ecs.describe_task_definition(taskDefinition=name, include=["TAGS"])
    assert described["tags"] == [{"key": "a", "value": "b"}]
    assert described["taskDefinition"] == answer["taskDefinition"]
    got = answer["taskDefinition"]
    for member in given.keys() - {"tags"}:
        assert got[member] == given[member], member
    assert got["compatibilities"] == ["EC2", "MANAGED_INSTANCES", "FARGATE"]
    app, side = got["containerDefinitions"]
    assert app == EVERYTHING
    # AWS: what a health check leaves out is filled in.
    assert side["healthCheck"] == {
        "command": ["CMD", "true"], "interval": 30, "timeout": 5, "retries": 3,
    }
    names = {attribute["name"] for attribute in got["requiresAttributes"]}
    assert {
        "ecs.capability.task-eni", "com.amazonaws.ecs.capability.task-iam-role",
        "com.amazonaws.ecs.capability.logging-driver.awslogs", "ecs.capability.efsAuth",
        "com.amazonaws.ecs.capability.ecr-auth", "ecs.capability.execution-role-ecr-pull",
        "ecs.capability.execution-role-awslogs", "ecs.capability.container-health-check",
        "ecs.capability.secrets.ssm.environment-variables",
    } <= names, names


def test_ec2_with_everything(ecs, name):
    container = SMALL | {
        "links": ["side:alias"], "hostname": "box", "extraHosts": [
            {"hostname": "db", "ipAddress": "10.0.0.1"}
        ],
        "dnsServers": ["10.0.0.2"], "dnsSearchDomains": ["example.com"],
        "dockerSecurityOptions": ["label:type:x"], "disableNetworking": False,
        "privileged": True,
        "linuxParameters": {
            "capabilities": {"add": ["SYS_ADMIN"], "drop": []}, "maxSwap": 100, "swappiness": 60,
            "devices": [{"hostPath": "/dev/fuse", "containerPath": "/dev/fuse",
                         "permissions": ["read", "write"]}],
            "sharedMemorySize": 64,
            "tmpfs": [{"containerPath": "/tmp", "size": 16, "mountOptions": ["rw"]}],
        },
        "systemControls": [{"namespace": "net.core.somaxconn", "value": "1024"}],
        "resourceRequirements": [{"type": "GPU", "value": "1"}],
        "logConfiguration": {"logDriver": "json-file", "options": {"max-size": "1m"}},
        "mountPoints": [{"sourceVolume": "host", "containerPath": "/h"}],
    }
    given = dict(
        networkMode="bridge", requiresCompatibilities=["EC2"], pidMode="host", ipcMode="none",
        placementConstraints=[{"type": "memberOf", "expression": "attribute:x == y"}],
        volumes=[
            {"name": "host", "host": {"sourcePath": "/srv"}},
            {"name": "docker", "dockerVolumeConfiguration": {
                "scope": "shared", "autoprovision": True, "driver": "local",
                "driverOpts": {"type": "tmpfs"}, "labels": {"a": "b"},
            }},
            {"name": "empty", "host": {}},
        ],
        inferenceAccelerators=[{"deviceName": "d", "deviceType": "eia2.medium"}],
    )
    del given["inferenceAccelerators"]
    got = register(ecs, name, container, SIDE, **given)
    for member, value in given.items():
        assert got[member] == value, member
    first = got["containerDefinitions"][0]
    for member, value in container.items():
        assert first[member] == value, member


def test_proxy(ecs, name):
    proxy = {
        "type": "APPMESH", "containerName": "envoy",
        "properties": [
            {"name": "ProxyIngressPort", "value": "15000"}, {"name": "AppPorts", "value": "80"},
            {"name": "ProxyEgressPort", "value": "15001"}, {"name": "IgnoredUID",
                                                            "value": "1337"},
            {"name": "EgressIgnoredIPs", "value": "169.254.170.2,169.254.169.254"},
        ],
    }
    got = register(ecs, name, SMALL, SMALL | {"name": "envoy"}, networkMode="awsvpc",
                   proxyConfiguration=proxy)
    assert got["proxyConfiguration"] == proxy


FARGATE = dict(networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512")
REFUSED = [
    ("no containers", dict(containerDefinitions=[]), None),
    ("no memory", dict(containerDefinitions=[{"name": "a", "image": "b"}]),
     "Invalid setting for container 'a'. At least one of 'memory' or 'memoryReservation' must be "
     "specified."),
    ("no image", dict(containerDefinitions=[{"name": "a", "memory": 4}]),
     "Container.image should not be null or empty."),
    ("no name", dict(containerDefinitions=[{"image": "a", "memory": 4}]),
     "Container.name should not be null or empty."),
    ("a bad name", dict(containerDefinitions=[SMALL | {"name": "a b"}]), None),
    ("two of a name", dict(containerDefinitions=[SMALL, SMALL]), None),
    ("too little memory", dict(containerDefinitions=[SMALL | {"memory": 3}]), None),
    ("reservation over the limit",
     dict(containerDefinitions=[SMALL | {"memoryReservation": 256}]), None),
    ("none essential", dict(containerDefinitions=[SMALL | {"essential": False}]), None),
    ("an unknown volume", dict(containerDefinitions=[
        SMALL | {"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]}
    ]), "Unknown volume 'v'."),
    ("two volumes of a name", dict(volumes=[{"name": "v"}, {"name": "v"}]), None),
    ("an unknown link", dict(containerDefinitions=[SMALL | {"links": ["nobody"]}]), None),
    ("links in awsvpc", dict(networkMode="awsvpc", containerDefinitions=[
        SMALL | {"links": ["b"]}, SMALL | {"name": "b"}
    ]), None),
    ("host port of its own in awsvpc", dict(networkMode="awsvpc", containerDefinitions=[
        SMALL | {"portMappings": [{"containerPort": 80, "hostPort": 81}]}
    ]), "When networkMode=awsvpc, the host ports and container ports in port mappings must match."),
    ("a port too high", dict(containerDefinitions=[
        SMALL | {"portMappings": [{"containerPort": 65536}]}
    ]), None),
    ("an unknown dependency", dict(containerDefinitions=[
        SMALL | {"dependsOn": [{"containerName": "x", "condition": "START"}]}
    ]), None),
    ("dependencies in a circle", dict(containerDefinitions=[
        SMALL | {"dependsOn": [{"containerName": "b", "condition": "START"}]},
        SMALL | {"name": "b", "dependsOn": [{"containerName": "web", "condition": "START"}]},
    ]), None),
    ("fargate without awsvpc", FARGATE | dict(networkMode="bridge"),
     "Fargate only supports network mode ‘awsvpc’."),
    ("fargate without cpu", {k: v for k, v in FARGATE.items() if k != "cpu"},
     "Fargate requires that 'cpu' be defined at the task level."),
    ("fargate without memory", {k: v for k, v in FARGATE.items() if k != "memory"},
     "Fargate requires that 'memory' be defined at the task level."),
    ("fargate of an odd size", FARGATE | dict(memory="1000"),
     lambda text: text.startswith("No Fargate configuration exists for given values")),
    ("fargate that is privileged",
     FARGATE | dict(containerDefinitions=[SMALL | {"privileged": True}]), None),
    ("fargate with host volumes",
     FARGATE | dict(volumes=[{"name": "v", "host": {"sourcePath": "/x"}}]), None),
    ("fargate logs without a role", FARGATE | dict(containerDefinitions=[SMALL | {
        "logConfiguration": {"logDriver": "awslogs", "options": {
            "awslogs-group": "g", "awslogs-region": "r", "awslogs-stream-prefix": "p"}}
    }]), "Fargate requires task definition to have execution role ARN to support log driver "
         "awslogs."),
    ("containers over the task", dict(cpu="256", memory="64"), None),
    ("a task cpu of letters", dict(cpu="much", memory="128"), None),
    ("a placement expression of noise",
     dict(placementConstraints=[{"type": "memberOf", "expression": "(("}]), None),
    ("an unknown network mode", dict(networkMode="carrier-pigeon"), None),
    ("an unknown compatibility", dict(requiresCompatibilities=["MOON"]), None),
    ("an unknown log driver", dict(containerDefinitions=[
        SMALL | {"logConfiguration": {"logDriver": "pigeon"}}
    ]), None),
    ("a bad role", dict(taskRoleArn="arn:aws:s3:::bucket"), None),
    ("swap out of range", dict(containerDefinitions=[
        SMALL | {"linuxParameters": {"maxSwap": 10, "swappiness": 101}}
    ]), None),
    ("a slow health check", dict(containerDefinitions=[
        SMALL | {"healthCheck": {"command": ["CMD", "x"], "interval": 301}}
    ]), None),
    ("secrets without a role", dict(containerDefinitions=[
        SMALL | {"secrets": [{"name": "s", "valueFrom": "p"}]}
    ]), None),
    ("too many tags", dict(tags=[{"key": f"k{n}", "value": ""} for n in range(51)]), None),
    ("no tags in a list of tags", dict(tags=[]), "Tags can not be empty."),
    ("aws's own tags", dict(tags=[{"key": "aws:mine", "value": ""}]), None),
]


# What a registration shares with other requests is refused as they refuse it.
SHARED = ("a placement expression of noise", "too many tags", "aws's own tags")


@pytest.mark.parametrize("what,members,text", REFUSED, ids=[row[0] for row in REFUSED])
def test_refused(ecs, name, refused, what, members, text):
    members = {"containerDefinitions": [SMALL]} | copy.deepcopy(members)
    code = "InvalidParameterException" if what in SHARED else "ClientException"
    with refused(code, text, 400):
        ecs.register_task_definition(family=name, **members)
    with refused("ClientException"):
        ecs.describe_task_definition(taskDefinition=name)


@pytest.mark.parametrize("family", ["", "a b", "ü", "a" * 256, "a/b", "a:1"])
def test_families_that_are_none(ecs, refused, family):
    with refused("ClientException", status=400):
        register(ecs, family)


def test_family_and_containers_are_required(ecs, refused):
    with refused("ClientException"):
        ecs.register_task_definition(containerDefinitions=[SMALL])
    with refused("ClientException"):
        ecs.register_task_definition(family="x")


def test_described_by_family_revision_and_arn(ecs, name):
    register(ecs, name)
    register(ecs, name)
    for which, revision in [(name, 2), (f"{name}:1", 1), (f"{ARN}{name}:2", 2)]:
        got = ecs.describe_task_definition(taskDefinition=which)
        assert got["taskDefinition"]["revision"] == revision


@pytest.mark.parametrize("which", ["nobody", "nobody:1", f"{ARN}nobody:1", "a:b:c", "x:0", "x:-1",
                                   "x:99999999999999999999"])
def test_describe_missing(ecs, refused, which):
    with refused("ClientException", status=400):
        ecs.describe_task_definition(taskDefinition=which)


def test_describe_missing_text(ecs, refused):
    with refused("ClientException", "Unable to describe task definition."):
        ecs.describe_task_definition(taskDefinition="nobody")


def test_deregister(ecs, name, refused):
    register(ecs, name)
    register(ecs, name)
    gone = ecs.deregister_task_definition(taskDefinition=f"{name}:2")["taskDefinition"]
    assert gone["status"] == "INACTIVE" and "deregisteredAt" in gone
    # AWS: a family by itself means its latest ACTIVE revision.
    assert ecs.describe_task_definition(taskDefinition=name)["taskDefinition"]["revision"] == 1
    again = ecs.describe_task_definition(taskDefinition=f"{name}:2")["taskDefinition"]
    assert again["status"] == "INACTIVE"
    ecs.deregister_task_definition(taskDefinition=f"{ARN}{name}:1")
    with refused("ClientException", "Unable to describe task definition."):
        ecs.describe_task_definition(taskDefinition=name)
    for which in ("nobody:1", f"{name}:7"):
        with refused("ClientException"):
            ecs.deregister_task_definition(taskDefinition=which)
    with refused("ClientException"):
        ecs.deregister_task_definition(taskDefinition=name)


def test_delete(ecs, name):
    for _ in range(2):
        register(ecs, name)
    ecs.deregister_task_definition(taskDefinition=f"{name}:1")
    got = ecs.delete_task_definitions(taskDefinitions=[f"{name}:1", f"{name}:2", "nobody:1"])
    assert [d["status"] for d in got["taskDefinitions"]] == ["DELETE_IN_PROGRESS"]
    assert {f["arn"] for f in got["failures"]} == {f"{ARN}{name}:2", f"{ARN}nobody:1"}
    assert all(f["reason"] for f in got["failures"])
    assert register(ecs, name)["revision"] == 3


def test_delete_takes_ten(ecs, refused):
    with refused("InvalidParameterException"):
        ecs.delete_task_definitions(taskDefinitions=[f"x:{n}" for n in range(1, 12)])


def revisions(arns):
    return [arn.split("/")[1] for arn in arns]


def test_list_filters_and_sorts(ecs, name):
    for family in (f"{name}-a", f"{name}-a", f"{name}-b"):
        register(ecs, family)
    ecs.deregister_task_definition(taskDefinition=f"{name}-a:1")
    # AWS: familyPrefix is the whole family name, in spite of its name.
    listed = ecs.list_task_definitions(familyPrefix=f"{name}-a")["taskDefinitionArns"]
    assert revisions(listed) == [f"{name}-a:2"]
    assert ecs.list_task_definitions(familyPrefix=name)["taskDefinitionArns"] == []
    gone = ecs.list_task_definitions(familyPrefix=f"{name}-a", status="INACTIVE")
    assert revisions(gone["taskDefinitionArns"]) == [f"{name}-a:1"]
    register(ecs, f"{name}-a")
    down = ecs.list_task_definitions(familyPrefix=f"{name}-a", sort="DESC")
    assert revisions(down["taskDefinitionArns"]) == [f"{name}-a:3", f"{name}-a:2"]


def test_families(ecs, name, refused):
    register(ecs, f"{name}-on")
    register(ecs, f"{name}-off")
    ecs.deregister_task_definition(taskDefinition=f"{name}-off:1")

    def families(**how):
        return ecs.list_task_definition_families(familyPrefix=name, **how)["families"]

    assert families(status="ACTIVE") == [f"{name}-on"]
    assert families(status="INACTIVE") == [f"{name}-off"]
    assert families() == families(status="ALL") == [f"{name}-off", f"{name}-on"]
    with refused("InvalidParameterException"):
        families(status="SLEEPING")


def test_sorted_by_number_and_not_by_letter(ecs, name):
    for _ in range(11):
        register(ecs, name)
    arns = ecs.list_task_definitions(familyPrefix=name)["taskDefinitionArns"]
    assert revisions(arns) == [f"{name}:{n}" for n in range(1, 12)]


def test_unicode_and_size(ecs, name, refused):
    text = "日本語 " * 50
    got = register(ecs, name, SMALL | {"environment": [{"name": "T", "value": text}]})
    assert got["containerDefinitions"][0]["environment"] == [{"name": "T", "value": text}]
    # AWS: a task definition may have 64 KiB.
    with refused("ClientException"):
        register(ecs, name, SMALL | {"environment": [{"name": "T", "value": "x" * 70000}]})

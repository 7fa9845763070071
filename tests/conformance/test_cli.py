"""The stock command line, version 1 and 2, in the words of the books that describe ECS.

`docs/journeys/` tells the same commands to people; where it corrects a typo, so does this.
"""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wharf_server import ACCOUNT, REGION, binary

ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}:"
V1 = str(Path(sys.executable).parent / "aws")
V2 = "/usr/bin/aws"


@pytest.fixture(scope="module", params=["v1", "v2"])
def program(request):
    if request.param == "v1":
        return V1
    if not Path(V2).exists():
        print("aws v2 is not on this machine (Debian: awscli); its half of these tests is left out")
        pytest.skip("no aws v2 at /usr/bin/aws")
    return V2


def endpoint(program, server):
    """Version 2 reads `AWS_ENDPOINT_URL` since 2.13; Debian 12 has 2.9."""
    return [] if program == V1 else ["--endpoint-url", server.endpoint]


class Cli:
    def __init__(self, program, server, folder):
        self.program, self.server, self.folder = program, server, folder
        self.environment = server.shell()

    def run(self, line, environment=None):
        """A command as it stands in a book, from the word after `aws`."""
        return subprocess.run(
            [self.program, *endpoint(self.program, self.server), *shlex.split(line)], cwd=self.folder, capture_output=True, text=True,
            env=environment or self.environment, timeout=60, check=False,
        )

    def __call__(self, line):
        """What the command prints, as JSON."""
        done = self.run(line)
        assert done.returncode == 0, f"aws {line}\n{done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def fails(self, line, *texts):
        done = self.run(line)
        # 1 in version 1 before 1.19, 254 for a service's error since, 252 for a wrong command line.
        assert done.returncode in (2, 252, 254, 255), f"aws {line}\n{done.stdout}{done.stderr}"
        for text in texts:
            assert text in done.stderr, f"aws {line}\n{done.stderr}"

    def file(self, name, content):
        (self.folder / name).write_text(content)


@pytest.fixture
def aws(program, server, tmp_path):
    return Cli(program, server, tmp_path)


WEB = {
    "family": "web",
    "containerDefinitions": [
        {
            "name": "web", "image": "nginx:1.9", "memory": 300, "cpu": 102, "essential": True,
            "portMappings": [{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}],
        }
    ],
}
# The second book's task definition, as it prints it.
AUTH = """
{
  "containerDefinitions": [
    {
      "name": "auth",
      "image": "srirajan/auth",
      "cpu": 512,
      "memory": 512,
      "portMappings": [
        {
          "protocol": "tcp",
          "containerPort": 10080,
          "hostPort": 0
        }
      ],
      "essential": true,
      "dockerLabels": {
        "service": "auth"
      }
    }
  ],
  "family": "auth"
}
"""


def test_clusters(aws):
    made = aws("ecs create-cluster --cluster-name first-aws-app")["cluster"]
    assert (made["clusterArn"], made["status"]) == (ARN + "cluster/first-aws-app", "ACTIVE")
    assert ARN + "cluster/first-aws-app" in aws("ecs list-clusters")["clusterArns"]
    found = aws("ecs describe-clusters --clusters first-aws-app")
    assert found["clusters"][0]["clusterName"] == "first-aws-app"
    assert found["failures"] == []
    assert aws("ecs delete-cluster --cluster first-aws-app")["cluster"]["status"] == "INACTIVE"
    aws.fails("ecs delete-cluster --cluster never-was",
              "An error occurred (ClusterNotFoundException) when calling the DeleteCluster "
              "operation: Cluster not found.")


def test_a_cluster_as_described_in_the_book(aws):
    """The book's `--cluster` is short for `--clusters`, which both versions take."""
    aws('ecs create-cluster --cluster-name stage01')
    [cluster] = aws("ecs describe-clusters --cluster stage01")["clusters"]
    book = {
        "status": "ACTIVE", "clusterName": "stage01", "pendingTasksCount": 0,
        "runningTasksCount": 0, "activeServicesCount": 0, "clusterArn": ARN + "cluster/stage01",
        "registeredContainerInstancesCount": 0,
    }
    assert book.items() <= cluster.items()
    aws("ecs delete-cluster --cluster stage01")


def test_task_definitions(aws):
    aws.file("web-task-definition.json", json.dumps(WEB))
    line = "ecs register-task-definition --cli-input-json file://web-task-definition.json"
    first = aws(line)["taskDefinition"]["revision"]
    assert aws(line)["taskDefinition"]["revision"] == first + 1
    assert "web" in aws("ecs list-task-definition-families")["families"]
    arns = aws("ecs list-task-definitions")["taskDefinitionArns"]
    assert f"{ARN}task-definition/web:{first}" in arns
    seen = aws(f"ecs describe-task-definition --task-definition web:{first}")["taskDefinition"]
    assert seen["containerDefinitions"][0]["image"] == "nginx:1.9"
    # "If the revision is omitted the result will be the last one."
    latest = aws("ecs describe-task-definition --task-definition web")["taskDefinition"]
    assert latest["revision"] == first + 1
    for revision in (first, first + 1):
        gone = aws(f"ecs deregister-task-definition --task-definition web:{revision}")
        assert gone["taskDefinition"]["status"] == "INACTIVE"


def test_the_books_auth_task(aws):
    aws.folder.joinpath("ecs/tasks").mkdir(parents=True)
    aws.file("ecs/tasks/auth.json", AUTH)
    got = aws("ecs register-task-definition --cli-input-json file://ecs/tasks/auth.json")
    [container] = got["taskDefinition"]["containerDefinitions"]
    given = json.loads(AUTH)["containerDefinitions"][0]
    assert given.items() <= container.items()


def test_typos_are_told_by_the_client(aws):
    """Commands that the books misspell fail in the client, before any request is made."""
    for line in (
        "ecs describe-container-insstances --cluster x --container-instance y",
        "ecs deregister-task-definition -task-definition web:1",
        "describe-instances",
    ):
        aws.fails(line)


def pruned(value):
    """A skeleton without what was left empty."""
    if isinstance(value, dict):
        return {k: kept for k, v in value.items() if (kept := pruned(v)) not in ("", 0, [], {})}
    if isinstance(value, list):
        return [kept for item in value if (kept := pruned(item)) not in ("", 0, [], {})]
    return value


def test_the_skeleton(aws):
    skeleton = aws.run("ecs register-task-definition --generate-cli-skeleton")
    assert skeleton.returncode == 0, skeleton.stderr
    aws.file("raw.json", skeleton.stdout)
    line = "ecs register-task-definition --cli-input-json file://"
    # As printed it is empty where AWS wants words, so it gets AWS's error.
    aws.fails(line + "raw.json")
    filled = json.loads(skeleton.stdout)
    # The client itself refuses only the empty key of a tag; the rest is the server's to refuse.
    aws.file("raw.json", json.dumps({k: v for k, v in filled.items() if k != "tags"}))
    aws.fails(line + "raw.json", "when calling the RegisterTaskDefinition operation")
    filled["family"] = "from-skeleton"
    filled["networkMode"] = "bridge"
    filled["requiresCompatibilities"] = ["EC2"]
    container = filled["containerDefinitions"][0]
    wanted = {"name": "web", "image": "nginx", "cpu": 10, "memory": 128, "essential": True}
    kept = {k: v for k, v in container.items() if k in ("portMappings", "environment")}
    kept["portMappings"] = [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}]
    kept["environment"] = [{"name": "A", "value": "B"}]
    filled = pruned({
        k: filled[k] for k in ("family", "networkMode", "requiresCompatibilities")
    } | {"containerDefinitions": [kept | wanted]})
    aws.file("filled.json", json.dumps(filled))
    got = aws(line + "filled.json")["taskDefinition"]
    assert (got["family"], got["status"]) == ("from-skeleton", "ACTIVE")


def test_a_service_skeleton_is_the_clients_own(aws):
    done = aws.run("ecs create-service --generate-cli-skeleton")
    assert done.returncode == 0 and "serviceName" in json.loads(done.stdout)


def test_identity_and_users(aws, name):
    assert aws("sts get-caller-identity")["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    aws(f"iam create-user --user-name {name}")
    assert name in [u["UserName"] for u in aws("iam list-users")["Users"]]
    aws(f"iam create-group --group-name {name}")
    aws(f"iam attach-group-policy --group-name {name} "
        "--policy-arn arn:aws:iam::aws:policy/AdministratorAccess")
    aws(f"iam add-user-to-group --group-name {name} --user-name {name}")
    key = aws(f"iam create-access-key --user-name {name}")["AccessKey"]
    theirs = aws.server.shell(key["AccessKeyId"], key["SecretAccessKey"])
    me = aws.run("sts get-caller-identity --query Arn --output text", theirs)
    assert me.stdout.strip() == f"arn:aws:iam::{ACCOUNT}:user/{name}"


def test_the_instance_role(aws, name):
    trust = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
        "Action": "sts:AssumeRole"}]}
    aws.file("trust.json", json.dumps(trust))
    role = f"ecsInstanceRole-{name}"
    aws(f"iam create-role --role-name {role} --assume-role-policy-document file://trust.json")
    for policy in ("service-role/AmazonEC2ContainerServiceforEC2Role", "AmazonS3ReadOnlyAccess"):
        aws(f"iam attach-role-policy --role-name {role} "
            f"--policy-arn arn:aws:iam::aws:policy/{policy}")
    aws(f"iam create-instance-profile --instance-profile-name {role}")
    aws(f"iam add-role-to-instance-profile --instance-profile-name {role} --role-name {role}")
    attached = aws(f"iam list-attached-role-policies --role-name {role}")["AttachedPolicies"]
    assert {p["PolicyName"] for p in attached} == {
        "AmazonEC2ContainerServiceforEC2Role", "AmazonS3ReadOnlyAccess"
    }


def test_output_query_and_pages(aws):
    for n in range(3):
        aws(f"ecs create-cluster --cluster-name paged-{n}")
    done = aws.run("ecs list-clusters --page-size 1 --query clusterArns[] --output text")
    assert len(done.stdout.split()) >= 3
    limited = aws("ecs list-clusters --max-items 2")
    assert len(limited["clusterArns"]) == 2
    rest = aws(f"ecs list-clusters --starting-token {limited['NextToken']}")
    assert not set(rest["clusterArns"]) & set(limited["clusterArns"])
    for form in ("table", "text"):
        done = aws.run(f"ecs describe-clusters --clusters paged-0 --output {form}")
        assert done.returncode == 0 and "paged-0" in done.stdout, done.stderr


def test_what_is_not_offered_says_so(aws):
    job = "00000000-0000-0000-0000-000000000000"
    aws.fails(f"iam get-organizations-access-report --job-id {job}", "UnsupportedOperation")


def test_with_the_servers_own_environment(program, server):
    """`eval "$(wharf env)"` is all that a shell needs."""
    shell = shutil.which("bash")
    point = "" if program == V1 else '--endpoint-url "$AWS_ENDPOINT_URL" '
    script = (f'eval "$({shlex.quote(str(binary()))} env --data-dir '
              f'{shlex.quote(str(server.data_dir))})" && '
              f'{shlex.quote(program)} {point}sts get-caller-identity --query Account --output text')
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(server.data_dir.parent)}
    done = subprocess.run([shell, "-c", script], env=environment, capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ACCOUNT


def test_configured_as_the_books_do(program, server, tmp_path):
    """`aws configure` with key, secret and region; the endpoint in the profile."""
    shell = server.shell()
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    for key, value in [
        ("aws_access_key_id", shell["AWS_ACCESS_KEY_ID"]),
        ("aws_secret_access_key", shell["AWS_SECRET_ACCESS_KEY"]), ("region", REGION),
    ]:
        subprocess.run([program, "configure", "set", key, value], env=environment, check=True,
                       timeout=60)
    done = subprocess.run(
        [program, "--endpoint-url", server.endpoint, "iam", "list-users", "--output", "json"],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Users" in json.loads(done.stdout)

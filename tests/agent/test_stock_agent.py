"""The unmodified amazon-ecs-agent against a server: it registers, runs tasks, and outlives all kinds of ends.

Server, Docker and agent live in a network namespace of this test, because the agent's ports are fixed.
Needs root, dockerd, busybox, and the agent's binary (`build.py`): `WHARF_STOCK_AGENT` or
`target/amazon-ecs-agent`. Where one is missing the test is left out, and says so.
"""

import ctypes
import io
import json
import os
import shutil
import subprocess
import tarfile
import time
import uuid
from pathlib import Path

import pytest

from wharf_server import REGION, ROOT, ROOT_KEY, ROOT_SECRET, Server, clean_environment

AGENT = Path(os.environ.get("WHARF_STOCK_AGENT", ROOT / "target/amazon-ecs-agent"))
BETWEEN_LOOKS = 0.02
PATIENCE = 60
NEW_NETWORK = 0x40000000


def missing() -> str | None:
    if os.geteuid() != 0:
        return "not root"
    for tool in ("dockerd", "docker", "busybox", "ip"):
        if shutil.which(tool) is None:
            return f"{tool} is not on this machine"
    if not AGENT.exists():
        return f"{AGENT} is missing (tests/agent/build.py makes it)"
    return None


def until(what, holds):
    """Looks until it holds; errors of a server that is away count as not yet."""
    deadline, last = time.monotonic() + PATIENCE, None
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except Exception as error:
            last = error
        time.sleep(BETWEEN_LOOKS)
    raise AssertionError(f"not within {PATIENCE} s: {what} ({last})")


def enter(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, NEW_NETWORK) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter {path}")
    finally:
        os.close(descriptor)


class World:
    """A namespace with Docker, a server and an agent in it."""

    def __init__(self, root, endpoint, *flags):
        self.root, self.home, self.flags = root, None, flags
        # Where the agent finds the server, whichever of its addresses was told first.
        self.endpoint = endpoint
        self.name = f"wharf-agent-{uuid.uuid4().hex[:8]}"
        self.docker_socket = f"unix://{root}/docker.sock"
        self.children = {}
        self.server = None

    def __enter__(self):
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        try:
            self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
            enter(f"/run/netns/{self.name}")
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            self.run("dockerd", self.dockerd())
            until("Docker answers", lambda: self.docker("info").returncode == 0)
            self.image()
            self.server = Server(self.root / "data", *self.flags)
            self.start_server()
            self.client = self.server.client("ecs")
            self.client.create_cluster()
            self.start_agent()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        if self.server:
            self.server.kill()
        for name in ("agent", "dockerd"):
            self.end(name)
        if self.home is not None:
            ctypes.CDLL(None).setns(self.home, NEW_NETWORK)
            os.close(self.home)
        subprocess.run(["ip", "netns", "del", self.name], check=False)
        # dockerd leaves mounts of its own behind.
        mounts = [line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for mount in reversed(mounts):
            if mount.startswith(f"{self.root}/"):
                subprocess.run(["umount", "--lazy", mount], check=False)

    def dockerd(self):
        root = self.root
        return [
            "dockerd", "--data-root", f"{root}/docker", "--exec-root", f"{root}/exec",
            "--pidfile", f"{root}/dockerd.pid", "-H", self.docker_socket, "--bridge", "none",
            "--iptables=false", "--ip-masq=false", "--storage-driver", "vfs",
        ]

    def run(self, name, command, **environment):
        with (self.root / f"{name}.log").open("ab") as log:
            self.children[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=clean_environment(**environment),
            )

    def end(self, name, kill=False):
        child = self.children.pop(name, None)
        if child is not None:
            child.kill() if kill else child.terminate()
            child.wait(timeout=PATIENCE)

    def docker(self, *arguments, stdin=None):
        command = ["docker", "-H", self.docker_socket, *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, env=clean_environment())

    def image(self):
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.add(shutil.which("busybox"), "bin/busybox")
            for applet in ("sh", "sleep", "env", "true"):
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
        made = self.docker("import", "-", "busybox:latest", stdin=archive.getvalue())
        assert made.returncode == 0, made.stderr

    def start_agent(self):
        # Where the system's store would have the CA, Go looks at this variable first.
        trust = {"SSL_CERT_FILE": self.server.ca()} if self.server.ca() else {}
        self.run(
            "agent", [AGENT], **trust,
            ECS_BACKEND_HOST=self.server.endpoint, ECS_EXTERNAL="true", ECS_CLUSTER="default",
            AWS_DEFAULT_REGION=REGION, AWS_ACCESS_KEY_ID=ROOT_KEY,
            AWS_SECRET_ACCESS_KEY=ROOT_SECRET, ECS_DATADIR=str(self.root / "agent"),
            ECS_CHECKPOINT="true", ECS_IMAGE_PULL_BEHAVIOR="prefer-cached",
            ECS_ENABLE_TASK_CPU_MEM_LIMIT="false", ECS_DISABLE_IMAGE_CLEANUP="true",
            ECS_AUDIT_LOGFILE_DISABLED="true", ECS_POLL_METRICS="true",
            ECS_UPDATES_ENABLED="false", ECS_ENABLE_TASK_IAM_ROLE="true",
            ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST="true", DOCKER_HOST=self.docker_socket,
            ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION="1m",
        )
        until("the agent is connected", self.connected)

    def instances(self):
        arns = self.client.list_container_instances()["containerInstanceArns"]
        if not arns:
            return []
        told = self.client.describe_container_instances(containerInstances=arns)
        return told["containerInstances"]

    def connected(self):
        instances = self.instances()
        return len(instances) == 1 and instances[0]["agentConnected"]

    def start_server(self):
        self.server.start()
        # Of its two addresses the one that stays: the agent must find it again.
        self.server.endpoint = self.endpoint

    def restart_server(self):
        self.server.kill()
        self.start_server()

    def tasks(self, count):
        told = self.client.run_task(taskDefinition="demo", launchType="EXTERNAL", count=count)
        assert not told["failures"], told["failures"]
        return [task["taskArn"] for task in told["tasks"]]

    def describe(self, tasks):
        return self.client.describe_tasks(tasks=tasks)["tasks"]

    def all_are(self, tasks, status):
        return all(task["lastStatus"] == status for task in self.describe(tasks))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    if why := missing():
        print(f"The stock agent is left out: {why}")
        pytest.skip(why)
    root = tmp_path_factory.mktemp("agent")
    (root / "agent").mkdir()
    with World(root, "http://127.0.0.1:4566", "--listen", "127.0.0.1:4566") as world:
        define(world)
        yield world


def define(world):
    """A role that tasks may have, and a task of it."""
    world.server.client("iam").create_role(
        RoleName="task",
        AssumeRolePolicyDocument=json.dumps({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {"Service": "ecs-tasks.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }],
        }),
    )
    role = world.server.client("iam").get_role(RoleName="task")["Role"]["Arn"]
    world.client.register_task_definition(
        family="demo",
        networkMode="host",
        taskRoleArn=role,
        containerDefinitions=[{
            "name": "web",
            "image": "busybox:latest",
            "memory": 32,
            "command": ["sh", "-c", 'env; trap "exit 7" TERM; while :; do sleep 1; done'],
            "healthCheck": {"command": ["CMD-SHELL", "true"], "interval": 5, "retries": 1},
        }],
    )


def test_a_task_runs_is_healthy_and_stops_with_its_code(world):
    [task] = world.tasks(1)
    until("it runs", lambda: world.all_are([task], "RUNNING"))
    assert world.describe([task])[0]["connectivity"] == "CONNECTED"
    health = lambda: world.describe([task])[0]["containers"][0]["healthStatus"]
    until("it is healthy", lambda: health() == "HEALTHY")
    runtime = world.describe([task])[0]["containers"][0]["runtimeId"]
    said = world.docker("logs", runtime).stdout.decode()
    assert "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/credentials/" in said
    world.client.stop_task(task=task, reason="enough")
    until("it has stopped", lambda: world.all_are([task], "STOPPED"))
    stopped = world.describe([task])[0]
    assert stopped["stopCode"] == "UserInitiated"
    assert stopped["containers"][0]["exitCode"] == 7


def test_tasks_outlive_a_killed_server_and_a_killed_agent(world):
    [task] = world.tasks(1)
    until("it runs", lambda: world.all_are([task], "RUNNING"))
    runtime = world.describe([task])[0]["containers"][0]["runtimeId"]
    world.restart_server()
    until("the agent is back", world.connected)
    world.end("agent", kill=True)
    until("it is missed", lambda: not world.connected())
    world.start_agent()
    # The same instance, the same container.
    assert len(world.instances()) == 1
    assert world.describe([task])[0]["containers"][0]["runtimeId"] == runtime
    assert world.docker("inspect", runtime, "-f", "{{.State.Running}}").stdout == b"true\n"
    world.client.stop_task(task=task)
    until("it has stopped", lambda: world.all_are([task], "STOPPED"))


def test_what_was_stopped_while_the_agent_was_away_stops_when_it_is_back(world):
    [task] = world.tasks(1)
    until("it runs", lambda: world.all_are([task], "RUNNING"))
    world.end("agent", kill=True)
    until("it is missed", lambda: not world.connected())
    world.client.stop_task(task=task)
    world.start_agent()
    until("it has stopped", lambda: world.all_are([task], "STOPPED"))
    assert world.describe([task])[0]["containers"][0]["exitCode"] == 7


def test_many_at_once_all_run_and_all_stop(world):
    tasks = world.tasks(10) + world.tasks(10)
    until("all run", lambda: world.all_are(tasks, "RUNNING"))
    for task in tasks:
        world.client.stop_task(task=task)
    until("all have stopped", lambda: world.all_are(tasks, "STOPPED"))


def test_a_deregistered_instance_is_told_and_stays_away(world):
    [instance] = world.instances()
    world.client.deregister_container_instance(
        containerInstance=instance["containerInstanceArn"], force=True
    )
    said = world.root / "agent.log"
    until("the agent was told", lambda: "InactiveInstanceException" in said.read_text())


def test_over_tls(tmp_path):
    if why := missing():
        pytest.skip(why)
    (tmp_path / "agent").mkdir()
    # The agent takes host and port of the socket's URL for the name in the certificate: only a URL
    # without a port, as AWS's are, has a name there that any server can show.
    flags = ("--tls", "local", "--listen", "127.0.0.1:443")
    with World(tmp_path, "https://127.0.0.1", *flags) as world:
        define(world)
        [task] = world.tasks(1)
        until("it runs", lambda: world.all_are([task], "RUNNING"))
        world.restart_server()
        until("the agent is back", world.connected)
        world.client.stop_task(task=task)
        until("it has stopped", lambda: world.all_are([task], "STOPPED"))
        assert world.describe([task])[0]["containers"][0]["exitCode"] == 7

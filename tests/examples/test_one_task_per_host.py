"""The example of a scheduler outside: one task on every host, whatever happens to hosts and tasks."""

import signal
import subprocess
import sys

import pytest

from patience import until
from real_hosts import connected, running
from wharf_server import ROOT, binary

NAME = "one-task-per-host"
SCHEDULER = ROOT / "examples" / "one_task_per_host" / "scheduler.py"


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    yield from running(tmp_path_factory.mktemp("scheduler"))


@pytest.fixture
def scheduler(up, tmp_path):
    """The program as its users run it, with what it says."""
    said = tmp_path / "said"
    command = [sys.executable, SCHEDULER, "--family", "probe", "--data-dir", up.data_dir, "--wharf", binary()]
    with said.open("wb") as out:
        child = subprocess.Popen(command, stdout=out, stderr=out, env=up.shell())
    try:
        yield child, said
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(timeout=30)


def test_one_task_on_every_host(up, scheduler):
    child, said = scheduler
    client = up.client("ecs")
    client.create_cluster()
    script = "trap 'exit 0' TERM; while :; do sleep 1; done"
    client.register_task_definition(
        family="probe",
        containerDefinitions=[{
            "name": "app", "image": "busybox:latest", "memory": 16, "command": ["sh", "-c", script],
        }],
    )
    hosts = until("both hosts are connected", lambda: (all_ := connected(client)) and len(all_) == 2 and all_)
    arns = sorted(host["containerInstanceArn"] for host in hosts)

    def those():
        listed = client.list_tasks(startedBy=NAME, desiredStatus="RUNNING")["taskArns"]
        told = client.describe_tasks(tasks=listed)["tasks"] if listed else []
        return [task for task in told if task["lastStatus"] == "RUNNING"]

    def one_each():
        assert child.poll() is None, said.read_text()
        tasks = those()
        return sorted(task["containerInstanceArn"] for task in tasks) == arns and tasks

    first = until("one task on each host", one_each)
    gone = first[0]["taskArn"]
    client.stop_task(task=gone)
    until("it is replaced", lambda: one_each() and gone not in [task["taskArn"] for task in one_each() or []])
    # One too many on a host goes again, and it is the younger.
    [extra] = client.start_task(taskDefinition="probe", containerInstances=arns[:1], startedBy=NAME)["tasks"]

    def stopped():
        return client.describe_tasks(tasks=[extra["taskArn"]])["tasks"][0]["desiredStatus"] == "STOPPED"

    client.update_container_instances_state(containerInstances=arns[1:], status="DRAINING")
    until("the younger is stopped", stopped)
    assert "there is one on this host already" in said.read_text()

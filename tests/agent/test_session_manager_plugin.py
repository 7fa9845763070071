"""ECS Exec with nothing but stock parts: `aws ecs execute-command` and AWS's session-manager-plugin, on a terminal.

Needs root (there are hosts), busybox, and the plugin: `WHARF_SESSION_MANAGER_PLUGIN`, or one in the path. Where one
is missing the test is left out, and says so.
"""

import fcntl
import os
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from patience import BETWEEN_LOOKS, PATIENCE, until
from real_hosts import connected, running

PLUGIN = "session-manager-plugin"
AWS = Path(sys.executable).parent / "aws"


def plugin() -> Path | None:
    named = os.environ.get("WHARF_SESSION_MANAGER_PLUGIN") or shutil.which(PLUGIN)
    return Path(named) if named and Path(named).exists() else None


def missing() -> str | None:
    if plugin() is None:
        return f"{PLUGIN} is neither in the path nor named by WHARF_SESSION_MANAGER_PLUGIN"
    return None


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    yield from running(tmp_path_factory.mktemp("exec"), hosts=1, why=missing())


@pytest.fixture(scope="module")
def task(up):
    client = up.client("ecs")
    client.create_cluster()
    script = "trap 'exit 0' TERM; while :; do sleep 1; done"
    client.register_task_definition(
        family="waits",
        containerDefinitions=[{
            "name": "app", "image": "busybox:latest", "memory": 64, "command": ["sh", "-c", script],
        }],
    )

    until("the host is connected", lambda: connected(client))
    [started] = client.run_task(taskDefinition="waits", enableExecuteCommand=True)["tasks"]
    arn = started["taskArn"]
    until("it runs", lambda: client.describe_tasks(tasks=[arn])["tasks"][0]["lastStatus"] == "RUNNING")
    return arn


class Terminal:
    """The stock command line on a terminal that is ours."""

    def __init__(self, up, folder, task, command, size=(31, 97)):
        (folder / PLUGIN).symlink_to(plugin())
        self.master, slave = os.openpty()
        self.resize(*size)
        environment = up.shell() | {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder)}
        self.child = subprocess.Popen(
            [
                AWS, "ecs", "execute-command", "--task", task, "--container", "app",
                "--interactive", "--command", command,
            ],
            stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.said = ""

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type_in(self, keys):
        os.write(self.master, keys.encode())

    def shows(self, pattern):
        """Reads until the screen shows it, and forgets what came before. Lines may end in more than one `\\r`:
        the plugin leaves the terminal's own line endings on."""
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.said)):
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.master], [], [], left)[0], f"{pattern!r} in {self.said!r}"
            try:
                piece = os.read(self.master, 4096)
            except OSError:
                piece = b""
            assert piece, f"the terminal closed before {pattern!r}: {self.said!r}"
            self.said += piece.decode(errors="replace")
        self.said = self.said[found.end():]
        return found

    def end(self):
        code = self.child.wait(timeout=PATIENCE)
        os.close(self.master)
        return code


def test_a_shell_on_a_terminal(up, task, tmp_path):
    terminal = Terminal(up, tmp_path, task, "/bin/sh")
    terminal.shows(r"Starting session with SessionId: (ecs-execute-command-\w+)")
    terminal.shows("# ")
    terminal.type_in("echo mar''ker; stty size\r")
    terminal.shows(r"marker\s+31 97\s")
    terminal.resize(40, 120)
    # The plugin looks twice a second.
    terminal.type_in("until [ \"$(stty size)\" = '40 120' ]; do sleep 0.1; done; echo re''sized\r")
    terminal.shows(r"resized\s")
    # Ctrl-C is the command's.
    terminal.type_in("echo a''sleep; sleep 1000\r")
    terminal.shows(r"asleep\s")
    terminal.type_in("\x03")
    # The plugin sends it apart from what is typed, and the container's terminal forgets what it comes after.
    terminal.shows(r"\^C\s+/ # ")
    terminal.type_in("echo code $?\r")
    terminal.shows(r"code 130\s")
    # More than any window, and all of it.
    terminal.type_in("i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done\r")
    for number in range(3000):
        terminal.shows(rf"\bline {number}\s")
    terminal.type_in("exit\r")
    terminal.shows("Exiting session with sessionId: ecs-execute-command-")
    assert terminal.end() == 0


def test_a_command_that_ends_by_itself(up, task, tmp_path):
    terminal = Terminal(up, tmp_path, task, "sh -c 'echo one \"and two\"'")
    terminal.shows(r"one and two\s")
    terminal.shows("Exiting session with sessionId: ")
    assert terminal.end() == 0


def test_a_command_that_is_not_there(up, task, tmp_path):
    terminal = Terminal(up, tmp_path, task, "/no/such/program")
    terminal.shows(r"----------ERROR-------\s+Unable to start command: ")
    terminal.end()

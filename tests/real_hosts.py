"""A server with hosts on this machine, for tests that need containers, and what it takes."""

import os
import shutil
import subprocess
import tarfile

import pytest

from wharf_server import Server, binary, clean_environment


def lacking() -> str | None:
    """What this machine lacks for hosts, in words."""
    if os.geteuid() != 0:
        return "hosts need root"
    if shutil.which("busybox") is None:
        return "busybox is not on this machine"
    return None


class Up(Server):
    """A server with hosts."""

    verb = "up"

    def image(self, folder):
        tar = folder / "root.tar"
        with tarfile.open(tar, mode="w") as archive:
            archive.add(shutil.which("busybox"), "bin/busybox")
            for applet in ("sh", "sleep", "echo", "stty", "test"):
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(link)
        command = [binary(), "image", "--data-dir", self.data_dir, "import", tar, "busybox:latest"]
        subprocess.run(command, check=True, env=clean_environment(), capture_output=True)


def running(folder, hosts=2, why=None):
    """For a fixture: such a server in its folder, and nothing of it left afterwards. Where this machine lacks
    something the tests are left out, and say so."""
    if why := why or lacking():
        print(f"Left out: {why}")
        pytest.skip(why)
    server = Up(folder / "data", "--hosts", str(hosts), "--no-hosts-file", "--host-memory", "512")
    server.image(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        assert server.wharf("clean").returncode == 0


def connected(client, cluster="default"):
    """The container instances whose agents are connected."""
    arns = client.list_container_instances(cluster=cluster)["containerInstanceArns"]
    told = client.describe_container_instances(cluster=cluster, containerInstances=arns) if arns else {}
    return [one for one in told.get("containerInstances", []) if one["agentConnected"]]

"""Terraform's AWS provider against a server: apply, plan clean, change, import, destroy.

The provider reads everything back and compares it member by member, so a plan that is not clean
after an apply is a member that came back other than it went in.
"""

import json
import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from wharf_server import ACCOUNT, Server, clean_environment

HERE = Path(__file__).resolve().parent
PLUGINS = Path(os.environ.get("WHARF_TERRAFORM_PLUGINS", "/opt/tf-plugins"))
PROVIDER = PLUGINS / "registry.terraform.io/hashicorp/aws/5.100.0"


def missing() -> str | None:
    if shutil.which("terraform") is None:
        return "terraform is not on this machine"
    if not PROVIDER.exists() or platform.machine() != "x86_64":
        return f"no AWS provider 5.100.0 for this machine under {PLUGINS}"
    return None


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if why := missing():
        print(f"Terraform is left out: {why}")
        pytest.skip(why)
    running = Server(tmp_path_factory.mktemp("wharf") / "data").start()
    try:
        yield running
    except BaseException:
        running.kill()
        raise
    running.stop()


class Terraform:
    """A working folder with copies of the configuration, and the program run in it."""

    def __init__(self, server, folder: Path, *files: str):
        self.server, self.folder = server, folder
        for file in files:
            shutil.copy(HERE / file, folder)
        settings = folder / "cli.tfrc"
        settings.write_text(
            "disable_checkpoint = true\n"
            f'provider_installation {{\n  filesystem_mirror {{ path = "{PLUGINS}" }}\n}}\n'
        )
        shell = server.shell()
        kept = {k: shell[k] for k in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        self.environment = clean_environment(
            TF_CLI_CONFIG_FILE=str(settings), TF_IN_AUTOMATION="1", TF_INPUT="0",
            TF_VAR_endpoint=server.endpoint, HOME=str(folder), **kept,
        )

    def run(self, *words, codes=(0,), round=1):
        done = subprocess.run(
            ["terraform", *words], cwd=self.folder, capture_output=True, text=True, check=False,
            env=self.environment | {"TF_VAR_round": str(round)}, timeout=420,
        )
        told = f"terraform {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.returncode in codes, told
        return done

    def apply(self, round=1):
        self.run("apply", "-auto-approve", "-no-color", "-parallelism=20", round=round)

    def plans_clean(self, round=1):
        done = self.run("plan", "-detailed-exitcode", "-no-color", codes=(0, 2), round=round)
        assert done.returncode == 0, done.stdout

    def forgets_and_imports(self, imports, round):
        """Taking over what is there changes nothing of it."""
        self.run("state", "rm", *(address for address, _ in imports))
        blocks = [f'import {{\n  to = {address}\n  id = "{name}"\n}}\n' for address, name in imports]
        (self.folder / "imports.tf").write_text("\n".join(blocks))
        done = self.run("apply", "-auto-approve", "-no-color", "-parallelism=20", round=round)
        wanted = f"{len(imports)} imported, 0 added, "
        assert wanted in done.stdout and "0 destroyed" in done.stdout, done.stdout

    def outputs(self):
        found = json.loads(self.run("output", "-json").stdout)
        return {name: value["value"] for name, value in found.items()}


FILES = ("provider.tf", "clusters.tf", "task_definitions.tf", "identity.tf")

# What can be taken over by its id, and the id.
IMPORTS = [
    ("aws_ecs_cluster.full", "full"),
    ("aws_ecs_cluster_capacity_providers.full", "full"),
    ("aws_ecs_capacity_provider.group", "group"),
    ("aws_ecs_account_setting_default.insights", "containerInsights"),
    ("aws_ecs_tag.extra", f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/plain,extra"),
    ("aws_iam_role.task", "task"),
    ("aws_iam_instance_profile.instance", "ecsInstanceRole"),
    ("aws_iam_policy.some", f"arn:aws:iam::{ACCOUNT}:policy/p/some"),
    ("aws_iam_role_policy.inline", "task:inline"),
    ("aws_iam_group.admins", "admins"),
    ("aws_iam_group_policy_attachment.admins",
     "admins/arn:aws:iam::aws:policy/AdministratorAccess"),
    ("aws_iam_account_alias.alias", "our-harbour"),
    ("aws_iam_account_password_policy.strict", "iam-account-password-policy"),
]


def test_a_whole_life(server, tmp_path):
    terraform = Terraform(server, tmp_path, *FILES)
    terraform.run("init", "-no-color")
    terraform.apply()
    terraform.plans_clean()
    assert terraform.outputs() == {
        "account": ACCOUNT, "cluster_status": "ACTIVE", "revision": 1,
        "task_role": f"arn:aws:iam::{ACCOUNT}:role/tasks/task",
    }
    terraform.apply(round=2)
    terraform.plans_clean(round=2)
    assert terraform.outputs()["revision"] == 2
    terraform.forgets_and_imports(IMPORTS, round=2)
    terraform.plans_clean(round=2)
    terraform.run("destroy", "-auto-approve", "-no-color", "-parallelism=20", round=2)
    nothing_is_left(server)


def nothing_is_left(server):
    ecs, iam = server.client("ecs"), server.client("iam")
    assert ecs.list_clusters()["clusterArns"] == []
    assert ecs.list_task_definitions()["taskDefinitionArns"] == []
    assert iam.list_users()["Users"] == iam.list_roles()["Roles"] == []
    assert iam.list_groups()["Groups"] == iam.list_policies(Scope="Local")["Policies"] == []
    assert iam.list_account_aliases()["AccountAliases"] == []

"""TLS with the CA that the server makes: HTTP/1.1, HTTP/2, boto3 and the command line trust it."""

import json
import ssl
import subprocess
import sys
from pathlib import Path

import boto3
import httpx
import pytest
from botocore.config import Config

from wharf_server import ACCOUNT, REGION, Server, clean_environment, json_of
from wire import ecs_request


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    """A server that speaks TLS, and what `wharf env` says of it."""
    running = Server(tmp_path_factory.mktemp("tls") / "data", "--tls", "local").start()
    try:
        yield running, json_of(running.wharf("env", "--json"))
    finally:
        running.kill()


def post(secure, request, http2):
    running, told = secure
    request.sign(running.endpoint)
    trust = ssl.create_default_context(cafile=told["AWS_CA_BUNDLE"])
    with httpx.Client(http2=http2, verify=trust, trust_env=False) as client:
        return client.post(running.endpoint + "/", headers=request.headers, content=request.body)


@pytest.mark.parametrize("http2,version", [(True, "HTTP/2"), (False, "HTTP/1.1")])
def test_both_versions(secure, http2, version):
    got = post(secure, ecs_request("ListClusters"), http2)
    assert (got.http_version, got.status_code) == (version, 200), got.text
    assert got.json() == {"clusterArns": []}


def test_an_error_over_http_2(secure):
    request = ecs_request("DeleteCluster", cluster="never-was")
    got = post(secure, request, True)
    assert (got.status_code, got.json()["__type"]) == (400, "ClusterNotFoundException")


def test_without_the_ca(secure):
    with pytest.raises(httpx.ConnectError), httpx.Client(trust_env=False) as client:
        client.get(secure[0].endpoint + "/healthz")


def test_boto3(secure):
    running, told = secure
    sts = boto3.client(
        "sts", endpoint_url=running.endpoint, region_name=REGION, verify=told["AWS_CA_BUNDLE"],
        aws_access_key_id=told["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=told["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}),
    )
    assert sts.get_caller_identity()["Account"] == ACCOUNT


def test_the_command_line(secure):
    running, told = secure
    environment = clean_environment(**{k: v for k, v in told.items() if v is not None})
    done = subprocess.run(
        [Path(sys.executable).parent / "aws", "ecs", "list-clusters", "--output", "json"],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"clusterArns": []}


def test_transport_is_a_condition(secure):
    """`aws:SecureTransport` is true here; a policy that demands it lets this user in."""
    running, told = secure

    def client(service, key, secret):
        return boto3.client(
            service, endpoint_url=running.endpoint, region_name=REGION,
            verify=told["AWS_CA_BUNDLE"], aws_access_key_id=key, aws_secret_access_key=secret,
        )

    iam = client("iam", told["AWS_ACCESS_KEY_ID"], told["AWS_SECRET_ACCESS_KEY"])
    iam.create_user(UserName="careful")
    iam.put_user_policy(UserName="careful", PolicyName="p", PolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Action": "ecs:*", "Resource": "*",
            "Condition": {"Bool": {"aws:SecureTransport": "true"}}}]}))
    key = iam.create_access_key(UserName="careful")["AccessKey"]
    client("ecs", key["AccessKeyId"], key["SecretAccessKey"]).list_clusters()

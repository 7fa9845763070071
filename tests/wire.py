"""Requests below the SDKs: signed by botocore's own signer, then bent as a test wants them."""

import contextlib
import http.client
import json
import re
import socket
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from wharf_server import REGION, ROOT_KEY, ROOT_SECRET

IAM_VERSION = "2010-05-08"
STS_VERSION = "2011-06-15"
ECS_TARGET = "AmazonEC2ContainerServiceV20141113"
FORM = "application/x-www-form-urlencoded; charset=utf-8"


@dataclass
class Request:
    """What is signed; `headers` holds the signature after `sign`."""

    service: str
    method: str = "POST"
    target: str = "/"
    headers: dict = field(default_factory=dict)
    body: bytes = b""

    def sign(self, endpoint, key=ROOT_KEY, secret=ROOT_SECRET, token=None, region=REGION,
             service=None):
        request = AWSRequest(self.method, endpoint + self.target, dict(self.headers), self.body)
        signer = SigV4Auth(Credentials(key, secret, token), service or self.service, region)
        signer.add_auth(request)
        self.headers = dict(request.headers.items())
        return self


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The error's code, in whichever protocol it came."""
        if self.body.startswith(b"<"):
            found = re.search(rb"<Code>(.*?)</Code>", self.body)
            return found and found[1].decode()
        found = self.json.get("__type", "")
        return found.rsplit("#", 1)[-1]

    @property
    def text(self):
        if self.body.startswith(b"<"):
            found = re.search(rb"<Message>(.*?)</Message>", self.body, re.S)
            return found and found[1].decode()
        return self.json.get("message", self.json.get("Message"))


def ecs_request(operation, version="1.1", **members) -> Request:
    return json_request(operation, json.dumps(members).encode(), version)


def json_request(operation, body: bytes, version="1.1") -> Request:
    headers = {
        "Content-Type": f"application/x-amz-json-{version}",
        "X-Amz-Target": f"{ECS_TARGET}.{operation}",
    }
    return Request("ecs", headers=headers, body=body)


def query_request(service, action, method="POST", **parameters) -> Request:
    version = {"iam": IAM_VERSION, "sts": STS_VERSION}[service]
    text = urlencode({"Action": action, "Version": version} | parameters)
    if method == "GET":
        return Request(service, "GET", f"/?{text}")
    return Request(service, headers={"Content-Type": FORM}, body=text.encode())


def send(server, request: Request) -> Answer:
    """One request on a connection of its own."""
    place = urlsplit(server.endpoint)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
    try:
        connection.request(request.method, request.target, request.body, request.headers)
        got = connection.getresponse()
        return Answer(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read())
    finally:
        connection.close()


def signed(server, request: Request, **how) -> Answer:
    return send(server, request.sign(server.endpoint, **how))


def raw(server, data: bytes, then_end=False, timeout=30) -> bytes:
    """Bytes in, all bytes out until the server closes, which it may do before it has read all."""
    place = urlsplit(server.endpoint)
    out = b""
    with socket.create_connection((place.hostname, place.port), timeout=timeout) as stream:
        with contextlib.suppress(ConnectionError, OSError):
            stream.sendall(data)
            if then_end:
                stream.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while piece := stream.recv(65536):
                out += piece
    return out

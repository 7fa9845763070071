"""What all tests share: a server per module, clients for it, the CLI, and errors as facts."""

import uuid

import pytest
from botocore.exceptions import ClientError

from wharf_server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("wharf") / "data").start()
    try:
        yield running
    except BaseException:
        running.kill()
        raise
    running.stop()


@pytest.fixture(scope="module")
def ecs(server):
    return server.client("ecs")


@pytest.fixture(scope="module")
def iam(server):
    return server.client("iam")


@pytest.fixture(scope="module")
def sts(server):
    return server.client("sts")


@pytest.fixture
def name():
    """A name that no other test uses."""
    return f"t-{uuid.uuid4().hex[:12]}"


class Refused:
    """Runs a block that must be refused, and checks how."""

    def __init__(self, code, text=None, status=None):
        self.code, self.text, self.status = code, text, status
        self.response = None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        assert error is not None, f"was accepted; {self.code} was expected"
        if not isinstance(error, ClientError):
            return False
        self.response = error.response
        found = error.response["Error"]
        told = f"{found['Code']}: {found.get('Message')}"
        codes = (self.code,) if isinstance(self.code, str) else self.code
        assert found["Code"] in codes, f"{told!r}, expected {self.code}"
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert self.status in (None, status), f"{told!r} came with {status}"
        if self.text is not None:
            matches = self.text(found["Message"]) if callable(self.text) else (
                found["Message"] == self.text
            )
            assert matches, f"{told!r}, expected the text {self.text!r}"
        return True


@pytest.fixture
def refused():
    return Refused

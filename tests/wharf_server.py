"""One `wharf server` as a child process: started on a free port, pointed at by stock clients, ended.

Nothing here sleeps: a start is over when the server says so on its output, an end when it is gone.
"""

import json
import os
import re
import selectors
import signal
import ssl
import subprocess
import time
import urllib.request
from pathlib import Path

import boto3
import botocore.session
from botocore.config import Config

ROOT = Path(__file__).resolve().parent.parent
ACCOUNT = "123456789012"
ROOT_KEY = "AKIAWHARFCONFORMANCE"
ROOT_SECRET = "conformance/secret+key/of+the+root+user"
REGION = "us-east-1"
START_SECONDS = 30

# Requests answered by all servers of this run: (service, operation, status) -> count.
ANSWERED: dict[tuple[str, str, int], int] = {}


def binary() -> Path:
    """The program under test: `WHARF_BINARY`, or the debug build of this checkout."""
    if named := os.environ.get("WHARF_BINARY"):
        return Path(named)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "wharf"


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without anything that would point a client elsewhere."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "WHARF_", "TF_"))}
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        kept.pop(name, None)
    return kept | more


class Server:
    """A running server and how to reach it as its root user."""

    verb = "server"

    def __init__(self, data_dir: Path, *flags: str, under: tuple = (), **environment: str):
        self.data_dir = Path(data_dir)
        # What runs the program, such as another clock.
        self.under = under
        self.flags = flags
        self.environment = environment
        self.log = self.data_dir.parent / f"{self.data_dir.name}.log"
        self.process = None
        self.endpoint = ""
        self._clients = {}
        self._session = botocore.session.Session()

    def start(self) -> "Server":
        assert binary().exists(), f"{binary()} is missing: cargo build -p wharf"
        environment = {
            "WHARF_ROOT_ACCESS_KEY_ID": ROOT_KEY,
            "WHARF_ROOT_SECRET_ACCESS_KEY": ROOT_SECRET,
        } | self.environment
        command = [binary(), self.verb, "--data-dir", self.data_dir, "--listen", "127.0.0.1:0"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.under, *command, *self.flags],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=clean_environment(**environment),
                start_new_session=True,
            )
        try:
            self.endpoint = self._ready()
        except BaseException:
            self.kill()
            raise
        return self

    def _ready(self) -> str:
        """The endpoint that the ready line names."""
        text = ""
        deadline = time.monotonic() + START_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0:
                if not selector.select(left):
                    break
                piece = os.read(self.process.stdout.fileno(), 65536)
                if not piece:
                    break
                text += piece.decode()
                found = re.search(r"^.*\bready\b.*?(https?://\S+?:\d+)\b.*\n", text, re.M)
                if found:
                    return found[1]
        raise AssertionError(f"no ready line; said {text!r}; log:\n{self.log.read_text()}")

    def stop(self) -> None:
        """A clean stop, as an operator would ask for it."""
        if self.process is None or self.process.poll() is not None:
            return
        self.collect()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("the server did not stop within 20 s of SIGTERM") from None
        finally:
            self.process.stdout.close()
        assert code == 0, f"the server ended with {code}; log:\n{self.log.read_text()[-4000:]}"

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            # With what it was started under: faketime waits for the server and does not pass on.
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def collect(self) -> dict[str, float]:
        """Reads the server's figures and adds its requests to those of the run."""
        trust = ssl.create_default_context(cafile=self.ca()) if self.ca() else None
        url = self.endpoint + "/metrics"
        with urllib.request.urlopen(url, timeout=20, context=trust) as answer:
            text = answer.read().decode()
        figures = {}
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            name, _, value = line.rpartition(" ")
            figures[name] = float(value)
            if found := re.fullmatch(
                r'wharf_requests_total\{service="(.*?)",operation="(.*?)",status="(\d+)"\}', name
            ):
                key = (found[1], found[2], int(found[3]))
                ANSWERED[key] = ANSWERED.get(key, 0) + int(float(value))
        return figures

    def client(self, service, key=ROOT_KEY, secret=ROOT_SECRET, token=None, region=REGION):
        """A boto3 client that tries once, so that a test sees the first answer."""
        which = (service, key, secret, token, region)
        if which not in self._clients:
            config = Config(
                retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=30,
                # The server judges input, not the client.
                parameter_validation=False,
            )
            session = boto3.Session(
                aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token,
                region_name=region, botocore_session=self._copy_of_session(),
            )
            self._clients[which] = session.client(
                service, endpoint_url=self.endpoint, config=config, verify=self.ca()
            )
        return self._clients[which]

    def ca(self) -> str | None:
        """Whom to trust, where the server speaks TLS with a CA of its own."""
        return str(self.data_dir / "ca.pem") if self.endpoint.startswith("https") else None

    def _copy_of_session(self):
        """A session with its own credentials that shares the loaded service models."""
        session = botocore.session.Session()
        session.register_component("data_loader", self._session.get_component("data_loader"))
        return session

    def shell(self, key=ROOT_KEY, secret=ROOT_SECRET, token=None, region=REGION) -> dict[str, str]:
        """The environment in which a stock tool talks to this server."""
        more = {"AWS_SESSION_TOKEN": token} if token else {}
        return clean_environment(
            AWS_ENDPOINT_URL=self.endpoint, AWS_ACCESS_KEY_ID=key, AWS_SECRET_ACCESS_KEY=secret,
            AWS_DEFAULT_REGION=region, AWS_REGION=region, AWS_EC2_METADATA_DISABLED="true",
            AWS_PAGER="", HOME=str(self.data_dir.parent),
            AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null", **more,
        )

    def wharf(self, *words: str) -> subprocess.CompletedProcess:
        """Another run of the same program on this server's data."""
        return subprocess.run(
            [binary(), *words, "--data-dir", self.data_dir],
            env=clean_environment(), capture_output=True, text=True, timeout=60, check=False,
        )


def json_of(completed: subprocess.CompletedProcess):
    assert completed.returncode == 0, completed.stderr
    return json.loads(completed.stdout)

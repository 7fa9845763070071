"""What this whole run has asked: every operation that is offered was granted at least once.

Stands last by its name's order; it reads what the servers of the other modules counted. Run by
itself it has nothing to judge, and says so.
"""

import pytest

from wharf_server import ANSWERED
from wire import Request, ecs_request, query_request, send



# Offered to say no as AWS says it: no token of an identity provider can be verified yet, and no
# service with credentials of its own is here.
ALWAYS_REFUSED = {
    "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "CreateServiceSpecificCredential",
    # Hosts are updated with Wharf itself: there never is an update to be had.
    "UpdateContainerAgent",
}

# Granted only for tasks that are there, and those need hosts; the end-to-end tests ask them.
NEEDS_HOSTS = {
    "ExecuteCommand", "StopTask", "SubmitContainerStateChange", "SubmitTaskStateChange",
}


def offered(server, service):
    """Operations that answer an unsigned request with anything but that they are not there."""
    model = server.client(service).meta.service_model
    for operation in model.operation_names:
        if service == "ecs":
            request = ecs_request(operation)
        elif service in ("logs", "ssm"):
            target = {"X-Amz-Target": f"{model.metadata['targetPrefix']}.{operation}"}
            headers = {"Content-Type": "application/x-amz-json-1.1"} | target
            request = Request(service, headers=headers, body=b"{}")
        else:
            request = query_request(service, operation)
        if send(server, request).code != "UnsupportedOperation":
            yield operation


@pytest.mark.parametrize("service", ["ecs", "iam", "logs", "ssm", "sts"])
def test_every_operation_was_asked(server, service):
    if sum(ANSWERED.values()) < 1000:
        pytest.skip("only a part of the suite ran")
    granted = {op for (of, op, status) in ANSWERED if of == service and status < 300}
    # Anonymous requests are refused at the door: their 400s stand beside the actions' own.
    never = [op for op in offered(server, service) if op not in granted | ALWAYS_REFUSED | NEEDS_HOSTS]
    assert never == [], f"offered, and never granted in this run: {never}"


def test_no_server_ever_failed(server):
    failed = {key: n for key, n in ANSWERED.items() if key[2] >= 500}
    assert failed == {}
    figures = server.collect()
    assert figures.get("wharf_faults_total", 0) == 0

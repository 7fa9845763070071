"""Who signed, over what, and when: every way to get it wrong ends before an action."""

import datetime
import re

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from wharf_server import ACCOUNT, REGION, ROOT_KEY, ROOT_SECRET
from wire import Request, ecs_request, query_request, send, signed

MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your "
    "AWS Secret Access Key and signing method. Consult the service documentation for details."
)
INVALID_TOKEN = "The security token included in the request is invalid."


def utc_now():
    """The time without its zone, as botocore's signers want it."""
    return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)


def create(name) -> Request:
    return ecs_request("CreateCluster", clusterName=name)


@pytest.fixture(autouse=True)
def nothing_was_done(ecs):
    """No test of this module may create a cluster."""
    yield
    assert ecs.list_clusters()["clusterArns"] == []


def test_wrong_secret_in_json(server, name):
    answer = signed(server, create(name), secret="wrong")
    assert (answer.status, answer.code, answer.text) == (
        400, "InvalidSignatureException", MISMATCH,
    )


def test_wrong_secret_in_query(server, name):
    answer = signed(server, query_request("iam", "CreateUser", UserName=name), secret="wrong")
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    assert answer.text == MISMATCH
    assert b"<Type>Sender</Type>" in answer.body


def test_unknown_key_in_json(server, name):
    answer = signed(server, create(name), key="AKIANOBODYKNOWSTHISX")
    assert (answer.status, answer.code, answer.text) == (
        400, "UnrecognizedClientException", INVALID_TOKEN,
    )


def test_unknown_key_in_query(server):
    answer = signed(server, query_request("sts", "GetCallerIdentity"), key="AKIANOBODYKNOWSTHISX")
    assert (answer.status, answer.code, answer.text) == (
        403, "InvalidClientTokenId", INVALID_TOKEN,
    )


def test_anonymous_in_json(server, name):
    answer = send(server, create(name))
    assert (answer.status, answer.code, answer.text) == (
        400, "MissingAuthenticationTokenException", "Missing Authentication Token",
    )


def test_anonymous_in_query(server):
    answer = send(server, query_request("iam", "ListUsers"))
    assert (answer.status, answer.code, answer.text) == (
        403, "MissingAuthenticationToken", "Request is missing Authentication Token",
    )


def signed_at(server, request, moment, monkeypatch):
    """Signs as a client whose clock stands at `moment`."""
    import botocore.auth

    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: moment)
    return send(server, request.sign(server.endpoint))


@pytest.mark.parametrize("minutes", [-16, 16, -60 * 24, 60 * 24 * 365])
def test_clock_far_off(server, name, monkeypatch, minutes):
    moment = utc_now() + datetime.timedelta(minutes=minutes)
    answer = signed_at(server, create(name), moment, monkeypatch)
    assert (answer.status, answer.code) == (400, "InvalidSignatureException")
    stamp = moment.strftime("%Y%m%dT%H%M%SZ")
    if minutes < 0:
        start = f"Signature expired: {stamp} is now earlier than "
    else:
        start = f"Signature not yet current: {stamp} is still later than "
    assert answer.text.startswith(start), answer.text
    assert re.search(r"\(\d{8}T\d{6}Z [-+] 15 min\.\)$", answer.text), answer.text


@pytest.mark.parametrize("minutes", [-14, 14])
def test_clock_a_little_off_is_fine(server, monkeypatch, minutes):
    moment = utc_now() + datetime.timedelta(minutes=minutes)
    answer = signed_at(server, ecs_request("ListClusters"), moment, monkeypatch)
    assert answer.status == 200, answer.body


def test_tampered_body(server, name):
    request = create(name).sign(server.endpoint)
    request.body = request.body.replace(b"clusterName", b"clustername")
    assert send(server, request).code == "InvalidSignatureException"


@pytest.mark.parametrize("header", ["X-Amz-Date", "X-Amz-Target", "Content-Type"])
def test_tampered_header(server, header):
    request = ecs_request("ListClusters").sign(server.endpoint)
    was = request.headers[header]
    # Another second, operation or protocol: well-formed, but not what was signed.
    swapped = {
        "X-Amz-Date": was[:-2] + ("1Z" if was[-2] == "0" else "0Z"),
        "X-Amz-Target": was.replace("ListClusters", "ListTaskDefinitions"),
        "Content-Type": "application/x-amz-json-1.0",
    }
    request.headers[header] = swapped[header]
    answer = send(server, request)
    # botocore leaves only a few headers unsigned, and Content-Type is not one of them.
    assert answer.code == "InvalidSignatureException", (header, answer.body)


def test_tampered_query(server):
    request = query_request("iam", "GetUser", method="GET").sign(server.endpoint)
    request.target = request.target.replace("GetUser", "ListUsers")
    assert send(server, request).code == "SignatureDoesNotMatch"


def test_query_parameter_added(server):
    request = query_request("iam", "ListUsers", method="GET").sign(server.endpoint)
    request.target += "&MaxItems=1"
    assert send(server, request).code == "SignatureDoesNotMatch"


def test_tampered_path(server):
    request = query_request("iam", "ListUsers").sign(server.endpoint)
    request.target = "/other"
    assert send(server, request).status in (400, 403, 404)


def test_tampered_signature(server):
    request = ecs_request("ListClusters").sign(server.endpoint)
    was = request.headers["Authorization"]
    request.headers["Authorization"] = was[:-1] + ("0" if was[-1] != "0" else "1")
    assert send(server, request).code == "InvalidSignatureException"


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("AWS4-HMAC-SHA256", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 nonsense", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=0",
         "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/ecs/aws4_request",
         "IncompleteSignatureException"),
        ("AWS AKIAX:c2lnbmF0dXJl", "IncompleteSignatureException"),
        ("Basic dXNlcjpwYXNz", "MissingAuthenticationTokenException"),
        ("Bearer token", "MissingAuthenticationTokenException"),
        ("", "MissingAuthenticationTokenException"),
    ],
)
def test_unreadable_authorization(server, name, header, code):
    request = create(name)
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    request.headers |= {"Authorization": header, "X-Amz-Date": now}
    answer = send(server, request)
    assert (answer.status, answer.code) == (400, code), answer.body


def test_asymmetric_signatures_are_refused(server, name):
    request = create(name).sign(server.endpoint)
    request.headers["Authorization"] = request.headers["Authorization"].replace(
        "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"
    )
    request.headers["X-Amz-Region-Set"] = "*"
    answer = send(server, request)
    assert (answer.status, answer.code) == (400, "IncompleteSignatureException")
    assert "AWS4-ECDSA-P256-SHA256" in answer.text


def test_scope_of_another_service(server, name):
    answer = signed(server, create(name), service="s3")
    assert answer.status == 400
    assert answer.code == "InvalidSignatureException", answer.body
    assert answer.text == "Credential should be scoped to correct service: 'ecs'. "


def test_two_signatures_at_once(server, name):
    request = create(name).sign(server.endpoint)
    request.target = "/?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    assert send(server, request).code == "InvalidSignatureException"


def presign(server, seconds=900, key=ROOT_KEY, secret=ROOT_SECRET, token=None) -> str:
    url = server.endpoint + "/?Action=GetCallerIdentity&Version=2011-06-15"
    request = AWSRequest("GET", url)
    SigV4QueryAuth(Credentials(key, secret, token), "sts", REGION, expires=seconds).add_auth(
        request
    )
    return request.url.removeprefix(server.endpoint)


def test_presigned_identity(server):
    answer = send(server, Request("sts", "GET", presign(server)))
    assert answer.status == 200, answer.body
    assert f"<Arn>arn:aws:iam::{ACCOUNT}:root</Arn>".encode() in answer.body


def test_presigned_by_the_sdk(server, sts):
    url = sts.generate_presigned_url("get_caller_identity", HttpMethod="GET")
    answer = send(server, Request("sts", "GET", url.removeprefix(server.endpoint)))
    assert answer.status == 200, answer.body


def test_presigned_and_tampered(server):
    target = presign(server).replace("GetCallerIdentity", "GetSessionToken")
    answer = send(server, Request("sts", "GET", target))
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")


def test_presigned_and_expired(server, monkeypatch):
    """AWS: STS takes a presigned request for 15 minutes, whatever it says of its own end."""
    import botocore.auth

    past = utc_now() - datetime.timedelta(minutes=20)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: past)
    answer = send(server, Request("sts", "GET", presign(server, seconds=3600)))
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    assert answer.text.startswith("Signature expired: ")


def test_presigned_for_longer_than_a_week(server):
    answer = send(server, Request("sts", "GET", presign(server, seconds=604801)))
    assert (answer.status, answer.code) == (400, "IncompleteSignature")
    assert "less than a week" in answer.text


def test_a_repeat_is_allowed(server):
    request = ecs_request("ListClusters").sign(server.endpoint)
    assert [send(server, request).status for _ in range(3)] == [200] * 3


def test_another_region_is_another_place(server, ecs, name):
    """The region comes from the scope, so a signature for it is good there."""
    far = server.client("ecs", region="eu-west-1")
    far.create_cluster(clusterName=name)
    [arn] = far.list_clusters()["clusterArns"]
    assert arn == f"arn:aws:ecs:eu-west-1:{ACCOUNT}:cluster/{name}"
    assert ecs.list_clusters()["clusterArns"] == []
    far.delete_cluster(cluster=name)


@pytest.mark.parametrize("region", ["us east", "*", ""])
def test_a_region_that_is_none(server, region):
    answer = signed(server, ecs_request("ListClusters"), region=region)
    assert answer.status == 400, answer.body


def test_signed_without_host(server):
    """A signature that does not cover Host could be replayed against another endpoint."""
    class Hostless(SigV4Auth):
        def headers_to_sign(self, request):
            kept = super().headers_to_sign(request)
            del kept["host"]
            return kept

    request = ecs_request("ListClusters")
    signer = AWSRequest("POST", server.endpoint + "/", request.headers, request.body)
    Hostless(Credentials(ROOT_KEY, ROOT_SECRET), "ecs", REGION).add_auth(signer)
    request.headers = dict(signer.headers.items())
    answer = send(server, request)
    assert (answer.status, answer.code) == (400, "InvalidSignatureException")

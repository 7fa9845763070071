"""The same call in every dress that HTTP and AWS's protocols allow."""

import gzip
import json
import socket
from urllib.parse import urlsplit

import pytest

from wharf_server import ACCOUNT
from wire import FORM, Request, ecs_request, json_request, query_request, raw, send, signed


def identity(answer) -> bool:
    return answer.status == 200 and f"<Account>{ACCOUNT}</Account>".encode() in answer.body


def test_query_by_post(server):
    answer = signed(server, query_request("sts", "GetCallerIdentity"))
    assert identity(answer), answer.body
    assert answer.headers["content-type"] == "text/xml"
    request_id = answer.headers["x-amzn-requestid"]
    assert f"<RequestId>{request_id}</RequestId>".encode() in answer.body


def test_query_by_get(server):
    assert identity(signed(server, query_request("sts", "GetCallerIdentity", method="GET")))


def test_query_parameters_split_over_url_and_body(server):
    request = Request(
        "sts", target="/?Version=2011-06-15", headers={"Content-Type": FORM},
        body=b"Action=GetCallerIdentity",
    )
    assert identity(signed(server, request))


def test_query_in_a_gzip_body(server):
    request = query_request("sts", "GetCallerIdentity")
    request.body = gzip.compress(request.body)
    request.headers["Content-Encoding"] = "gzip"
    assert identity(signed(server, request))


def test_json_in_a_gzip_body(server, name):
    request = ecs_request("DescribeClusters", clusters=[name])
    request.body = gzip.compress(request.body)
    request.headers["Content-Encoding"] = "gzip"
    answer = signed(server, request)
    assert answer.status == 200, answer.body
    assert answer.json["failures"][0]["reason"] == "MISSING"


@pytest.mark.parametrize("body", [
    b"not gzip at all", gzip.compress(b"{}")[:-5], gzip.compress(b"{}") + b"more", b"",
])
def test_gzip_that_is_none(server, body):
    request = json_request("ListClusters", body)
    request.headers["Content-Encoding"] = "gzip"
    assert signed(server, request).status in (200, 400)


def test_gzip_bomb(server):
    request = json_request("ListClusters", gzip.compress(b"[" * (200 << 20), 9))
    request.headers["Content-Encoding"] = "gzip"
    answer = signed(server, request)
    assert answer.status in (400, 413), answer.status


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_json_versions(server, version):
    answer = signed(server, ecs_request("ListClusters", version=version))
    assert answer.status == 200
    assert answer.headers["content-type"] == f"application/x-amz-json-{version}"
    assert answer.json == {"clusterArns": []}
    assert len(answer.headers["x-amzn-requestid"]) == 36


def test_json_error_shape(server):
    answer = signed(server, ecs_request("DeleteCluster", cluster="nowhere"))
    assert answer.status == 400
    assert answer.json == {
        "__type": "ClusterNotFoundException", "message": "Cluster not found.",
    }
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"


def test_query_error_shape(server):
    answer = signed(server, query_request("iam", "GetUser", UserName="nobody"))
    assert (answer.status, answer.code) == (404, "NoSuchEntity")
    assert answer.text == "The user with name nobody cannot be found."
    assert b"<Type>Sender</Type>" in answer.body
    assert b'<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">' in answer.body


@pytest.mark.parametrize("body", [
    b"{", b"[]", b"null", b"\"text\"", b"12", b"{\"cluster\":}", b"\xff\xfe", b"{} {}",
    b"{\"cluster\": " + b"[" * 5000 + b"]" * 5000 + b"}",
])
def test_json_that_is_none(server, body):
    answer = signed(server, json_request("DeleteCluster", body))
    assert answer.status == 400, answer.body
    assert answer.code in ("SerializationException", "InvalidParameterException"), answer.body


def test_json_of_the_wrong_type(server):
    answer = signed(server, ecs_request("CreateCluster", clusterName=["a"]))
    assert (answer.status, answer.code) == (400, "SerializationException"), answer.body


def test_unknown_members_are_ignored(server):
    """AWS: a service ignores members that its model does not know, so newer SDKs keep working."""
    answer = signed(server, ecs_request("ListClusters", fromTheFuture={"a": 1}))
    assert answer.status == 200, answer.body


def test_unknown_json_operation(server):
    answer = signed(server, ecs_request("MakeCoffee"))
    assert (answer.status, answer.code) == (400, "UnknownOperationException")


def test_unknown_query_action(server):
    answer = signed(server, query_request("iam", "MakeCoffee"))
    assert (answer.status, answer.code) == (400, "InvalidAction")
    assert answer.text == "Could not find operation MakeCoffee for version 2010-05-08"


def test_wrong_api_version(server):
    request = Request(
        "iam", headers={"Content-Type": FORM}, body=b"Action=ListUsers&Version=2009-01-01"
    )
    answer = signed(server, request)
    assert (answer.status, answer.code) == (400, "InvalidAction")


def test_no_action_at_all(server):
    answer = signed(server, Request("iam", headers={"Content-Type": FORM}, body=b"Version=1"))
    assert (answer.status, answer.code) == (400, "MissingAction")


def test_unicode_both_ways(server, name):
    text = "blåbær ☃ 𝄞 \u0000".replace("\u0000", "")
    arn = signed(
        server, ecs_request("CreateCluster", clusterName=name, tags=[{"key": "k", "value": text}])
    )
    assert arn.status in (200, 400), arn.body
    users = query_request("iam", "CreateRole", RoleName=name, Description="Größe — ok",
                          AssumeRolePolicyDocument='{"Version":"2012-10-17","Statement":[]}')
    assert signed(server, users).status in (200, 400)


def head_of(request: Request, version: str) -> bytes:
    lines = [f"{request.method} {request.target} HTTP/{version}"]
    return "\r\n".join(lines + [f"{k}: {v}" for k, v in request.headers.items()]).encode()


def prepared(server, request: Request) -> Request:
    request.headers["Host"] = urlsplit(server.endpoint).netloc
    return request.sign(server.endpoint)


def test_http_1_0(server):
    request = prepared(server, ecs_request("ListClusters"))
    request.headers["Content-Length"] = str(len(request.body))
    got = raw(server, head_of(request, "1.0") + b"\r\n\r\n" + request.body)
    assert got.startswith(b"HTTP/1.0 200 ") or got.startswith(b"HTTP/1.1 200 "), got
    assert got.endswith(b'{"clusterArns":[]}')


def test_chunked_transfer(server):
    request = prepared(server, ecs_request("ListClusters", maxResults=5))
    request.headers |= {"Transfer-Encoding": "chunked", "Connection": "close"}
    body = b"".join(b"1\r\n" + bytes([b]) + b"\r\n" for b in request.body) + b"0\r\n\r\n"
    got = raw(server, head_of(request, "1.1") + b"\r\n\r\n" + body)
    assert got.startswith(b"HTTP/1.1 200 "), got


def test_expect_continue(server):
    request = prepared(server, ecs_request("ListClusters"))
    request.headers |= {"Expect": "100-continue", "Connection": "close",
                        "Content-Length": str(len(request.body))}
    place = urlsplit(server.endpoint)
    with socket.create_connection((place.hostname, place.port), timeout=20) as stream:
        stream.sendall(head_of(request, "1.1") + b"\r\n\r\n")
        assert stream.recv(64).startswith(b"HTTP/1.1 100 ")
        stream.sendall(request.body)
        assert stream.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_requests_share_a_connection(server):
    request = prepared(server, ecs_request("ListClusters"))
    request.headers["Content-Length"] = str(len(request.body))
    one = head_of(request, "1.1") + b"\r\n\r\n" + request.body
    last = one.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: close\r\n", 1)
    got = raw(server, one * 4 + last)
    assert got.count(b"HTTP/1.1 200 ") == 5


def test_too_large_a_body(server):
    """Refused by its stated length, before it is sent."""
    request = prepared(server, ecs_request("ListClusters"))
    request.headers |= {"Content-Length": str(9 << 20), "Connection": "close", "Expect": "100-continue"}
    got = raw(server, head_of(request, "1.1") + b"\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 413 "), got


def test_too_large_a_body_in_chunks(server):
    """Refused where the bound is passed; what was sent by then is lost on both sides."""
    request = prepared(server, ecs_request("ListClusters"))
    request.headers |= {"Transfer-Encoding": "chunked"}
    chunk = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    got = raw(server, head_of(request, "1.1") + b"\r\n\r\n" + chunk * 12)
    assert got == b"" or got.startswith(b"HTTP/1.1 413 "), got


@pytest.mark.parametrize("data", [
    b"\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxx",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
])
def test_bytes_that_are_no_request(server, data):
    got = raw(server, data, then_end=True)
    assert b" 500 " not in got[:20]
    assert signed(server, ecs_request("ListClusters")).status == 200


@pytest.mark.parametrize(("path", "text"), [("/healthz", b"ok"), ("/readyz", b"ready")])
def test_operators_endpoints(server, path, text):
    answer = send(server, Request("none", "GET", path))
    assert answer.status == 200
    assert answer.body.startswith(text)


def test_metrics_name_no_one(server, ecs, name):
    ecs.create_cluster(clusterName=name)
    answer = send(server, Request("none", "GET", "/metrics"))
    assert answer.status == 200
    assert name.encode() not in answer.body
    assert ACCOUNT.encode() not in answer.body
    assert b"wharf_requests_total" in answer.body


def test_the_answer_says_what_was_asked(server):
    """A request id differs each time and stands in the header of an error too."""
    ids = {signed(server, ecs_request("DeleteCluster", cluster="x")).headers["x-amzn-requestid"]
           for _ in range(5)}
    assert len(ids) == 5


def test_duplicate_members_take_the_last(server):
    body = json.dumps({"maxResults": 1})[:-1].encode() + b', "maxResults": 5}'
    assert signed(server, json_request("ListClusters", body)).status == 200

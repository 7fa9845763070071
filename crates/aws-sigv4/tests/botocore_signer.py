"""Signs requests with botocore's own signers: JSON cases on stdin, JSON results on stdout."""

import datetime
import io
import json
import sys

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.httpchecksum import AwsChunkedWrapper, Crc32Checksum, Sha256Checksum

SIGNERS = {
    ("ecs", False): botocore.auth.SigV4Auth,
    ("ecs", True): botocore.auth.SigV4QueryAuth,
    ("s3", False): botocore.auth.S3SigV4Auth,
    ("s3", True): botocore.auth.S3SigV4QueryAuth,
}


TRAILERS = {"crc32": Crc32Checksum, "sha256": Sha256Checksum}


def chunk(case, request):
    """Makes the request what boto3 uploads by default: chunks and a trailing checksum."""
    name = "x-amz-checksum-" + case["trailer"]
    body = bytes.fromhex(case["body"])
    wrapper = AwsChunkedWrapper(
        io.BytesIO(body),
        checksum_cls=TRAILERS[case["trailer"]],
        checksum_name=name,
        chunk_size=case["chunk_size"],
    )
    request.headers["Content-Encoding"] = "aws-chunked"
    request.headers["X-Amz-Trailer"] = name
    request.headers["X-Amz-Decoded-Content-Length"] = str(len(body))
    request.context["checksum"] = {
        "request_algorithm": {"algorithm": case["trailer"], "in": "trailer", "name": name}
    }
    return wrapper.read()


def sign(case):
    moment = datetime.datetime.fromtimestamp(case["now"], datetime.timezone.utc)
    botocore.auth.get_current_datetime = lambda *args, **kwargs: moment
    credentials = Credentials(case["access_key"], case["secret"], case["token"])
    signer = SIGNERS[case["service"], case["presigned"]](
        credentials, case["service"], case["region"]
    )
    query = "?" + case["query"] if case["query"] else ""
    request = AWSRequest(
        method=case["method"],
        url=f"http://{case['host']}{case['path']}{query}",
        data=bytes.fromhex(case["body"]),
        headers=dict(case["headers"]),
    )
    encoded = chunk(case, request) if case.get("trailer") else b""
    signer.add_auth(request)
    prepared = request.prepare()
    return {
        "url": prepared.url,
        "encoded": encoded.hex(),
        "headers": [
            (name, value.decode() if isinstance(value, bytes) else value)
            for name, value in prepared.headers.items()
        ],
    }


json.dump([sign(case) for case in json.load(sys.stdin)], sys.stdout)

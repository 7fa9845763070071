"""Signs requests with botocore's own signers: JSON cases on stdin, JSON results on stdout."""

import datetime
import json
import sys

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

SIGNERS = {
    ("ecs", False): botocore.auth.SigV4Auth,
    ("ecs", True): botocore.auth.SigV4QueryAuth,
    ("s3", False): botocore.auth.S3SigV4Auth,
    ("s3", True): botocore.auth.S3SigV4QueryAuth,
}


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
    signer.add_auth(request)
    prepared = request.prepare()
    return {
        "url": prepared.url,
        "headers": [
            (name, value.decode() if isinstance(value, bytes) else value)
            for name, value in prepared.headers.items()
        ],
    }


json.dump([sign(case) for case in json.load(sys.stdin)], sys.stdout)

"""botocore's parsers on the replies that were written for its own protocol cases.

Reads a JSON list of cases with replies from standard input; writes a map of the cases that were
not understood to what was parsed.
"""

import base64
import json
import sys

from botocore.awsrequest import HeadersDict
from botocore.model import OperationModel, ServiceModel
from botocore.parsers import create_parser
from botocore.utils import parse_timestamp


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    return value


def parse(case):
    given = case["given"]
    description = {
        "metadata": case["metadata"],
        "shapes": case["shapes"],
        "operations": {given["name"]: given},
    }
    service = ServiceModel(description)
    operation = OperationModel(given, service)
    protocol = case["metadata"]["protocol"]
    output = operation.output_shape
    if protocol == "query" and output is not None and output.members:
        output.serialization["resultWrapper"] = f"{given['name']}Result"
    parser = create_parser(protocol)
    parser._timestamp_parser = lambda value: parse_timestamp(value).timestamp()
    response = {
        "status_code": case["reply"]["status"],
        "headers": HeadersDict(case["reply"]["headers"]),
        "body": base64.b64decode(case["reply"]["body"]),
        "context": {"operation_name": given["name"]},
    }
    parsed = parser.parse(response, output)
    parsed.pop("ResponseMetadata", None)
    return plain(parsed)


def main():
    differences = {}
    cases = json.load(sys.stdin)
    for case in cases:
        try:
            parsed = parse(case)
        except Exception as error:
            parsed = repr(error)
        if parsed != plain(case["result"]):
            differences[case["name"]] = parsed
    json.dump({"count": len(cases), "differences": differences}, sys.stdout)


main()

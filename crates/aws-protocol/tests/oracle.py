"""botocore as the oracle: random parameters and results of every operation, both ways.

For each case it prints one line (a request that botocore serialized, with its parameters, and a
result or an error to answer with), reads one line (the reply that was written for it), and parses
that reply with botocore's own parser. The last line says how many cases there were, and what
failed. Everything random comes from the seed.
"""

import argparse
import base64
import datetime
import json
import random
import sys

import botocore.handlers
import botocore.session
from botocore.awsrequest import AWSRequest, HeadersDict, prepare_request_dict
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

UTC = datetime.timezone.utc
PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
TEXT = PLAIN + " \t\n.,:;/?#[]@!$&'()*+=%~^|<>\"\\{}`" + "äß€漢字🚢\u2028"
HEADER = PLAIN + " .:;/?#[]@!$&'()*+=%~^|<>{}`"
MAX_DEPTH = 6

# Operations whose models botocore itself cannot read back.
EXCLUDED = {
    # Two members share the element name Event.
    ("s3", "GetBucketNotification"),
    ("s3", "PutBucketNotification"),
}
# HTTP itself sets this header; it follows from the body.
FOLLOWS_FROM_BODY = "ContentLength"


class Generator:
    """Random values of botocore's shapes that a direction of a protocol can carry."""

    def __init__(self, rng, protocol, request):
        self.rng = rng
        self.protocol = protocol
        self.request = request
        # What these formats do not write cannot be read: empty maps and structures.
        self.drops_empty = request and protocol in ("query", "ec2")

    def text(self, alphabet, low=0, high=12):
        return "".join(self.rng.choice(alphabet) for _ in range(self.rng.randint(low, high)))

    def string(self, shape, location):
        if location == "uri":
            return self.text(PLAIN + " :?#[]@!$&'()*+=%äß🚢", 1).replace("..", "x") or "x"
        if location == "payload":
            return self.text(TEXT, 1)
        if location in ("header", "headers"):
            return self.text(HEADER, 1).strip() or "x"
        if shape.enum and self.rng.random() < 0.8:
            return self.rng.choice(shape.enum)
        return self.text(TEXT)

    def timestamp(self, shape, location):
        seconds = self.rng.randint(0, 4_000_000_000)
        moment = datetime.datetime.fromtimestamp(seconds, UTC)
        form = shape.serialization.get("timestampFormat")
        fraction = not self.request and form != "rfc822" and location is None
        if fraction and self.rng.random() < 0.5:
            moment = moment.replace(microsecond=self.rng.randint(0, 999) * 1000)
        return moment

    def blob(self, location):
        low = 1 if location == "payload" else 0
        return bytes(self.rng.randrange(256) for _ in range(self.rng.randint(low, 20)))

    def number(self, shape):
        kind = shape.type_name
        if kind in ("integer", "long"):
            bits = 31 if kind == "integer" else 63
            return self.rng.choice([0, 1, -1, self.rng.getrandbits(bits), -self.rng.getrandbits(bits)])
        if kind == "float":
            # Quarters are the same number in single and in double precision.
            return self.rng.randint(-400_000, 400_000) / 4
        return self.rng.choice([0.0, -1.5, self.rng.uniform(-1e6, 1e6), self.rng.random() * 1e-7])

    def document(self, depth=0):
        pick = self.rng.randrange(7 if depth < 3 else 5)
        if pick == 0:
            return None
        if pick == 1:
            return self.rng.random() < 0.5
        if pick == 2:
            return self.rng.randint(-(10**9), 10**9)
        if pick < 5:
            return self.text(TEXT)
        if pick == 5:
            return [self.document(depth + 1) for _ in range(self.rng.randint(0, 3))]
        return {self.text(PLAIN, 1): self.document(depth + 1) for _ in range(self.rng.randint(0, 3))}

    def value(self, shape, depth=0, location=None):
        """A value, or None where there is none that could be carried."""
        kind = shape.type_name
        if getattr(shape, "is_document_type", False):
            return self.document()
        if kind in ("string", "character"):
            return self.string(shape, location)
        if kind == "boolean":
            return self.rng.random() < 0.5
        if kind in ("integer", "long", "float", "double"):
            return self.number(shape)
        if kind == "timestamp":
            return self.timestamp(shape, location)
        if kind == "blob":
            return self.blob(location)
        if kind == "structure":
            return self.structure(shape, depth)
        if kind == "list":
            return self.list(shape, depth, location)
        return self.map(shape, depth, location)

    def list(self, shape, depth, location):
        low = 0
        if location or (self.drops_empty and self.protocol == "ec2") or is_flattened(shape):
            low = 1
        size = self.rng.randint(low, 3 if depth < 3 else 1)
        items = [self.value(shape.member, depth + 1, location) for _ in range(size)]
        if any(item is None for item in items):
            return None
        if not items and low:
            return None
        return items

    def map(self, shape, depth, location):
        low = 1 if self.drops_empty or location or is_flattened(shape) else 0
        keys = {self.text(PLAIN.lower(), 1) for _ in range(self.rng.randint(low, 3))}
        if shape.key.enum if hasattr(shape.key, "enum") else False:
            keys = set(self.rng.sample(shape.key.enum, min(len(keys), len(shape.key.enum))))
        out = {key: self.value(shape.value, depth + 1, location) for key in keys}
        out = {key: value for key, value in out.items() if value is not None}
        return out if out or not low else None

    def structure(self, shape, depth=0):
        chance = 0.6 if depth == 0 else 0.5 if depth < 3 else 0.3
        names = list(shape.members)
        if getattr(shape, "is_tagged_union", False) and names:
            names = [self.rng.choice(names)]
            chance = 1
        payload = shape.serialization.get("payload")
        out = {}
        for name in names:
            member = shape.members[name]
            location = member.serialization.get("location")
            deep = depth >= MAX_DEPTH and member.type_name in ("structure", "list", "map")
            # What tells REST operations apart is required there, and clients always send it.
            required = name in shape.required_members and location in ("querystring", "header")
            needed = self.request and (location == "uri" or required)
            # An absent payload and an empty one are the same body.
            needed = needed or name == payload or "hostLabel" in member.serialization
            # botocore reads absent headers as an empty map, and always some content type.
            needed = needed or location == "headers" or name == "ContentType"
            if location == "statusCode" or (self.request and name == FOLLOWS_FROM_BODY):
                continue
            if deep or (not needed and self.rng.random() > chance):
                continue
            place = "payload" if name == payload else location
            if "hostLabel" in member.serialization:
                out[name] = self.text("abcdef0123456789", 1)
                continue
            value = self.value(member, depth + 1, place)
            if value is not None:
                out[name] = value
        if not out and (self.drops_empty or getattr(shape, "is_tagged_union", False)) and depth > 0:
            return None
        return out


def is_flattened(shape):
    return shape.serialization.get("flattened", False)


def canonical(value):
    """The form in which both sides describe values."""
    if isinstance(value, dict):
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.datetime):
        return round(value.timestamp(), 3)
    return value


class Stream:
    """A streamed body, which botocore hands on unread."""

    def __init__(self, content):
        self.content = content


class Service:
    def __init__(self, session, name, protocol):
        self.model = session.get_service_model(name)
        self.name = name
        self.protocol = protocol
        self.serializer = create_serializer(protocol, include_validation=False)
        self.parser = create_parser(protocol)
        self.operations = [
            self.model.operation_model(operation)
            for operation in self.model.operation_names
        ]
        self.operations = [
            operation
            for operation in self.operations
            if not operation.has_event_stream_output and not operation.has_event_stream_input
            and (name, operation.name) not in EXCLUDED
        ]

    def request(self, operation, params):
        request = self.serializer.serialize_to_request(params, operation)
        prepare_request_dict(request, endpoint_url="http://127.0.0.1/", context={})
        prepared = AWSRequest(
            method=request["method"],
            url=request["url"],
            data=request["body"],
            headers=request["headers"],
        ).prepare()
        body = prepared.body or b""
        if isinstance(body, str):
            body = body.encode()
        headers = {
            key: value.decode() if isinstance(value, bytes) else value
            for key, value in prepared.headers.items()
        }
        return {
            "method": prepared.method,
            # A host label goes before the address.
            "uri": prepared.url[prepared.url.index("127.0.0.1") + len("127.0.0.1") :],
            "headers": headers,
            "body": base64.b64encode(body).decode(),
        }

    def case(self, rng, operation):
        params = {}
        if operation.input_shape is not None:
            params = Generator(rng, self.protocol, True).structure(operation.input_shape)
        if self.name == "s3" and "ContentEncoding" in params:
            del params["ContentEncoding"]
        result = {}
        if operation.output_shape is not None:
            result = Generator(rng, self.protocol, False).structure(operation.output_shape)
        request = self.request(operation, params)
        if operation.input_shape is not None and FOLLOWS_FROM_BODY in operation.input_shape.members:
            params[FOLLOWS_FROM_BODY] = int(request["headers"].get("Content-Length", 0))
        case = {
            "service": self.name,
            "protocol": self.protocol,
            "operation": operation.name,
            "request": request,
            "params": canonical(params),
            "result": canonical(result),
        }
        errors = operation.error_shapes
        if errors and rng.random() < 0.25:
            shape = rng.choice(errors)
            code = shape.metadata.get("error", {}).get("code", shape.name)
            status = shape.metadata.get("error", {}).get("httpStatusCode", 400)
            message = Generator(rng, self.protocol, False).text(TEXT)
            case["error"] = {
                "name": shape.name,
                "code": code,
                "status": status,
                "message": message,
            }
        return case, result

    def check(self, operation, case, result, reply):
        response = {
            "status_code": reply["status"],
            "headers": HeadersDict(reply["headers"]),
            "body": base64.b64decode(reply["body"]),
            "context": {"operation_name": operation.name},
        }
        content = response["body"]
        if operation.has_streaming_output and "error" not in case:
            response["body"] = Stream(content)
        parsed = self.parser.parse(response, operation.output_shape)
        for name, value in parsed.items():
            if isinstance(value, Stream):
                parsed[name] = value.content
        metadata = parsed.pop("ResponseMetadata", {})
        # botocore reads no headers of a CBOR reply without output.
        silent = self.protocol == "smithy-rpc-v2-cbor" and operation.output_shape is None
        if not silent and self.protocol != "rest-xml" and metadata.get("RequestId") != "request-1":
            return f"the request id is {metadata.get('RequestId')!r}"
        if "error" in case:
            return self.check_error(case["error"], parsed.get("Error", {}))
        if operation.name == "GetBucketLocation" and self.name == "s3":
            raw = type("Raw", (), {"content": content, "raw": content})
            parsed = {}
            botocore.handlers.parse_get_bucket_location(parsed, raw)
            parsed = {k: v for k, v in parsed.items() if v is not None}
            result = {k: v for k, v in result.items() if v}
        if canonical(parsed) != canonical(result):
            return f"parsed {canonical(parsed)!r}, expected {canonical(result)!r}"
        return None

    def check_error(self, error, parsed):
        by_name = self.protocol in ("json", "rest-json", "smithy-rpc-v2-cbor")
        code = error["name"] if by_name else error["code"]
        compatible = "awsQueryCompatible" in self.model.metadata
        if by_name and compatible:
            code = error["code"]
        if parsed.get("Code") != code:
            return f"the error is {parsed!r}, expected {code!r}"
        if (parsed.get("Message") or "") != error["message"]:
            return f"the message is {parsed.get('Message')!r}, expected {error['message']!r}"
        return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("services", nargs="+")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    session = botocore.session.Session()
    services = []
    for name in arguments.services:
        model = session.get_service_model(name)
        protocols = model.metadata.get("protocols", [model.metadata["protocol"]])
        services += [Service(session, name, protocol) for protocol in protocols]
    start = datetime.datetime.now()
    count = 0
    failures = []
    while (datetime.datetime.now() - start).total_seconds() < arguments.seconds:
        service = services[count % len(services)]
        operation = rng.choice(service.operations)
        case, result = service.case(rng, operation)
        print(json.dumps(case), flush=True)
        reply = json.loads(sys.stdin.readline())
        problem = reply.get("failure")
        if problem is None:
            try:
                problem = service.check(operation, case, result, reply)
            except Exception as error:
                problem = f"botocore cannot parse {reply!r}: {error!r}"
        if problem is not None:
            failures.append(f"{service.name} {service.protocol} {operation.name}: {problem}")
        count += 1
        if len(failures) >= 20:
            break
    print(json.dumps({"count": count, "failures": failures}), flush=True)


main()

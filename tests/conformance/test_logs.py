"""CloudWatch Logs: groups, streams, lines in and out, patterns, live tail."""

import json
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from wharf_server import ACCOUNT, REGION, ROOT_KEY, ROOT_SECRET

ARN = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:"
HOUR = 3600 * 1000
DAY = 24 * HOUR
AWS = str(Path(sys.executable).parent / "aws")


@pytest.fixture(scope="module")
def logs(server):
    return server.client("logs")


def now():
    return int(time.time() * 1000)


@pytest.fixture
def group(logs, name):
    logs.create_log_group(logGroupName=name)
    return name


@pytest.fixture
def stream(logs, group):
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    return {"logGroupName": group, "logStreamName": "s"}


def put(logs, stream, *lines, at=None):
    at = now() if at is None else at
    events = [{"timestamp": at + n, "message": line} for n, line in enumerate(lines)]
    return logs.put_log_events(**stream, logEvents=events)


def messages(answer):
    return [event["message"] for event in answer["events"]]


def test_a_group_is_described_as_made(logs, name):
    before = now()
    key = "arn:aws:kms:x:1:key/k"
    logs.create_log_group(logGroupName=name, tags={"team": "harbour"}, kmsKeyId=key)
    [found] = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    made = found.pop("creationTime")
    assert before - 1000 <= made <= now() + 1000
    assert found == {
        "arn": f"{ARN}{name}:*", "logGroupArn": ARN + name, "logGroupName": name,
        "logGroupClass": "STANDARD", "kmsKeyId": key, "metricFilterCount": 0,
        "storedBytes": 0, "deletionProtectionEnabled": False,
    }
    assert logs.list_tags_for_resource(resourceArn=ARN + name)["tags"] == {"team": "harbour"}


def test_errors_are_those_of_aws(logs, refused, group, stream, name):
    with refused("ResourceAlreadyExistsException", "The specified log group already exists", 400):
        logs.create_log_group(logGroupName=group)
    with refused("ResourceAlreadyExistsException", "The specified log stream already exists", 400):
        logs.create_log_stream(**stream)
    gone = {"logGroupName": f"{name}-gone"}
    no_group, no_stream = (
        f"The specified log {what} does not exist." for what in ("group", "stream"))
    with refused("ResourceNotFoundException", no_group, 400):
        logs.describe_log_streams(**gone)
    with refused("ResourceNotFoundException", no_group):
        put(logs, {**gone, "logStreamName": "s"}, "m")
    with refused("ResourceNotFoundException", no_stream):
        logs.get_log_events(logGroupName=group, logStreamName="gone")
    with refused("ResourceNotFoundException", no_stream):
        put(logs, {"logGroupName": group, "logStreamName": "gone"}, "m")
    with refused("ResourceNotFoundException", no_stream):
        logs.delete_log_stream(logGroupName=group, logStreamName="gone")
    with refused("InvalidParameterException", lambda text: "logGroupName" in text, 400):
        logs.create_log_group(logGroupName="a b")
    with refused("InvalidParameterException", lambda text: "at 'logEvents'" in text, 400):
        logs.put_log_events(**stream, logEvents=[])
    with refused("InvalidParameterException"):
        logs.get_log_events(**stream, nextToken="f/1/s")
    with refused("InvalidParameterException"):
        logs.filter_log_events(logGroupName=group, nextToken="nonsense")


def test_retention(logs, refused, group, stream):
    logs.put_retention_policy(logGroupName=group, retentionInDays=1)
    [found] = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert found["retentionInDays"] == 1
    with refused("InvalidParameterException"):
        logs.put_retention_policy(logGroupName=group, retentionInDays=2)
    told = logs.put_log_events(**stream, logEvents=[
        {"timestamp": now() - 2 * DAY, "message": "expired"},
        {"timestamp": now(), "message": "fresh"},
    ])
    assert told["rejectedLogEventsInfo"] == {"expiredLogEventEndIndex": 1}
    assert messages(logs.get_log_events(**stream)) == ["fresh"]
    logs.delete_retention_policy(logGroupName=group)
    [found] = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert "retentionInDays" not in found


def test_lines_that_expire_are_not_shown(logs, group, stream):
    put(logs, stream, "old", at=now() - 3 * DAY)
    put(logs, stream, "new")
    assert messages(logs.get_log_events(**stream)) == ["old", "new"]
    logs.put_retention_policy(logGroupName=group, retentionInDays=1)
    assert messages(logs.get_log_events(**stream)) == ["new"]
    assert messages(logs.filter_log_events(logGroupName=group)) == ["new"]


def test_batches_keep_awss_rules(logs, refused, stream):
    one = {"timestamp": now(), "message": "m"}
    order = "Log events in a single PutLogEvents request must be in chronological order."
    with refused("InvalidParameterException", order):
        logs.put_log_events(**stream, logEvents=[one, {**one, "timestamp": one["timestamp"] - 1}])
    span = ("The batch of log events in a single PutLogEvents request cannot span more than 24 "
            "hours.")
    with refused("InvalidParameterException", span):
        logs.put_log_events(**stream, logEvents=[{**one, "timestamp": now() - DAY - HOUR}, one])
    large = {**one, "message": "x" * (1048576 - 26)}
    logs.put_log_events(**stream, logEvents=[large])
    with refused("InvalidParameterException",
                 "Upload too large: 1048577 bytes exceeds limit of 1048576"):
        logs.put_log_events(**stream, logEvents=[{**large, "message": large["message"] + "x"}])
    with refused("InvalidParameterException", lambda text: "less than or equal to 10000" in text):
        logs.put_log_events(**stream, logEvents=[one] * 10001)
    logs.put_log_events(**stream, logEvents=[one] * 10000)
    told = logs.put_log_events(**stream, logEvents=[
        {"timestamp": now() - 15 * DAY, "message": "too old"}, one,
        {"timestamp": now() + 3 * HOUR, "message": "too new"},
    ])
    assert told["rejectedLogEventsInfo"] == {
        "tooOldLogEventEndIndex": 1, "tooNewLogEventStartIndex": 2}


def test_sequence_tokens_are_taken_and_ignored(logs, stream):
    first = put(logs, stream, "a")["nextSequenceToken"]
    assert len(first) == 56 and first.isdigit()
    logs.put_log_events(**stream, sequenceToken="1",
                        logEvents=[{"timestamp": now(), "message": "b"}])
    assert messages(logs.get_log_events(**stream)) == ["a", "b"]


def test_get_goes_forward_and_backward_and_stays_at_the_ends(logs, stream):
    at = now() - HOUR
    put(logs, stream, *(f"line {n}" for n in range(10)), at=at)
    latest = logs.get_log_events(**stream, limit=3)
    assert messages(latest) == ["line 7", "line 8", "line 9"]
    before = logs.get_log_events(**stream, limit=3, nextToken=latest["nextBackwardToken"])
    assert messages(before) == ["line 4", "line 5", "line 6"]
    again = logs.get_log_events(
        **stream, limit=9, startFromHead=True, nextToken=before["nextForwardToken"])
    assert messages(again) == ["line 7", "line 8", "line 9"]
    end = logs.get_log_events(**stream, startFromHead=True, nextToken=again["nextForwardToken"])
    assert end["events"] == [] and end["nextForwardToken"] == again["nextForwardToken"]
    head = logs.get_log_events(**stream, limit=4, startFromHead=True)
    assert messages(head) == [f"line {n}" for n in range(4)]
    start = logs.get_log_events(**stream, nextToken=head["nextBackwardToken"])
    assert start["events"] == [] and start["nextBackwardToken"] == head["nextBackwardToken"]
    put(logs, stream, "line 10", at=at + 10)
    more = logs.get_log_events(**stream, startFromHead=True, nextToken=end["nextForwardToken"])
    assert messages(more) == ["line 10"]
    part = logs.get_log_events(**stream, startTime=at + 2, endTime=at + 4)
    assert messages(part) == ["line 2", "line 3"]


def test_a_follower_misses_nothing(logs, stream):
    """Lines of the same millisecond and of several calls, read in pages of two."""
    at = now()
    for n in range(5):
        logs.put_log_events(**stream, logEvents=[
            {"timestamp": at, "message": f"{n}.{m}"} for m in range(3)])
    token, seen = {}, []
    while True:
        page = logs.get_log_events(**stream, startFromHead=True, limit=2, **token)
        seen += messages(page)
        if token.get("nextToken") == page["nextForwardToken"]:
            break
        token = {"nextToken": page["nextForwardToken"]}
    assert seen == [f"{n}.{m}" for n in range(5) for m in range(3)]


def test_streams_are_described_by_name_and_by_time(logs, refused, group):
    for n, name in enumerate("cab"):
        logs.create_log_stream(logGroupName=group, logStreamName=name)
        put(logs, {"logGroupName": group, "logStreamName": name}, "m", at=now() - n * HOUR)
    logs.create_log_stream(logGroupName=group, logStreamName="empty")

    def names(**how):
        return [s["logStreamName"] for s in
                logs.describe_log_streams(logGroupName=group, **how)["logStreams"]]

    assert names() == ["a", "b", "c", "empty"]
    assert names(orderBy="LastEventTime", descending=True) == ["c", "a", "b", "empty"]
    assert names(orderBy="LastEventTime") == ["empty", "b", "a", "c"]
    assert names(logStreamNamePrefix="e") == ["empty"]
    with refused("InvalidParameterException",
                 "Cannot order by LastEventTime with a logStreamNamePrefix."):
        names(orderBy="LastEventTime", logStreamNamePrefix="e")
    pages = logs.get_paginator("describe_log_streams").paginate(
        logGroupName=group, orderBy="LastEventTime", descending=True, limit=1)
    assert [s["logStreamName"] for p in pages for s in p["logStreams"]] == ["c", "a", "b", "empty"]
    [a] = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="a")["logStreams"]
    assert a["arn"] == f"{ARN}{group}:log-stream:a" and a["storedBytes"] == 0
    assert a["firstEventTimestamp"] == a["lastEventTimestamp"] <= a["lastIngestionTime"]
    [empty] = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="e")["logStreams"]
    assert "lastEventTimestamp" not in empty and "lastIngestionTime" not in empty


def test_filter_interleaves_streams_by_time(logs, refused, group):
    at = now() - HOUR
    for name in ("a", "b", "other"):
        logs.create_log_stream(logGroupName=group, logStreamName=name)
    for n in range(6):
        stream = {"logGroupName": group, "logStreamName": "ab"[n % 2]}
        put(logs, stream, f"{'ERROR' if n % 3 == 0 else 'INFO'} {n}", at=at + n)
    put(logs, {"logGroupName": group, "logStreamName": "other"}, "ERROR other", at=at + 99)

    def found(**how):
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, **how)
        return [event for page in pages for event in page["events"]]

    everything = found()
    assert [e["message"][-1] for e in everything] == [*"012345", "r"]
    assert [e["logStreamName"] for e in everything] == ["a", "b"] * 3 + ["other"]
    assert len({e["eventId"] for e in everything}) == 7
    assert all(e["ingestionTime"] >= e["timestamp"] for e in everything)
    errors = found(filterPattern="ERROR")
    assert [e["message"] for e in errors] == ["ERROR 0", "ERROR 3", "ERROR other"]
    errors = found(filterPattern="ERROR", logStreamNames=["a"])
    assert [e["message"] for e in errors] == ["ERROR 0"]
    assert len(found(logStreamNamePrefix="a")) == 3
    assert found(PaginationConfig={"PageSize": 2}) == everything
    assert len(found(startTime=at + 2, endTime=at + 4)) == 3
    assert found(startFromHead=False, startTime=at)[0]["message"] == "ERROR other"
    latest = found(startFromHead=False, startTime=at, PaginationConfig={"PageSize": 2})
    assert latest == everything[::-1]
    by_arn = logs.filter_log_events(logGroupIdentifier=ARN + group)
    assert by_arn["events"] == everything and by_arn["searchedLogStreams"] == []
    with refused("InvalidParameterException"):
        logs.filter_log_events(logGroupName=group, logGroupIdentifier=group)
    with refused("InvalidParameterException"):
        logs.filter_log_events(logGroupName=group, filterPattern="{ $.a = ")
    with refused("InvalidParameterException"):
        logs.filter_log_events(logGroupName=group, logStreamNames=["a"], logStreamNamePrefix="a")
    with refused("ResourceNotFoundException"):
        logs.filter_log_events(logGroupName=group, logStreamNames=["a", "gone"])


@pytest.mark.parametrize("pattern,hits", [
    ("ERROR", {0, 1}), ("?ERROR ?WARN", {0, 1, 2}), ("ERROR -timeout", {1}), ('"a timeout"', {0}),
    ('{ $.level = "error" && $.code >= 500 }', {3}), ("{ $.code = 404 }", {4}),
    ("{ $.user.roles[*] = adm* }", {4}), ("{ $.missing NOT EXISTS }", {3, 4}),
    ("[ip, user, request, status = 4*, size]", {5}), ("[..., status = 404, size > 10]", {5}),
    ("%ERR.R%", {0, 1}), ("", set(range(6))),
])
def test_patterns(logs, group, stream, pattern, hits):
    lines = [
        "ERROR a timeout", "ERROR refused", "WARN slow", '{"level":"error","code":503}',
        '{"code":404,"user":{"roles":["dev","admin"]}}', '10.0.0.1 frank "GET / HTTP/1.1" 404 17',
    ]
    put(logs, stream, *lines)
    answer = logs.filter_log_events(logGroupName=group, filterPattern=pattern)
    assert messages(answer) == [lines[n] for n in sorted(hits)]


def test_groups_are_listed_by_pattern_class_and_tags(logs, refused, name):
    logs.create_log_group(logGroupName=f"{name}/web", tags={"team": "a"})
    logs.create_log_group(logGroupName=f"{name}/db", logGroupClass="INFREQUENT_ACCESS")
    mine = name[-20:]

    def listed(**how):
        """botocore has no paginator for this one."""
        seen, token = [], {}
        while token is not None:
            page = logs.list_log_groups(logGroupNamePattern=mine, limit=1, **how, **token)
            seen += [g["logGroupName"] for g in page["logGroups"]]
            token = {"nextToken": page["nextToken"]} if "nextToken" in page else None
        return seen

    assert listed() == [f"{name}/db", f"{name}/web"]
    assert listed(logGroupClass="INFREQUENT_ACCESS") == [f"{name}/db"]
    assert listed(logGroupTags=[{"key": "team", "values": ["a", "b"]}]) == [f"{name}/web"]
    [by_pattern] = logs.describe_log_groups(logGroupNamePattern=f"{mine}/w")["logGroups"]
    assert by_pattern["logGroupName"] == f"{name}/web"
    with refused("InvalidParameterException"):
        logs.describe_log_groups(logGroupNamePattern="x", logGroupNamePrefix="x")
    pages = logs.get_paginator("describe_log_groups").paginate(
        logGroupNamePrefix=name, PaginationConfig={"PageSize": 1})
    assert len([g for p in pages for g in p["logGroups"]]) == 2


def test_tags(logs, refused, group):
    logs.tag_resource(resourceArn=ARN + group, tags={"a": "1", "b": "2"})
    logs.tag_log_group(logGroupName=group, tags={"b": "3"})
    assert logs.list_tags_log_group(logGroupName=group)["tags"] == {"a": "1", "b": "3"}
    logs.untag_resource(resourceArn=ARN + group, tagKeys=["a"])
    logs.untag_log_group(logGroupName=group, tags=["b"])
    assert logs.list_tags_for_resource(resourceArn=ARN + group)["tags"] == {}
    logs.tag_resource(resourceArn=ARN + group, tags={str(n): "" for n in range(50)})
    with refused("TooManyTagsException"):
        logs.tag_resource(resourceArn=ARN + group, tags={"one more": ""})
    with refused("ResourceNotFoundException"):
        logs.list_tags_for_resource(resourceArn=f"{ARN}{group}-gone")


def test_protection_and_keys(logs, refused, group):
    protect = logs.put_log_group_deletion_protection
    protect(logGroupIdentifier=group, deletionProtectionEnabled=True)
    with refused("ValidationException"):
        logs.delete_log_group(logGroupName=group)
    protect(logGroupIdentifier=group, deletionProtectionEnabled=False)
    logs.associate_kms_key(logGroupName=group, kmsKeyId="arn:aws:kms:x:1:key/k")
    [found] = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert found["kmsKeyId"] == "arn:aws:kms:x:1:key/k"
    logs.disassociate_kms_key(logGroupName=group)
    [found] = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert "kmsKeyId" not in found


def test_what_is_deleted_does_not_come_back(logs, group, stream):
    put(logs, stream, "first life")
    logs.delete_log_stream(**stream)
    assert logs.filter_log_events(logGroupName=group)["events"] == []
    logs.create_log_stream(**stream)
    assert logs.get_log_events(**stream)["events"] == []
    put(logs, stream, "second life")
    logs.delete_log_group(logGroupName=group)
    logs.create_log_group(logGroupName=group)
    assert logs.describe_log_streams(logGroupName=group)["logStreams"] == []
    logs.create_log_stream(**stream)
    assert logs.get_log_events(**stream)["events"] == []


def test_stored_bytes_are_told(logs, group, stream):
    put(logs, stream, "x" * 10_000)
    [found] = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert 10_000 <= found["storedBytes"] < 11_000


@pytest.fixture(scope="module")
def tailing(server):
    """boto3 as it must be set for an endpoint of one's own: see docs/decisions."""
    return boto3.client(
        "logs", endpoint_url=server.endpoint, region_name=REGION, aws_access_key_id=ROOT_KEY,
        aws_secret_access_key=ROOT_SECRET,
        config=Config(inject_host_prefix=False, read_timeout=30),
    )


def test_live_tail(logs, tailing, refused, group, stream):
    """botocore's own parser of event streams checks every length and checksum."""
    with refused("InvalidParameterException"):
        tailing.start_live_tail(logGroupIdentifiers=[group])
    with refused("ResourceNotFoundException"):
        tailing.start_live_tail(logGroupIdentifiers=[f"{ARN}{group}-gone"])
    answer = tailing.start_live_tail(
        logGroupIdentifiers=[ARN + group], logStreamNamePrefixes=["s"],
        logEventFilterPattern="-noise")
    events = iter(answer["responseStream"])
    start = next(events)["sessionStart"]
    assert start["logGroupIdentifiers"] == [ARN + group]
    assert start["logEventFilterPattern"] == "-noise" and start["sessionId"]
    sizes = [1, 10, 255, 256, 65_535, 65_536, 300_000]
    sent = [f"{uuid.uuid4()} größe ☃ " + "x" * size for size in sizes]
    put(logs, stream, *sent, "noise")
    logs.create_log_stream(logGroupName=group, logStreamName="other")
    put(logs, {"logGroupName": group, "logStreamName": "other"}, "not wanted")
    seen = []
    while len(seen) < len(sent):
        update = next(events)["sessionUpdate"]
        assert update["sessionMetadata"] == {"sampled": False}
        seen += update["sessionResults"]
    assert [event["message"] for event in seen] == sent
    assert {event["logStreamName"] for event in seen} == {"s"}
    assert {event["logGroupIdentifier"] for event in seen} == {f"{ACCOUNT}:{group}"}
    answer["responseStream"].close()


def test_a_flood_is_sampled(logs, tailing, group, stream):
    answer = tailing.start_live_tail(logGroupIdentifiers=[ARN + group])
    events = iter(answer["responseStream"])
    assert "sessionStart" in next(events)
    logs.put_log_events(**stream, logEvents=[{"timestamp": now(), "message": "m"}] * 2000)
    while not (update := next(events)["sessionUpdate"])["sessionResults"]:
        pass
    assert len(update["sessionResults"]) == 500 and update["sessionMetadata"]["sampled"]
    answer["responseStream"].close()


def test_the_command_line_tails(server, logs, group, stream):
    """With the variable that `wharf env` sets; print-only prints each line as JSON."""
    environment = server.shell() | {
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true", "PYTHONUNBUFFERED": "1"}
    command = [AWS, "logs", "start-live-tail", "--log-group-identifiers", ARN + group]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as tail:
        try:
            # A line for each look, until one is seen: when the session has begun it does not say.
            done = threading.Event()
            writer = threading.Thread(target=lambda: [
                put(logs, stream, "ahoy") for _ in iter(lambda: done.wait(0.2), True)])
            writer.start()
            first = tail.stdout.readline()
        finally:
            done.set()
            tail.kill()
    assert "ahoy" in first


@pytest.fixture
def reader(iam, server, name, group):
    """May look at one group, and write to one of its streams."""
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["logs:Get*", "logs:Filter*", "logs:DescribeLogStreams"],
             "Resource": f"{ARN}{group}:*"},
            {"Effect": "Allow", "Action": "logs:PutLogEvents",
             "Resource": f"{ARN}{group}:log-stream:s"},
            {"Effect": "Allow", "Action": "logs:ListTagsForResource", "Resource": ARN + group},
        ]}))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return server.client("logs", key=key["AccessKeyId"], secret=key["SecretAccessKey"])


def test_permissions_are_asked_on_groups_and_streams(logs, reader, refused, group, stream, name):
    denied = "AccessDeniedException"
    put(reader, stream, "mine")
    assert messages(reader.get_log_events(**stream)) == ["mine"]
    assert messages(reader.filter_log_events(logGroupName=group)) == ["mine"]
    assert len(reader.describe_log_streams(logGroupName=group)["logStreams"]) == 1
    assert reader.list_tags_for_resource(resourceArn=ARN + group)["tags"] == {}
    logs.create_log_stream(logGroupName=group, logStreamName="other")
    told = f"logs:PutLogEvents on resource: {ARN}{group}:log-stream:other"
    with refused(denied, lambda text: told in text, 400):
        put(reader, {"logGroupName": group, "logStreamName": "other"}, "not mine")
    logs.create_log_group(logGroupName=f"{name}-2")
    with refused(denied):
        reader.filter_log_events(logGroupName=f"{name}-2")
    with refused(denied):
        reader.describe_log_groups()
    with refused(denied):
        reader.create_log_stream(logGroupName=group, logStreamName="third")
    with refused(denied):
        reader.delete_log_group(logGroupName=group)
    with refused(denied, lambda text: "logs:Unmask" in text):
        reader.get_log_events(**stream, unmask=True)
    assert messages(logs.filter_log_events(logGroupName=group)) == ["mine"]


def test_lines_survive_a_kill(server, logs, group, stream):
    for n in range(50):
        put(logs, stream, f"line {n}")
    # What it was asked until now counts for the run; a killed server tells nothing any more.
    server.collect()
    server.kill()
    server.start()
    logs = boto3.client("logs", endpoint_url=server.endpoint, region_name=REGION,
                        aws_access_key_id=ROOT_KEY, aws_secret_access_key=ROOT_SECRET)
    found = logs.get_log_events(**stream, startFromHead=True)
    assert messages(found) == [f"line {n}" for n in range(50)]

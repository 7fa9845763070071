#!/usr/bin/env python3
"""A scheduler of one's own, beside the service scheduler: one task of a family on every host.

It follows the stream of events (`wharf events --follow`) and acts through the API alone: StartTask
where a host has no task yet, StopTask where one is too many. An event only says that it is time to
look; what is done depends on what is there, so a missed or repeated event does no harm, and neither
does killing the scheduler.

    eval "$(wharf env)"
    python3 scheduler.py --family probe [--cluster default] [--data-dir DIR]
"""

import argparse
import json
import queue
import signal
import subprocess
import sys
import threading
import time

import boto3
from botocore.exceptions import BotoCoreError, ClientError

NAME = "one-task-per-host"
# Events that came together are answered by one look.
TOGETHER = 0.2
# A look without any event, in case the world changed while nobody told.
ANYWAY = 30


class Scheduler:
    def __init__(self, ecs, cluster, family):
        self.ecs, self.cluster, self.family = ecs, cluster, family

    def pages(self, operation, member, **more):
        for page in self.ecs.get_paginator(operation).paginate(cluster=self.cluster, **more):
            yield from page[member]

    def hosts(self):
        """Hosts that take tasks, as ARNs."""
        arns = list(self.pages("list_container_instances", "containerInstanceArns", status="ACTIVE"))
        for some in chunks(arns):
            told = self.ecs.describe_container_instances(
                cluster=self.cluster, containerInstances=some
            )
            for host in told["containerInstances"]:
                if host["agentConnected"]:
                    yield host["containerInstanceArn"]

    def tasks(self):
        """This scheduler's tasks that shall run, by their hosts."""
        arns = list(self.pages("list_tasks", "taskArns", startedBy=NAME, desiredStatus="RUNNING"))
        there = {}
        for some in chunks(arns):
            told = self.ecs.describe_tasks(cluster=self.cluster, tasks=some)
            for task in told["tasks"]:
                if task["desiredStatus"] == "RUNNING":
                    there.setdefault(task["containerInstanceArn"], []).append(task)
        return there

    def look(self):
        """Bring the world nearer to one task on every host; tells what was done."""
        hosts, there = list(self.hosts()), self.tasks()
        for some in chunks([host for host in hosts if host not in there], 10):
            answer = self.ecs.start_task(
                cluster=self.cluster,
                taskDefinition=self.family,
                containerInstances=some,
                startedBy=NAME,
            )
            for task in answer["tasks"]:
                tell("started", task["taskArn"], "on", task["containerInstanceArn"])
            for failure in answer["failures"]:
                tell("not started on", failure.get("arn"), failure.get("reason"))
        for host, tasks in there.items():
            tasks.sort(key=lambda task: task["createdAt"])
            # A host that drains, or whose agent is away, keeps no task of ours that is one too many.
            for task in tasks[1:]:
                self.stop(task, "there is one on this host already")

    def stop(self, task, why):
        self.ecs.stop_task(cluster=self.cluster, task=task["taskArn"], reason=why)
        tell("stopped", task["taskArn"], why)


def chunks(items, size=100):
    return (items[at : at + size] for at in range(0, len(items), size))


def tell(*words):
    print(*words, flush=True)


def concerns(event):
    """Whether an event can mean that a task is to be started or stopped."""
    detail = event["detail"]
    if event["detail-type"] == "ECS Task State Change":
        return detail.get("startedBy") == NAME and detail["desiredStatus"] == "STOPPED"
    return event["detail-type"] == "ECS Container Instance State Change"


def follow(wharf):
    """Yields whenever it is time to look."""
    lines = queue.Queue(maxsize=1000)
    with subprocess.Popen(wharf, stdout=subprocess.PIPE) as stream:
        threading.Thread(target=hand_on, args=(stream.stdout, lines), daemon=True).start()
        try:
            look_at = time.monotonic()
            while True:
                wait = look_at - time.monotonic()
                if wait <= 0:
                    look_at = time.monotonic() + ANYWAY
                    yield
                    continue
                try:
                    line = lines.get(timeout=wait)
                except queue.Empty:
                    continue
                if line is None:
                    raise SystemExit("the stream of events has ended")
                if concerns(json.loads(line)):
                    look_at = min(look_at, time.monotonic() + TOGETHER)
        finally:
            stream.terminate()


def hand_on(stream, lines):
    for line in stream:
        lines.put(line)
    lines.put(None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", required=True, help="the task definition, by family or ARN")
    parser.add_argument("--cluster", default="default")
    parser.add_argument("--data-dir", help="the data folder of the server")
    parser.add_argument("--wharf", default="wharf", help="the wharf program")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    wharf = [given.wharf, "events", "--follow", "--json", "--cluster", given.cluster]
    wharf += ["--about", "task,instance"]
    if given.data_dir:
        wharf += ["--data-dir", given.data_dir]
    scheduler = Scheduler(boto3.client("ecs"), given.cluster, given.family)
    try:
        for _ in follow(wharf):
            try:
                scheduler.look()
            except (BotoCoreError, ClientError) as error:
                # The next look finds what this one left.
                tell("error:", error)
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()

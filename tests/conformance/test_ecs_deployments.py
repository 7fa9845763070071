"""Deployments that shift traffic, as far as they go without a host: stages, pauses, webhooks.

A service of no tasks passes all stages at once, so that what holds it is what is looked at.
"""

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from patience import PATIENCE, until
from wharf_server import Server


class Webhook(ThreadingHTTPServer):
    """Hands every call to the test, which says the answer; what it does not answer hangs."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls = queue.Queue()
        self.url = f"http://127.0.0.1:{self.server_port}/check"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def call(self):
        return self.calls.get(timeout=PATIENCE)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        told = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = queue.Queue()
        self.server.calls.put((told, answer))
        body = json.dumps(answer.get()).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def webhook():
    running = Webhook()
    yield running
    running.shutdown()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that may call webhooks on this machine."""
    running = Server(tmp_path_factory.mktemp("wharf") / "data", "--hook-allow", "127.0.0.0/8").start()
    try:
        yield running
    except BaseException:
        running.kill()
        raise
    running.stop()


def make(ecs, name, **configuration):
    """A service of no tasks; the keywords that name it."""
    ecs.create_cluster(clusterName=name)
    ecs.register_task_definition(family=name, containerDefinitions=[
        {"name": "web", "image": "busybox", "memory": 64}])
    ecs.create_service(cluster=name, serviceName="web", taskDefinition=name, desiredCount=0,
                       deploymentConfiguration=configuration)
    return {"cluster": name, "service": "web"}


def newest(ecs, service):
    arn = ecs.list_service_deployments(**service)["serviceDeployments"][0]["serviceDeploymentArn"]
    return ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"][0]


def test_defaults_are_shown_as_aws_has_them(ecs, name):
    service = make(ecs, name, strategy="CANARY")
    shown = ecs.describe_services(cluster=name, services=["web"])["services"][0]
    configuration = shown["deploymentConfiguration"]
    assert configuration["strategy"] == "CANARY"
    assert configuration["canaryConfiguration"] == {
        "canaryPercent": 5.0, "canaryBakeTimeInMinutes": 10}
    deployment = newest(ecs, service)
    assert (deployment["status"], deployment["lifecycleStage"]) == ("SUCCESSFUL", "CLEAN_UP")
    target = deployment["targetServiceRevision"]
    assert target["requestedProductionTrafficWeight"] == 100.0
    assert target["requestedTestTrafficWeight"] == 100.0


def test_a_canary_waits_with_its_share_and_is_stopped(ecs, name):
    service = make(ecs, name, strategy="CANARY", canaryConfiguration={
        "canaryPercent": 12.5, "canaryBakeTimeInMinutes": 30})
    ecs.update_service(**service, forceNewDeployment=True)
    deployment = newest(ecs, service)
    assert deployment["lifecycleStage"] == "PRODUCTION_TRAFFIC_SHIFT"
    assert deployment["targetServiceRevision"]["requestedProductionTrafficWeight"] == 12.5
    source = deployment["sourceServiceRevisions"][0]
    assert source["requestedProductionTrafficWeight"] == 87.5
    ecs.stop_service_deployment(serviceDeploymentArn=deployment["serviceDeploymentArn"],
                                stopType="ROLLBACK")
    deployment = newest(ecs, service)
    assert deployment["status"] == "ROLLBACK_SUCCESSFUL"
    assert deployment["rollback"]["serviceRevisionArn"] == source["arn"]


@pytest.mark.parametrize("action, status", [
    ("CONTINUE", "SUCCESSFUL"), ("ROLLBACK", "ROLLBACK_SUCCESSFUL")])
def test_a_pause_is_ended_by_hand(ecs, name, refused, action, status):
    service = make(ecs, name, strategy="BLUE_GREEN")
    pause = {"targetType": "PAUSE", "lifecycleStages": ["POST_TEST_TRAFFIC_SHIFT"],
             "timeoutConfiguration": {"timeoutInMinutes": 90, "action": "CONTINUE"}}
    ecs.update_service(**service, forceNewDeployment=True,
                       deploymentConfiguration={"lifecycleHooks": [pause]})
    deployment = newest(ecs, service)
    assert deployment["lifecycleStage"] == "POST_TEST_TRAFFIC_SHIFT"
    hook, = deployment["lifecycleHookDetails"]
    assert (hook["targetType"], hook["status"]) == ("PAUSE", "AWAITING_ACTION")
    assert (hook["expiresAt"] - deployment["startedAt"]).total_seconds() == pytest.approx(5400, abs=5)
    assert hook["timeoutAction"] == "CONTINUE" and "targetArn" not in hook
    named = {"serviceDeploymentArn": deployment["serviceDeploymentArn"], "hookId": hook["hookId"]}
    with refused("InvalidParameterException",
                 "Provided hookId is either completed, unavailable, or not associated with the "
                 "given Resource ARN"):
        ecs.continue_service_deployment(**named | {"hookId": "ecs-pause-another"})
    answer = ecs.continue_service_deployment(**named, action=action)
    assert answer["serviceDeploymentArn"] == named["serviceDeploymentArn"]
    assert newest(ecs, service)["status"] == status


def test_a_webhook_decides(ecs, name, webhook):
    service = make(ecs, name, strategy="BLUE_GREEN")
    hook = {"hookTargetArn": webhook.url, "hookDetails": {"bucket": "b"},
            "lifecycleStages": ["POST_SCALE_UP"]}
    for said, status in [("SUCCEEDED", "SUCCESSFUL"), ("FAILED", "ROLLBACK_SUCCESSFUL")]:
        ecs.update_service(**service, forceNewDeployment=True,
                           deploymentConfiguration={"lifecycleHooks": [hook]})
        told, answer = webhook.call()
        assert told["lifecycleStage"] == "POST_SCALE_UP" and told["hookDetails"] == {"bucket": "b"}
        assert told["resourceArn"] == newest(ecs, service)["serviceDeploymentArn"]
        answer.put({"hookStatus": "IN_PROGRESS", "callBackDelay": 1, "hookDetails": {"n": 1}})
        again, answer = webhook.call()
        assert again["executionId"] == told["executionId"]
        assert again["hookDetails"] == {"bucket": "b", "n": 1}
        answer.put({"hookStatus": said})
        ended = until("it has ended", lambda: (
            shown := newest(ecs, service))["status"] == status and shown)
        if said == "FAILED":
            assert ended["statusReason"] == (
                "Service deployment rolled back because POST_SCALE_UP lifecycle hook(s) failed. "
                f"Lifecycle hook target {webhook.url} returned FAILED status.")


def test_a_call_whose_caller_was_killed_is_made_again(tmp_path, name, webhook):
    server = Server(tmp_path / "data", "--hook-allow", "127.0.0.0/8").start()
    try:
        service = make(server.client("ecs"), name, strategy="BLUE_GREEN", lifecycleHooks=[
            {"hookTargetArn": webhook.url, "lifecycleStages": ["PRE_SCALE_UP"]}])
        first, _ = webhook.call()
        server.kill()
        server = Server(tmp_path / "data", "--hook-allow", "127.0.0.0/8").start()
        again, answer = webhook.call()
        assert again == first
        answer.put({"hookStatus": "SUCCEEDED"})
        ecs = server.client("ecs")
        until("it has ended", lambda: newest(ecs, service)["status"] == "SUCCESSFUL")
    finally:
        server.kill()


def test_this_machine_is_not_called_unless_that_is_allowed(tmp_path, name, webhook):
    server = Server(tmp_path / "data").start()
    try:
        ecs = server.client("ecs")
        service = make(ecs, name, strategy="BLUE_GREEN")
        ecs.update_service(**service, forceNewDeployment=True, deploymentConfiguration={
            "lifecycleHooks": [{"hookTargetArn": webhook.url, "lifecycleStages": ["PRE_SCALE_UP"]}]})
        ended = until("it has ended", lambda: (
            shown := newest(ecs, service))["status"] == "ROLLBACK_SUCCESSFUL" and shown)
        assert ended["statusReason"].endswith("127.0.0.1 is at 127.0.0.1, which may not be called")
        assert webhook.calls.empty()
    finally:
        server.kill()


@pytest.mark.parametrize("configuration, message", [
    ({"strategy": "BLUE_GREEN", "lifecycleHooks": [
        {"targetType": "PAUSE", "lifecycleStages": ["PRODUCTION_TRAFFIC_SHIFT"]}]},
     "Invalid lifecycle stage provided for Pause Hook"),
    ({"strategy": "BLUE_GREEN", "lifecycleHooks": [
        {"targetType": "SNS", "lifecycleStages": ["PRE_SCALE_UP"]}]},
     "Invalid targetType. Valid values are: AWS_LAMBDA, PAUSE"),
    ({"earlySuccessCriteria": {"enable": True, "healthyPercent": 99,
                               "sourceServiceRevisionCleanup": "BLOCKING"}},
     "healthyPercent must be between minimumHealthyPercent (100) and 100."),
    ({"strategy": "CANARY", "earlySuccessCriteria": {
        "enable": True, "healthyPercent": 100, "sourceServiceRevisionCleanup": "BLOCKING"}},
     "earlySuccessCriteria is not valid for the CANARY strategy."),
])
def test_refusals(ecs, name, refused, configuration, message):
    make(ecs, name)
    with refused("InvalidParameterException", message, status=400):
        ecs.create_service(cluster=name, serviceName="other", taskDefinition=name, desiredCount=0,
                           deploymentConfiguration=configuration)


def test_a_service_changes_hands(ecs, name, refused):
    """From CodeDeploy to ECS, to a controller from outside, and back."""
    service = make(ecs, name) | {"service": "handed"}
    cluster = {"cluster": name}
    ecs.create_service(**cluster, serviceName="handed", taskDefinition=name, desiredCount=0,
                       deploymentController={"type": "CODE_DEPLOY"})

    def described():
        return ecs.describe_services(**cluster, services=["handed"])["services"][0]

    def hand(controller, **more):
        return ecs.update_service(**service, deploymentController={"type": controller}, **more)

    (task_set,) = described()["taskSets"]
    assert task_set["status"] == "PRIMARY"
    hand("ECS")
    (deployment,) = described()["deployments"]
    assert (deployment["id"], deployment["status"]) == (task_set["id"], "PRIMARY")
    assert deployment["rolloutState"] == "COMPLETED" and "taskSets" not in described()
    ecs.get_waiter("services_stable").wait(**cluster, services=["handed"])
    assert newest(ecs, service)["status"] == "SUCCESSFUL"
    with refused("InvalidParameterException", lambda text: "requires a load balancer" in text):
        hand("CODE_DEPLOY")
    with refused("InvalidParameterException", "Deployment circuit breaker feature is only supported"
                 " with ECS deployment controller. Update to ECS deployment controller and try again."):
        hand("EXTERNAL", deploymentConfiguration={
            "deploymentCircuitBreaker": {"enable": True, "rollback": True}})

    hand("EXTERNAL")
    assert [one["id"] for one in described()["deployments"]] == [task_set["id"]]
    second = ecs.create_task_set(**service, taskDefinition=name)["taskSet"]["id"]
    with refused("InvalidParameterException",
                 "Updating the deployment controller is not supported when there are multiple "
                 "tasksets in the service. Please ensure your service has only one taskset and try "
                 "again."):
        hand("ECS")
    ecs.delete_task_set(**service, taskSet=task_set["id"], force=True)
    with refused("InvalidParameterException",
                 "Updating the deployment controller requires a primary taskset in the service. "
                 "Please ensure your service has a primary taskset and try again."):
        hand("ECS")
    ecs.update_service_primary_task_set(**service, primaryTaskSet=second)
    answer = hand("ECS", forceNewDeployment=True)["service"]
    assert answer["deploymentController"] == {"type": "ECS"}
    ecs.get_waiter("services_stable").wait(**cluster, services=["handed"])
    listed = ecs.list_service_deployments(**service)["serviceDeployments"]
    assert [one["status"] for one in listed] == ["SUCCESSFUL"] * 3


def test_an_early_success_is_shown_as_it_was_asked_for(ecs, name):
    criteria = {"enable": True, "healthyPercent": 80, "sourceServiceRevisionCleanup": "DEFERRED"}
    service = make(ecs, name, minimumHealthyPercent=50, earlySuccessCriteria=criteria)
    deployment = newest(ecs, service)
    assert deployment["deploymentConfiguration"]["earlySuccessCriteria"] == criteria
    assert deployment["status"] == "SUCCESSFUL"
    # Nobody is there to run them: one healthy task is the least that a success takes.
    ecs.update_service(**service, desiredCount=2, forceNewDeployment=True)
    deployment = newest(ecs, service)
    assert deployment["status"] == "IN_PROGRESS"
    ecs.update_service(**service, desiredCount=0)
    deployment = newest(ecs, service)
    assert deployment["status"] == "SUCCESSFUL"
    target = deployment["targetServiceRevision"]
    assert (target["requestedTaskCount"], target["runningTaskCount"]) == (0, 0)
    listed = ecs.list_service_deployments(**service, status=["SUCCESSFUL"])["serviceDeployments"]
    assert [one["status"] for one in listed] == ["SUCCESSFUL"] * 2
    changed = ecs.update_service(**service, deploymentConfiguration={
        "earlySuccessCriteria": {"enable": False}})["service"]["deploymentConfiguration"]
    assert changed["earlySuccessCriteria"] == {"enable": False}
    assert changed["minimumHealthyPercent"] == 50

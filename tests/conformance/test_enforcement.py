"""What a policy says is what happens: allowed, denied, by condition, by boundary, by group."""

import json

import pytest

from wharf_server import ACCOUNT, REGION

ARN = f"arn:aws:iam::{ACCOUNT}:"
ECS = f"arn:aws:ecs:{REGION}:{ACCOUNT}:"


def statement(action, resource="*", effect="Allow", **more):
    return {"Effect": effect, "Action": action, "Resource": resource} | more


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


class Person:
    """A user with a key, whose permissions a test sets."""

    def __init__(self, server, iam, name):
        self.server, self.iam, self.name = server, iam, name
        iam.create_user(UserName=name)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        self.key = key["AccessKeyId"], key["SecretAccessKey"]
        self.arn = f"{ARN}user/{name}"

    def may(self, *statements):
        self.iam.put_user_policy(
            UserName=self.name, PolicyName="may", PolicyDocument=document(*statements)
        )
        return self

    def client(self, service, region=REGION):
        return self.server.client(service, *self.key, region=region)

    @property
    def ecs(self):
        return self.client("ecs")


@pytest.fixture
def person(server, iam, name):
    return Person(server, iam, name)


def text(person, action, resource, because="no identity-based policy allows the {} action"):
    return (f"User: {person.arn} is not authorized to perform: {action} on resource: {resource} "
            f"because {because.format(action)}")


def test_nothing_is_allowed_at_first(person, refused):
    with refused("AccessDeniedException", text(person, "ecs:ListClusters", "*"), 400):
        person.ecs.list_clusters()
    with refused("AccessDenied", text(person, "iam:ListUsers", f"{ARN}user/"), 403):
        person.client("iam").list_users()
    # AWS: anyone with a key may ask who they are.
    assert person.client("sts").get_caller_identity()["Arn"] == person.arn


def test_a_refusal_does_nothing(person, ecs, name, refused):
    # AWS: the permission is asked on the cluster that is to be.
    arn = f"{ECS}cluster/{name}"
    with refused("AccessDeniedException", text(person, "ecs:CreateCluster", arn)):
        person.ecs.create_cluster(clusterName=name)
    assert ecs.describe_clusters(clusters=[name])["clusters"] == []


def test_by_action_and_resource(person, ecs, name, refused):
    for letter in "ab":
        ecs.create_cluster(clusterName=f"{name}-{letter}")
    person.may(statement(["ecs:Describe*", "ecs:DeleteCluster"], f"{ECS}cluster/{name}-a"))
    assert person.ecs.describe_clusters(clusters=[f"{name}-a"])["clusters"]
    with refused("AccessDeniedException"):
        person.ecs.describe_clusters(clusters=[f"{name}-a", f"{name}-b"])
    with refused("AccessDeniedException",
                 text(person, "ecs:DeleteCluster", f"{ECS}cluster/{name}-b")):
        person.ecs.delete_cluster(cluster=f"{name}-b")
    person.ecs.delete_cluster(cluster=f"{name}-a")


def test_an_explicit_deny_wins(person, refused):
    person.may(statement("*"), statement("ecs:List*", effect="Deny"))
    with refused("AccessDeniedException", (
        f"User: {person.arn} is not authorized to perform: ecs:ListClusters on resource: * with an "
        "explicit deny in an identity-based policy"
    ), 400):
        person.ecs.list_clusters()
    person.ecs.describe_clusters(clusters=["any"])


def test_not_action_and_not_resource(person, name, refused):
    person.may({"Effect": "Allow", "NotAction": "ecs:Delete*", "NotResource":
                f"{ECS}cluster/secret-*"})
    person.ecs.create_cluster(clusterName=name)
    with refused("AccessDeniedException"):
        person.ecs.describe_clusters(clusters=["secret-1"])
    with refused("AccessDeniedException"):
        person.ecs.delete_cluster(cluster=name)


def test_request_tags(person, name, refused):
    person.may(
        statement("ecs:CreateCluster", Condition={
            "StringEquals": {"aws:RequestTag/team": "blue"},
            "ForAllValues:StringEquals": {"aws:TagKeys": ["team", "cost"]},
        }),
        statement("ecs:TagResource"),
    )
    blue = {"key": "team", "value": "blue"}
    person.ecs.create_cluster(clusterName=name, tags=[blue])
    for tags in ([], [{"key": "team", "value": "red"}], [blue, {"key": "other", "value": ""}]):
        with refused("AccessDeniedException"):
            person.ecs.create_cluster(clusterName=name + "-2", tags=tags)


def test_tagging_at_creation_is_a_permission_of_its_own(person, name, refused):
    person.may(statement("ecs:CreateCluster"))
    person.ecs.create_cluster(clusterName=name)
    with refused("AccessDeniedException",
                 lambda told: "ecs:TagResource" in told):
        person.ecs.create_cluster(clusterName=name + "-2", tags=[{"key": "a", "value": "b"}])


@pytest.mark.parametrize("service", ["aws", "ecs"])
def test_resource_tags(person, ecs, name, refused, service):
    ecs.create_cluster(clusterName=name + "-mine", tags=[{"key": "owner", "value": person.name}])
    ecs.create_cluster(clusterName=name + "-theirs", tags=[{"key": "owner", "value": "else"}])
    person.may(statement("ecs:DeleteCluster", Condition={
        "StringEquals": {f"{service}:ResourceTag/owner": "${aws:username}"}
    }))
    with refused("AccessDeniedException"):
        person.ecs.delete_cluster(cluster=name + "-theirs")
    person.ecs.delete_cluster(cluster=name + "-mine")


def test_conditions_on_a_role_and_its_boundary(person, iam, name, refused):
    trust = document({"Effect": "Allow", "Action": "sts:AssumeRole",
                      "Principal": {"Service": "ecs-tasks.amazonaws.com"}})
    bound = "arn:aws:iam::aws:policy/PowerUserAccess"
    owned = [{"Key": "team", "Value": "blue"}]
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, PermissionsBoundary=bound)
    iam.create_role(RoleName=name + "-tagged", AssumeRolePolicyDocument=trust, Tags=owned)
    person.may(
        statement("iam:GetRole", Condition={"ArnEquals": {"iam:PermissionsBoundary": bound}}),
        statement("iam:PutRolePolicy",
                  Condition={"StringEquals": {"iam:ResourceTag/team": "blue"}}),
    )
    mine = person.client("iam")
    mine.get_role(RoleName=name)
    with refused("AccessDenied", status=403):
        mine.get_role(RoleName=name + "-tagged")
    grants = {"PolicyName": "p", "PolicyDocument": document(statement("ecs:List*"))}
    mine.put_role_policy(RoleName=name + "-tagged", **grants)
    with refused("AccessDenied", status=403):
        mine.put_role_policy(RoleName=name, **grants)


def test_only_users_and_roles_have_tags_under_iams_own_key(person, iam, name, refused):
    tags = [{"Key": "team", "Value": "blue"}]
    arn = iam.create_policy(
        PolicyName=name, PolicyDocument=document(statement("*")), Tags=tags)["Policy"]["Arn"]
    blue = {"StringEquals": {"iam:ResourceTag/team": "blue"}}
    person.may(statement("iam:GetPolicy", Condition=blue))
    with refused("AccessDenied", status=403):
        person.client("iam").get_policy(PolicyArn=arn)
    blue = {"StringEquals": {"aws:ResourceTag/team": "blue"}}
    person.may(statement("iam:GetPolicy", Condition=blue))
    person.client("iam").get_policy(PolicyArn=arn)


def test_source_address(person, refused):
    def here(cidr):
        return statement("ecs:ListClusters", Condition={"IpAddress": {"aws:SourceIp": cidr}})

    person.may(here(["10.0.0.0/8", "127.0.0.0/8"]))
    person.ecs.list_clusters()
    person.may(here("10.0.0.0/8"))
    with refused("AccessDeniedException"):
        person.ecs.list_clusters()


def test_region(person, refused):
    person.may(statement("ecs:*", Condition={
        "StringEquals": {"aws:RequestedRegion": ["eu-west-1"]}
    }))
    person.client("ecs", region="eu-west-1").list_clusters()
    with refused("AccessDeniedException"):
        person.ecs.list_clusters()


def test_time_and_transport(person, refused):
    person.may(statement("ecs:ListClusters", Condition={
        "DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"},
        "Bool": {"aws:SecureTransport": "false"},
    }))
    person.ecs.list_clusters()
    person.may(statement("ecs:ListClusters", Condition={
        "DateLessThan": {"aws:EpochTime": "1577836800"}
    }))
    with refused("AccessDeniedException"):
        person.ecs.list_clusters()


def test_ecs_cluster_condition(person, ecs, name, refused):
    arn = ecs.create_cluster(clusterName=name)["cluster"]["clusterArn"]
    person.may(statement("ecs:PutAttributes", Condition={"ArnEquals": {"ecs:cluster": arn}}))
    attribute = {"name": "a", "value": "b", "targetType": "container-instance",
                 "targetId": "0123456789abcdef0123456789abcdef"}
    with refused("TargetNotFoundException"):
        person.ecs.put_attributes(cluster=name, attributes=[attribute])
    with refused("AccessDeniedException"):
        person.ecs.put_attributes(cluster="other", attributes=[attribute])


def test_boundary(person, iam, name, refused):
    person.may(statement("*"))
    arn = iam.create_policy(
        PolicyName=name, PolicyDocument=document(statement("ecs:List*"))
    )["Policy"]["Arn"]
    iam.put_user_permissions_boundary(UserName=person.name, PermissionsBoundary=arn)
    person.ecs.list_clusters()
    with refused("AccessDeniedException", lambda told: told.endswith(
        "because no permissions boundary allows the ecs:CreateCluster action"
    )):
        person.ecs.create_cluster(clusterName=name)
    iam.delete_user_permissions_boundary(UserName=person.name)
    person.ecs.create_cluster(clusterName=name)


def test_a_boundary_grants_nothing(person, iam, name, refused):
    arn = iam.create_policy(
        PolicyName=name, PolicyDocument=document(statement("*"))
    )["Policy"]["Arn"]
    iam.put_user_permissions_boundary(UserName=person.name, PermissionsBoundary=arn)
    with refused("AccessDeniedException"):
        person.ecs.list_clusters()


def test_groups_and_managed_policies(person, iam, name, refused):
    iam.create_group(GroupName=name)
    iam.add_user_to_group(GroupName=name, UserName=person.name)
    with refused("AccessDeniedException"):
        person.ecs.list_clusters()
    iam.attach_group_policy(
        GroupName=name, PolicyArn="arn:aws:iam::aws:policy/AmazonECS_FullAccess"
    )
    person.ecs.create_cluster(clusterName=name)
    with refused("AccessDenied", status=403):
        person.client("iam").create_user(UserName=name + "-2")
    iam.remove_user_from_group(GroupName=name, UserName=person.name)
    with refused("AccessDeniedException"):
        person.ecs.list_clusters()
    iam.put_group_policy(GroupName=name, PolicyName="p",
                         PolicyDocument=document(statement("ecs:List*")))
    iam.add_user_to_group(GroupName=name, UserName=person.name)
    person.ecs.list_clusters()


def test_a_policys_default_version_counts(person, iam, name, refused):
    arn = iam.create_policy(
        PolicyName=name, PolicyDocument=document(statement("ecs:List*"))
    )["Policy"]["Arn"]
    iam.attach_user_policy(UserName=person.name, PolicyArn=arn)
    person.ecs.list_clusters()
    iam.create_policy_version(
        PolicyArn=arn, PolicyDocument=document(statement("iam:List*")), SetAsDefault=True
    )
    with refused("AccessDeniedException"):
        person.ecs.list_clusters()
    person.client("iam").list_users()
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    person.ecs.list_clusters()


def test_read_only(person, iam, name, refused):
    iam.attach_user_policy(
        UserName=person.name, PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess"
    )
    person.ecs.list_clusters()
    person.client("iam").list_roles()
    with refused("AccessDeniedException"):
        person.ecs.create_cluster(clusterName=name)


def test_passing_a_role_is_a_permission(person, iam, name, refused):
    iam.create_role(RoleName=name + "-r", AssumeRolePolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"},
            "Action": "sts:AssumeRole"}]}))
    arn = f"{ARN}role/{name}-r"
    person.may(statement("ecs:*"))
    given = dict(family=name, taskRoleArn=arn,
                 containerDefinitions=[{"name": "a", "image": "b", "memory": 8}])
    with refused("AccessDeniedException",
                 lambda told: "iam:PassRole" in told and arn in told):
        person.ecs.register_task_definition(**given)
    person.may(statement("ecs:*"), statement("iam:PassRole", arn, Condition={
        "StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
    }))
    person.ecs.register_task_definition(**given)


def test_own_keys_by_variable(person, refused):
    person.may(statement("iam:*AccessKey*", f"{ARN}user/${{aws:username}}"))
    mine = person.client("iam").list_access_keys(UserName=person.name)["AccessKeyMetadata"]
    assert len(mine) == 1
    with refused("AccessDenied", status=403):
        person.client("iam").list_access_keys(UserName="someone-else")


def test_existence_is_not_told(person, refused):
    """Before permission, a thing that exists and one that does not get the same answer."""
    iam = person.client("iam")
    texts = []
    for which in (person.name, "no-such-user"):
        with refused("AccessDenied", status=403) as told:
            iam.get_user(UserName=which)
        texts.append(told.response["Error"]["Message"].replace(which, "X"))
    # The person's own name also stands at the head of the text.
    assert texts[0].split(" is not ")[1] == texts[1].split(" is not ")[1]

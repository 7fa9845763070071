//! Policies for ECS: the roles of hosts, tasks and the service, and its users.

use super::{GRANT, Grant, ManagedPolicy};

pub(super) const POLICIES: &[ManagedPolicy] = &[
    ManagedPolicy {
        name: "AmazonEC2ContainerServiceforEC2Role",
        path: "/service-role/",
        version: 10,
        created: "2015-03-19T18:45:18Z",
        updated: "2026-02-12T17:59:52Z",
        description: "What the ECS agent on a host needs: register, poll, pull images, write logs.",
        grants: &[
            Grant {
                actions: &[
                    "ec2:DescribeTags",
                    "ecr:BatchCheckLayerAvailability",
                    "ecr:BatchGetImage",
                    "ecr:GetAuthorizationToken",
                    "ecr:GetDownloadUrlForLayer",
                    "ecs:CreateCluster",
                    "ecs:DeregisterContainerInstance",
                    "ecs:DiscoverPollEndpoint",
                    "ecs:Poll",
                    "ecs:RegisterContainerInstance",
                    "ecs:StartTelemetrySession",
                    "ecs:Submit*",
                    "ecs:UpdateContainerInstancesState",
                    "logs:CreateLogStream",
                    "logs:PutLogEvents",
                ],
                ..GRANT
            },
            Grant {
                actions: &["ecs:TagResource"],
                when: &[(
                    "StringEquals",
                    "ecs:CreateAction",
                    &["CreateCluster", "RegisterContainerInstance"],
                )],
                ..GRANT
            },
            Grant {
                actions: &["ecs:ListTagsForResource"],
                resources: &["arn:aws:ecs:*:*:task/*/*", "arn:aws:ecs:*:*:container-instance/*/*"],
                ..GRANT
            },
        ],
    },
    ManagedPolicy {
        name: "AmazonEC2ContainerServiceRole",
        path: "/service-role/",
        version: 2,
        created: "2015-04-09T16:14:19Z",
        updated: "2016-08-11T13:08:01Z",
        description: "Lets ECS register targets with load balancers on the caller's behalf.",
        grants: &[Grant {
            actions: &[
                "ec2:AuthorizeSecurityGroupIngress",
                "ec2:Describe*",
                "elasticloadbalancing:DeregisterInstancesFromLoadBalancer",
                "elasticloadbalancing:DeregisterTargets",
                "elasticloadbalancing:Describe*",
                "elasticloadbalancing:RegisterInstancesWithLoadBalancer",
                "elasticloadbalancing:RegisterTargets",
            ],
            ..GRANT
        }],
    },
    ManagedPolicy {
        name: "AmazonEC2ContainerServiceAutoscaleRole",
        path: "/service-role/",
        version: 2,
        created: "2016-05-12T23:25:44Z",
        updated: "2018-02-05T19:15:15Z",
        description: "Lets Application Auto Scaling change the task count of a service.",
        grants: &[
            Grant { actions: &["ecs:DescribeServices", "ecs:UpdateService"], ..GRANT },
            Grant { actions: &["cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm"], ..GRANT },
        ],
    },
    ManagedPolicy {
        name: "AmazonEC2ContainerServiceEventsRole",
        path: "/service-role/",
        version: 3,
        created: "2017-05-30T16:51:35Z",
        updated: "2023-03-06T22:25:12Z",
        description: "Lets event rules start tasks.",
        grants: &[
            Grant { actions: &["ecs:RunTask"], ..GRANT },
            Grant {
                actions: &["iam:PassRole"],
                when: &[("StringLike", "iam:PassedToService", &["ecs-tasks.amazonaws.com"])],
                ..GRANT
            },
            Grant {
                actions: &["ecs:TagResource"],
                when: &[("StringEquals", "ecs:CreateAction", &["RunTask"])],
                ..GRANT
            },
        ],
    },
    ManagedPolicy {
        name: "AmazonECSTaskExecutionRolePolicy",
        path: "/service-role/",
        version: 1,
        created: "2017-11-16T18:48:22Z",
        updated: "2017-11-16T18:48:22Z",
        description: "What starting a task needs: pull its images and write its logs.",
        grants: &[Grant {
            actions: &[
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:GetAuthorizationToken",
                "ecr:GetDownloadUrlForLayer",
                "logs:CreateLogStream",
                "logs:PutLogEvents",
            ],
            ..GRANT
        }],
    },
    ManagedPolicy {
        name: "AmazonECS_FullAccess",
        path: "/",
        version: 21,
        created: "2017-11-07T21:36:54Z",
        updated: "2024-08-13T19:39:37Z",
        description: "Everything in ECS, and what it uses of other services.",
        grants: &[
            Grant {
                actions: &[
                    "application-autoscaling:DeleteScalingPolicy",
                    "application-autoscaling:DeregisterScalableTarget",
                    "application-autoscaling:DescribeScalableTargets",
                    "application-autoscaling:DescribeScalingActivities",
                    "application-autoscaling:DescribeScalingPolicies",
                    "application-autoscaling:PutScalingPolicy",
                    "application-autoscaling:RegisterScalableTarget",
                    "appmesh:DescribeVirtualGateway",
                    "appmesh:DescribeVirtualNode",
                    "appmesh:ListMeshes",
                    "appmesh:ListVirtualGateways",
                    "appmesh:ListVirtualNodes",
                    "autoscaling:CreateAutoScalingGroup",
                    "autoscaling:CreateLaunchConfiguration",
                    "autoscaling:DeleteAutoScalingGroup",
                    "autoscaling:DeleteLaunchConfiguration",
                    "autoscaling:Describe*",
                    "autoscaling:UpdateAutoScalingGroup",
                    "cloudformation:CreateStack",
                    "cloudformation:DeleteStack",
                    "cloudformation:DescribeStack*",
                    "cloudformation:UpdateStack",
                    "cloudwatch:DeleteAlarms",
                    "cloudwatch:DescribeAlarms",
                    "cloudwatch:GetMetricStatistics",
                    "cloudwatch:PutMetricAlarm",
                    "codedeploy:BatchGetApplicationRevisions",
                    "codedeploy:BatchGetApplications",
                    "codedeploy:BatchGetDeploymentGroups",
                    "codedeploy:BatchGetDeployments",
                    "codedeploy:ContinueDeployment",
                    "codedeploy:CreateApplication",
                    "codedeploy:CreateDeployment",
                    "codedeploy:CreateDeploymentGroup",
                    "codedeploy:GetApplication",
                    "codedeploy:GetApplicationRevision",
                    "codedeploy:GetDeployment",
                    "codedeploy:GetDeploymentConfig",
                    "codedeploy:GetDeploymentGroup",
                    "codedeploy:GetDeploymentTarget",
                    "codedeploy:ListApplicationRevisions",
                    "codedeploy:ListApplications",
                    "codedeploy:ListDeploymentConfigs",
                    "codedeploy:ListDeploymentGroups",
                    "codedeploy:ListDeploymentTargets",
                    "codedeploy:ListDeployments",
                    "codedeploy:RegisterApplicationRevision",
                    "codedeploy:StopDeployment",
                    "ec2:AssociateRouteTable",
                    "ec2:AttachInternetGateway",
                    "ec2:AuthorizeSecurityGroupIngress",
                    "ec2:CancelSpotFleetRequests",
                    "ec2:CreateInternetGateway",
                    "ec2:CreateLaunchTemplate",
                    "ec2:CreateRoute",
                    "ec2:CreateRouteTable",
                    "ec2:CreateSecurityGroup",
                    "ec2:CreateSubnet",
                    "ec2:CreateVpc",
                    "ec2:DeleteLaunchTemplate",
                    "ec2:DeleteSubnet",
                    "ec2:DeleteVpc",
                    "ec2:Describe*",
                    "ec2:DetachInternetGateway",
                    "ec2:DisassociateRouteTable",
                    "ec2:ModifySubnetAttribute",
                    "ec2:ModifyVpcAttribute",
                    "ec2:RequestSpotFleet",
                    "ec2:RunInstances",
                    "ecs:*",
                    "elasticfilesystem:DescribeAccessPoints",
                    "elasticfilesystem:DescribeFileSystems",
                    "elasticloadbalancing:CreateListener",
                    "elasticloadbalancing:CreateLoadBalancer",
                    "elasticloadbalancing:CreateRule",
                    "elasticloadbalancing:CreateTargetGroup",
                    "elasticloadbalancing:DeleteListener",
                    "elasticloadbalancing:DeleteLoadBalancer",
                    "elasticloadbalancing:DeleteRule",
                    "elasticloadbalancing:DeleteTargetGroup",
                    "elasticloadbalancing:DescribeListeners",
                    "elasticloadbalancing:DescribeLoadBalancers",
                    "elasticloadbalancing:DescribeRules",
                    "elasticloadbalancing:DescribeTargetGroups",
                    "events:DeleteRule",
                    "events:DescribeRule",
                    "events:ListRuleNamesByTarget",
                    "events:ListTargetsByRule",
                    "events:PutRule",
                    "events:PutTargets",
                    "events:RemoveTargets",
                    "fsx:DescribeFileSystems",
                    "iam:ListAttachedRolePolicies",
                    "iam:ListInstanceProfiles",
                    "iam:ListRoles",
                    "lambda:ListFunctions",
                    "logs:CreateLogGroup",
                    "logs:DescribeLogGroups",
                    "logs:FilterLogEvents",
                    "route53:CreateHostedZone",
                    "route53:DeleteHostedZone",
                    "route53:GetHealthCheck",
                    "route53:GetHostedZone",
                    "route53:ListHostedZonesByName",
                    "servicediscovery:CreatePrivateDnsNamespace",
                    "servicediscovery:CreateService",
                    "servicediscovery:DeleteService",
                    "servicediscovery:GetNamespace",
                    "servicediscovery:GetOperation",
                    "servicediscovery:GetService",
                    "servicediscovery:ListNamespaces",
                    "servicediscovery:ListServices",
                    "servicediscovery:UpdateService",
                    "sns:ListTopics",
                ],
                ..GRANT
            },
            Grant {
                actions: &["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"],
                resources: &["arn:aws:ssm:*:*:parameter/aws/service/ecs*"],
                ..GRANT
            },
            Grant {
                actions: &[
                    "ec2:DeleteInternetGateway",
                    "ec2:DeleteRoute",
                    "ec2:DeleteRouteTable",
                    "ec2:DeleteSecurityGroup",
                ],
                when: &[(
                    "StringLike",
                    "ec2:ResourceTag/aws:cloudformation:stack-name",
                    &["EC2ContainerService-*"],
                )],
                ..GRANT
            },
            Grant {
                actions: &["iam:PassRole"],
                when: &[("StringLike", "iam:PassedToService", &["ecs-tasks.amazonaws.com"])],
                ..GRANT
            },
            Grant {
                actions: &["iam:PassRole"],
                resources: &["arn:aws:iam::*:role/ecsInfrastructureRole"],
                when: &[("StringEquals", "iam:PassedToService", &["ecs.amazonaws.com"])],
                ..GRANT
            },
            Grant {
                actions: &["iam:PassRole"],
                resources: &["arn:aws:iam::*:role/ecsInstanceRole*"],
                when: &[(
                    "StringLike",
                    "iam:PassedToService",
                    &["ec2.amazonaws.com", "ec2.amazonaws.com.cn"],
                )],
                ..GRANT
            },
            Grant {
                actions: &["iam:PassRole"],
                resources: &["arn:aws:iam::*:role/ecsAutoscaleRole*"],
                when: &[(
                    "StringLike",
                    "iam:PassedToService",
                    &[
                        "application-autoscaling.amazonaws.com",
                        "application-autoscaling.amazonaws.com.cn",
                    ],
                )],
                ..GRANT
            },
            Grant {
                actions: &["iam:CreateServiceLinkedRole"],
                when: &[(
                    "StringLike",
                    "iam:AWSServiceName",
                    &[
                        "ecs.amazonaws.com",
                        "autoscaling.amazonaws.com",
                        "ecs.application-autoscaling.amazonaws.com",
                        "spot.amazonaws.com",
                        "spotfleet.amazonaws.com",
                    ],
                )],
                ..GRANT
            },
            Grant {
                actions: &["elasticloadbalancing:AddTags"],
                when: &[(
                    "StringEquals",
                    "elasticloadbalancing:CreateAction",
                    &["CreateTargetGroup", "CreateRule", "CreateListener", "CreateLoadBalancer"],
                )],
                ..GRANT
            },
        ],
    },
    ManagedPolicy {
        name: "AmazonECSInfrastructureRolePolicyForVolumes",
        path: "/service-role/",
        version: 5,
        created: "2024-01-10T22:56:41Z",
        updated: "2026-02-12T18:02:34Z",
        description: "Lets ECS manage block volumes for tasks.",
        grants: &[
            Grant {
                actions: &["ec2:CreateVolume"],
                resources: &["arn:aws:ec2:*:*:volume/*"],
                when: &[
                    ("ArnLike", "aws:RequestTag/AmazonECSCreated", &["arn:aws:ecs:*:*:task/*"]),
                    ("StringEquals", "aws:RequestTag/AmazonECSManaged", &["true"]),
                ],
                ..GRANT
            },
            Grant {
                actions: &["ec2:CreateVolume"],
                resources: &["arn:aws:ec2:*:*:snapshot/*"],
                ..GRANT
            },
            Grant {
                actions: &["ec2:CreateTags"],
                resources: &["arn:aws:ec2:*:*:volume/*"],
                when: &[
                    ("ArnLike", "aws:RequestTag/AmazonECSCreated", &["arn:aws:ecs:*:*:task/*"]),
                    ("StringEquals", "aws:RequestTag/AmazonECSManaged", &["true"]),
                    ("StringEquals", "ec2:CreateAction", &["CreateVolume"]),
                ],
                ..GRANT
            },
            Grant { actions: &["ec2:DescribeAvailabilityZones", "ec2:DescribeVolumes"], ..GRANT },
            Grant { actions: &["ec2:DescribeInstances"], ..GRANT },
            Grant {
                actions: &["ec2:AttachVolume", "ec2:DetachVolume"],
                resources: &["arn:aws:ec2:*:*:volume/*"],
                when: &[("StringEquals", "aws:ResourceTag/AmazonECSManaged", &["true"])],
                ..GRANT
            },
            Grant {
                actions: &["ec2:AttachVolume", "ec2:DetachVolume"],
                resources: &["arn:aws:ec2:*:*:instance/*"],
                ..GRANT
            },
            Grant {
                actions: &["ec2:DeleteVolume"],
                resources: &["arn:aws:ec2:*:*:volume/*"],
                when: &[
                    ("ArnLike", "aws:ResourceTag/AmazonECSCreated", &["arn:aws:ecs:*:*:task/*"]),
                    ("StringEquals", "aws:ResourceTag/AmazonECSManaged", &["true"]),
                ],
                ..GRANT
            },
        ],
    },
    ManagedPolicy {
        name: "AmazonECSInfrastructureRolePolicyForLoadBalancers",
        path: "/",
        version: 6,
        created: "2025-07-17T16:37:07Z",
        updated: "2026-02-12T18:01:05Z",
        description: "Lets ECS move traffic between target groups during deployments.",
        grants: &[
            Grant {
                actions: &[
                    "elasticloadbalancing:DescribeListeners",
                    "elasticloadbalancing:DescribeRules",
                    "elasticloadbalancing:DescribeTargetGroups",
                    "elasticloadbalancing:DescribeTargetHealth",
                ],
                ..GRANT
            },
            Grant {
                actions: &[
                    "elasticloadbalancing:DeregisterTargets",
                    "elasticloadbalancing:RegisterTargets",
                ],
                resources: &["arn:aws:elasticloadbalancing:*:*:targetgroup/*/*"],
                ..GRANT
            },
            Grant {
                actions: &["elasticloadbalancing:ModifyListener"],
                resources: &["arn:aws:elasticloadbalancing:*:*:listener/app/*/*/*"],
                ..GRANT
            },
            Grant {
                actions: &["elasticloadbalancing:ModifyListener"],
                resources: &["arn:aws:elasticloadbalancing:*:*:listener/net/*/*/*"],
                ..GRANT
            },
            Grant {
                actions: &["elasticloadbalancing:ModifyRule"],
                resources: &["arn:aws:elasticloadbalancing:*:*:listener-rule/app/*/*/*/*"],
                ..GRANT
            },
        ],
    },
    ManagedPolicy {
        name: "AmazonECSInfrastructureRolePolicyForServiceConnectTransportLayerSecurity",
        path: "/service-role/",
        version: 4,
        created: "2024-01-19T20:08:36Z",
        updated: "2026-02-12T18:02:05Z",
        description: "Lets ECS issue and keep certificates for Service Connect.",
        grants: &[
            Grant {
                actions: &["secretsmanager:CreateSecret"],
                resources: &["arn:aws:secretsmanager:*:*:secret:ecs-sc!*"],
                when: &[
                    (
                        "ArnLike",
                        "aws:RequestTag/AmazonECSCreated",
                        &["arn:aws:ecs:*:*:service/*/*", "arn:aws:ecs:*:*:task-set/*/*"],
                    ),
                    ("StringEquals", "aws:RequestTag/AmazonECSManaged", &["true"]),
                    ("StringEquals", "aws:ResourceAccount", &["${aws:PrincipalAccount}"]),
                ],
                ..GRANT
            },
            Grant {
                actions: &["secretsmanager:TagResource"],
                resources: &["arn:aws:secretsmanager:*:*:secret:ecs-sc!*"],
                when: &[
                    (
                        "ArnLike",
                        "aws:RequestTag/AmazonECSCreated",
                        &["arn:aws:ecs:*:*:service/*/*", "arn:aws:ecs:*:*:task-set/*/*"],
                    ),
                    ("StringEquals", "aws:RequestTag/AmazonECSManaged", &["true"]),
                    ("StringEquals", "aws:ResourceAccount", &["${aws:PrincipalAccount}"]),
                ],
                ..GRANT
            },
            Grant {
                actions: &[
                    "secretsmanager:DeleteSecret",
                    "secretsmanager:GetSecretValue",
                    "secretsmanager:PutSecretValue",
                    "secretsmanager:RotateSecret",
                    "secretsmanager:UpdateSecret",
                    "secretsmanager:UpdateSecretVersionStage",
                ],
                resources: &["arn:aws:secretsmanager:*:*:secret:ecs-sc!*"],
                when: &[
                    ("StringEquals", "aws:ResourceAccount", &["${aws:PrincipalAccount}"]),
                    (
                        "StringEquals",
                        "secretsmanager:ResourceTag/aws:secretsmanager:owningService",
                        &["ecs-sc"],
                    ),
                ],
                ..GRANT
            },
            Grant {
                actions: &["secretsmanager:DescribeSecret"],
                resources: &["arn:aws:secretsmanager:*:*:secret:ecs-sc!*"],
                when: &[("StringEquals", "aws:ResourceAccount", &["${aws:PrincipalAccount}"])],
                ..GRANT
            },
            Grant {
                actions: &[
                    "acm-pca:DescribeCertificateAuthority",
                    "acm-pca:GetCertificate",
                    "acm-pca:GetCertificateAuthorityCertificate",
                ],
                when: &[("StringEquals", "aws:ResourceTag/AmazonECSManaged", &["true"])],
                ..GRANT
            },
            Grant {
                actions: &["acm-pca:IssueCertificate"],
                when: &[
                    (
                        "StringEquals",
                        "acm-pca:TemplateArn",
                        &["arn:aws:acm-pca:::template/EndEntityCertificate/V1"],
                    ),
                    ("StringEquals", "aws:ResourceTag/AmazonECSManaged", &["true"]),
                ],
                ..GRANT
            },
        ],
    },
    ManagedPolicy {
        name: "AWSCodeDeployRoleForECS",
        path: "/",
        version: 3,
        created: "2018-11-27T20:40:57Z",
        updated: "2019-09-23T22:37:46Z",
        description: "Lets CodeDeploy run blue/green deployments of ECS services.",
        grants: &[
            Grant {
                actions: &[
                    "cloudwatch:DescribeAlarms",
                    "ecs:CreateTaskSet",
                    "ecs:DeleteTaskSet",
                    "ecs:DescribeServices",
                    "ecs:UpdateServicePrimaryTaskSet",
                    "elasticloadbalancing:DescribeListeners",
                    "elasticloadbalancing:DescribeRules",
                    "elasticloadbalancing:DescribeTargetGroups",
                    "elasticloadbalancing:ModifyListener",
                    "elasticloadbalancing:ModifyRule",
                    "lambda:InvokeFunction",
                    "s3:GetObject",
                    "s3:GetObjectVersion",
                    "sns:Publish",
                ],
                ..GRANT
            },
            Grant {
                actions: &["iam:PassRole"],
                when: &[("StringLike", "iam:PassedToService", &["ecs-tasks.amazonaws.com"])],
                ..GRANT
            },
        ],
    },
];

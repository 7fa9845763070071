//! Policies of the service-linked roles; only the service itself may attach them.

use super::{GRANT, Grant, ManagedPolicy};

pub(super) const POLICIES: &[ManagedPolicy] = &[
    ManagedPolicy {
        name: "AmazonECSServiceRolePolicy",
        path: "/aws-service-role/",
        version: 24,
        created: "2017-10-14T01:18:58Z",
        updated: "2026-04-22T23:12:09Z",
        description: "What ECS does in the account by itself: interfaces, targets, DNS, scaling.",
        grants: &[
            Grant {
                actions: &[
                    "ec2:AssociateTrunkInterface",
                    "ec2:AttachNetworkInterface",
                    "ec2:CreateNetworkInterface",
                    "ec2:CreateNetworkInterfacePermission",
                    "ec2:DeleteNetworkInterface",
                    "ec2:DeleteNetworkInterfacePermission",
                    "ec2:Describe*",
                    "ec2:DetachNetworkInterface",
                    "ec2:DisassociateTrunkInterface",
                    "elasticloadbalancing:DeregisterInstancesFromLoadBalancer",
                    "elasticloadbalancing:DeregisterTargets",
                    "elasticloadbalancing:Describe*",
                    "elasticloadbalancing:RegisterInstancesWithLoadBalancer",
                    "elasticloadbalancing:RegisterTargets",
                    "route53:ChangeResourceRecordSets",
                    "route53:CreateHealthCheck",
                    "route53:DeleteHealthCheck",
                    "route53:Get*",
                    "route53:List*",
                    "route53:UpdateHealthCheck",
                    "servicediscovery:DeregisterInstance",
                    "servicediscovery:Get*",
                    "servicediscovery:List*",
                    "servicediscovery:RegisterInstance",
                    "servicediscovery:UpdateInstanceCustomHealthStatus",
                ],
                ..GRANT
            },
            Grant { actions: &["autoscaling:Describe*"], ..GRANT },
            Grant {
                actions: &[
                    "autoscaling:CompleteLifecycleAction",
                    "autoscaling:DeleteLifecycleHook",
                    "autoscaling:DeletePolicy",
                    "autoscaling:PutLifecycleHook",
                    "autoscaling:PutScalingPolicy",
                    "autoscaling:RecordLifecycleActionHeartbeat",
                    "autoscaling:SetInstanceProtection",
                    "autoscaling:TerminateInstanceInAutoScalingGroup",
                    "autoscaling:UpdateAutoScalingGroup",
                ],
                when: &[("Null", "autoscaling:ResourceTag/AmazonECSManaged", &["false"])],
                ..GRANT
            },
            Grant {
                actions: &[
                    "autoscaling-plans:CreateScalingPlan",
                    "autoscaling-plans:DeleteScalingPlan",
                    "autoscaling-plans:DescribeScalingPlanResources",
                    "autoscaling-plans:DescribeScalingPlans",
                ],
                ..GRANT
            },
            Grant {
                actions: &["events:DescribeRule", "events:ListTargetsByRule"],
                resources: &["arn:aws:events:*:*:rule/ecs-managed-*"],
                ..GRANT
            },
            Grant {
                actions: &["events:PutRule", "events:PutTargets"],
                when: &[("StringEquals", "events:ManagedBy", &["ecs.amazonaws.com"])],
                ..GRANT
            },
            Grant {
                actions: &[
                    "cloudwatch:DeleteAlarms",
                    "cloudwatch:DescribeAlarms",
                    "cloudwatch:PutMetricAlarm",
                ],
                resources: &["arn:aws:cloudwatch:*:*:alarm:*"],
                ..GRANT
            },
            Grant {
                actions: &["ec2:CreateTags"],
                resources: &["arn:aws:ec2:*:*:network-interface/*"],
                ..GRANT
            },
            Grant {
                actions: &[
                    "logs:CreateLogGroup",
                    "logs:DescribeLogGroups",
                    "logs:PutRetentionPolicy",
                ],
                resources: &["arn:aws:logs:*:*:log-group:/aws/ecs/*"],
                ..GRANT
            },
            Grant {
                actions: &["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                resources: &["arn:aws:logs:*:*:log-group:/aws/ecs/*:log-stream:*"],
                ..GRANT
            },
            Grant { actions: &["ssm:DescribeSessions"], ..GRANT },
            Grant {
                actions: &["ssm:StartSession"],
                resources: &[
                    "arn:aws:ecs:*:*:task/*",
                    "arn:aws:ssm:*:*:document/AmazonECS-ExecuteInteractiveCommand",
                ],
                ..GRANT
            },
            Grant {
                actions: &["ssmmessages:OpenDataChannel"],
                resources: &["arn:aws:ssm:*:*:session/*"],
                when: &[("StringEquals", "aws:PrincipalAccount", &["${aws:ResourceAccount}"])],
                ..GRANT
            },
            Grant {
                actions: &[
                    "servicediscovery:CreateHttpNamespace",
                    "servicediscovery:CreateService",
                ],
                when: &[("ForAllValues:StringEquals", "aws:TagKeys", &["AmazonECSManaged"])],
                ..GRANT
            },
            Grant {
                actions: &["servicediscovery:TagResource"],
                when: &[("StringLike", "aws:RequestTag/AmazonECSManaged", &["*"])],
                ..GRANT
            },
            Grant {
                actions: &["servicediscovery:DeleteService"],
                when: &[("Null", "aws:ResourceTag/AmazonECSManaged", &["false"])],
                ..GRANT
            },
            Grant {
                actions: &[
                    "servicediscovery:DiscoverInstances",
                    "servicediscovery:DiscoverInstancesRevision",
                ],
                ..GRANT
            },
            Grant {
                actions: &["servicediscovery:UpdateServiceAttributes"],
                when: &[("Null", "aws:ResourceTag/AmazonECSManaged", &["false"])],
                ..GRANT
            },
            Grant { actions: &["ec2:DescribeInstanceEventWindows"], ..GRANT },
        ],
    },
    ManagedPolicy {
        name: "AutoScalingServiceRolePolicy",
        path: "/aws-service-role/",
        version: 10,
        created: "2018-01-08T23:10:55Z",
        updated: "2025-11-12T18:19:06Z",
        description: "What EC2 Auto Scaling does in the account by itself.",
        grants: &[
            Grant {
                actions: &[
                    "ec2:AttachClassicLinkVpc",
                    "ec2:CancelSpotInstanceRequests",
                    "ec2:CreateFleet",
                    "ec2:CreateReplaceRootVolumeTask",
                    "ec2:CreateTags",
                    "ec2:DeleteTags",
                    "ec2:Describe*",
                    "ec2:DetachClassicLinkVpc",
                    "ec2:GetInstanceTypesFromInstanceRequirements",
                    "ec2:GetSecurityGroupsForVpc",
                    "ec2:ModifyInstanceAttribute",
                    "ec2:RequestSpotInstances",
                    "ec2:RunInstances",
                    "ec2:StartInstances",
                    "ec2:StopInstances",
                    "ec2:TerminateInstances",
                ],
                ..GRANT
            },
            Grant {
                actions: &["iam:PassRole"],
                when: &[("StringLike", "iam:PassedToService", &["ec2.amazonaws.com*"])],
                ..GRANT
            },
            Grant {
                actions: &["iam:CreateServiceLinkedRole"],
                when: &[("StringEquals", "iam:AWSServiceName", &["spot.amazonaws.com"])],
                ..GRANT
            },
            Grant {
                actions: &[
                    "elasticloadbalancing:Deregister*",
                    "elasticloadbalancing:Describe*",
                    "elasticloadbalancing:Register*",
                ],
                ..GRANT
            },
            Grant {
                actions: &[
                    "cloudwatch:DeleteAlarms",
                    "cloudwatch:DescribeAlarms",
                    "cloudwatch:GetMetricData",
                    "cloudwatch:PutMetricAlarm",
                ],
                ..GRANT
            },
            Grant { actions: &["sns:Publish"], ..GRANT },
            Grant {
                actions: &[
                    "events:DeleteRule",
                    "events:PutRule",
                    "events:PutTargets",
                    "events:RemoveTargets",
                ],
                when: &[("StringEquals", "events:ManagedBy", &["autoscaling.amazonaws.com"])],
                ..GRANT
            },
            Grant { actions: &["ssm:GetParameters"], ..GRANT },
            Grant {
                actions: &[
                    "vpc-lattice:DeregisterTargets",
                    "vpc-lattice:GetTargetGroup",
                    "vpc-lattice:ListTargetGroups",
                    "vpc-lattice:ListTargets",
                    "vpc-lattice:RegisterTargets",
                ],
                ..GRANT
            },
            Grant {
                actions: &["resource-groups:ListGroupResources"],
                resources: &["arn:*:resource-groups:*:*:group/*"],
                ..GRANT
            },
        ],
    },
    ManagedPolicy {
        name: "AWSElasticLoadBalancingServiceRolePolicy",
        path: "/aws-service-role/",
        version: 14,
        created: "2017-09-19T22:19:04Z",
        updated: "2026-02-12T17:58:08Z",
        description: "What Elastic Load Balancing does in the account by itself.",
        grants: &[Grant {
            actions: &[
                "ec2:AllocateAddress",
                "ec2:AllocateIpamPoolCidr",
                "ec2:AssignIpv6Addresses",
                "ec2:AssignPrivateIpAddresses",
                "ec2:AssociateAddress",
                "ec2:AttachNetworkInterface",
                "ec2:AuthorizeSecurityGroupIngress",
                "ec2:CreateNetworkInterface",
                "ec2:CreateSecurityGroup",
                "ec2:DeleteNetworkInterface",
                "ec2:DescribeAccountAttributes",
                "ec2:DescribeAddresses",
                "ec2:DescribeAvailabilityZones",
                "ec2:DescribeClassicLinkInstances",
                "ec2:DescribeCoipPools",
                "ec2:DescribeInstances",
                "ec2:DescribeInternetGateways",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcClassicLink",
                "ec2:DescribeVpcPeeringConnections",
                "ec2:DescribeVpcs",
                "ec2:DetachNetworkInterface",
                "ec2:DisassociateAddress",
                "ec2:GetCoipPoolUsage",
                "ec2:GetSecurityGroupsForVpc",
                "ec2:ModifyNetworkInterfaceAttribute",
                "ec2:ReleaseAddress",
                "ec2:UnassignIpv6Addresses",
                "logs:CreateLogDelivery",
                "logs:DeleteLogDelivery",
                "logs:GetLogDelivery",
                "logs:ListLogDeliveries",
                "logs:UpdateLogDelivery",
                "outposts:GetOutpostInstanceTypes",
            ],
            ..GRANT
        }],
    },
    ManagedPolicy {
        name: "AWSApplicationAutoscalingECSServicePolicy",
        path: "/aws-service-role/",
        version: 2,
        created: "2017-10-25T23:53:08Z",
        updated: "2024-10-24T20:05:50Z",
        description: "What Application Auto Scaling does to ECS services by itself.",
        grants: &[Grant {
            actions: &[
                "cloudwatch:DeleteAlarms",
                "cloudwatch:DescribeAlarms",
                "cloudwatch:GetMetricData",
                "cloudwatch:PutMetricAlarm",
                "ecs:DescribeServices",
                "ecs:UpdateService",
            ],
            ..GRANT
        }],
    },
];

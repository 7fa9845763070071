//! Full and read-only access to the services around ECS.

use super::{GRANT, Grant, ManagedPolicy};

pub(super) const POLICIES: &[ManagedPolicy] = &[
    ManagedPolicy {
        name: "AmazonS3FullAccess",
        path: "/",
        version: 2,
        created: "2015-02-06T18:40:58Z",
        updated: "2021-09-27T20:16:37Z",
        description: "Every bucket and every object.",
        grants: &[Grant { actions: &["s3:*", "s3-object-lambda:*"], ..GRANT }],
    },
    ManagedPolicy {
        name: "AmazonS3ReadOnlyAccess",
        path: "/",
        version: 3,
        created: "2015-02-06T18:40:59Z",
        updated: "2023-08-10T21:31:39Z",
        description: "Read every bucket and every object.",
        grants: &[Grant {
            actions: &[
                "s3:Describe*",
                "s3:Get*",
                "s3:List*",
                "s3-object-lambda:Get*",
                "s3-object-lambda:List*",
            ],
            ..GRANT
        }],
    },
    ManagedPolicy {
        name: "CloudWatchFullAccess",
        path: "/",
        version: 4,
        created: "2015-02-06T18:40:00Z",
        updated: "2022-11-27T13:23:49Z",
        description: "Everything in CloudWatch, its logs and its notifications.",
        grants: &[
            Grant {
                actions: &[
                    "autoscaling:Describe*",
                    "cloudwatch:*",
                    "iam:GetPolicy",
                    "iam:GetPolicyVersion",
                    "iam:GetRole",
                    "logs:*",
                    "oam:ListSinks",
                    "sns:*",
                ],
                ..GRANT
            },
            Grant {
                actions: &["iam:CreateServiceLinkedRole"],
                resources: &[
                    "arn:aws:iam::*:role/aws-service-role/events.amazonaws.com/AWSServiceRoleForCloudWatchEvents*",
                ],
                when: &[("StringLike", "iam:AWSServiceName", &["events.amazonaws.com"])],
                ..GRANT
            },
            Grant {
                actions: &["oam:ListAttachedLinks"],
                resources: &["arn:aws:oam:*:*:sink/*"],
                ..GRANT
            },
        ],
    },
    ManagedPolicy {
        name: "CloudWatchLogsFullAccess",
        path: "/",
        version: 8,
        created: "2015-02-06T18:40:02Z",
        updated: "2026-02-12T18:00:33Z",
        description: "Everything in CloudWatch Logs.",
        grants: &[Grant {
            actions: &[
                "cloudwatch:GenerateQuery",
                "cloudwatch:GenerateQueryResultsSummary",
                "logs:*",
                "observabilityadmin:GetS3TableIntegration",
                "observabilityadmin:ListS3TableIntegrations",
                "observabilityadmin:ListTelemetryPipelines",
            ],
            ..GRANT
        }],
    },
    ManagedPolicy {
        name: "CloudWatchLogsReadOnlyAccess",
        path: "/",
        version: 12,
        created: "2015-02-06T18:40:03Z",
        updated: "2026-02-12T17:59:13Z",
        description: "Read and query every log group.",
        grants: &[Grant {
            actions: &[
                "cloudwatch:GenerateQuery",
                "cloudwatch:GenerateQueryResultsSummary",
                "logs:Describe*",
                "logs:FilterLogEvents",
                "logs:Get*",
                "logs:List*",
                "logs:StartLiveTail",
                "logs:StartQuery",
                "logs:StopLiveTail",
                "logs:StopQuery",
                "logs:TestMetricFilter",
                "observabilityadmin:GetS3TableIntegration",
                "observabilityadmin:ListS3TableIntegrations",
                "observabilityadmin:ListTelemetryPipelines",
            ],
            ..GRANT
        }],
    },
    ManagedPolicy {
        name: "ElasticLoadBalancingFullAccess",
        path: "/",
        version: 9,
        created: "2018-09-20T20:42:07Z",
        updated: "2026-02-23T18:57:07Z",
        description: "Everything about load balancers, and the network facts that they need.",
        grants: &[
            Grant { actions: &["elasticloadbalancing:*"], ..GRANT },
            Grant {
                actions: &[
                    "cognito-idp:DescribeUserPoolClient",
                    "ec2:DescribeAccountAttributes",
                    "ec2:DescribeAddresses",
                    "ec2:DescribeAvailabilityZones",
                    "ec2:DescribeClassicLinkInstances",
                    "ec2:DescribeCoipPools",
                    "ec2:DescribeInstances",
                    "ec2:DescribeInternetGateways",
                    "ec2:DescribeNetworkInterfaces",
                    "ec2:DescribeRouteTables",
                    "ec2:DescribeSecurityGroups",
                    "ec2:DescribeSubnets",
                    "ec2:DescribeVpcClassicLink",
                    "ec2:DescribeVpcPeeringConnections",
                    "ec2:DescribeVpcs",
                    "ec2:GetCoipPoolUsage",
                    "ec2:GetSecurityGroupsForVpc",
                ],
                ..GRANT
            },
            Grant {
                actions: &["iam:CreateServiceLinkedRole"],
                when: &[(
                    "StringEquals",
                    "iam:AWSServiceName",
                    &["elasticloadbalancing.amazonaws.com"],
                )],
                ..GRANT
            },
            Grant {
                actions: &["arc-zonal-shift:*"],
                resources: &["arn:aws:elasticloadbalancing:*:*:loadbalancer/*"],
                ..GRANT
            },
            Grant {
                actions: &[
                    "arc-zonal-shift:ListManagedResources",
                    "arc-zonal-shift:ListZonalShifts",
                ],
                ..GRANT
            },
        ],
    },
    ManagedPolicy {
        name: "ElasticLoadBalancingReadOnly",
        path: "/",
        version: 3,
        created: "2018-09-20T20:17:09Z",
        updated: "2023-11-26T18:15:46Z",
        description: "Look at every load balancer.",
        grants: &[
            Grant {
                actions: &["elasticloadbalancing:Describe*", "elasticloadbalancing:Get*"],
                ..GRANT
            },
            Grant {
                actions: &[
                    "ec2:DescribeClassicLinkInstances",
                    "ec2:DescribeInstances",
                    "ec2:DescribeSecurityGroups",
                ],
                ..GRANT
            },
            Grant {
                actions: &["arc-zonal-shift:GetManagedResource"],
                resources: &["arn:aws:elasticloadbalancing:*:*:loadbalancer/*"],
                ..GRANT
            },
            Grant {
                actions: &[
                    "arc-zonal-shift:ListManagedResources",
                    "arc-zonal-shift:ListZonalShifts",
                ],
                ..GRANT
            },
        ],
    },
    ManagedPolicy {
        name: "AutoScalingFullAccess",
        path: "/",
        version: 2,
        created: "2017-01-12T19:31:58Z",
        updated: "2018-02-06T21:59:13Z",
        description: "Everything about auto scaling groups.",
        grants: &[
            Grant { actions: &["autoscaling:*"], ..GRANT },
            Grant { actions: &["cloudwatch:PutMetricAlarm"], ..GRANT },
            Grant {
                actions: &[
                    "ec2:DescribeAccountAttributes",
                    "ec2:DescribeAvailabilityZones",
                    "ec2:DescribeImages",
                    "ec2:DescribeInstanceAttribute",
                    "ec2:DescribeInstances",
                    "ec2:DescribeKeyPairs",
                    "ec2:DescribeLaunchTemplateVersions",
                    "ec2:DescribePlacementGroups",
                    "ec2:DescribeSecurityGroups",
                    "ec2:DescribeSpotInstanceRequests",
                    "ec2:DescribeSubnets",
                    "ec2:DescribeVpcClassicLink",
                ],
                ..GRANT
            },
            Grant {
                actions: &[
                    "elasticloadbalancing:DescribeLoadBalancers",
                    "elasticloadbalancing:DescribeTargetGroups",
                ],
                ..GRANT
            },
            Grant {
                actions: &["iam:CreateServiceLinkedRole"],
                when: &[("StringEquals", "iam:AWSServiceName", &["autoscaling.amazonaws.com"])],
                ..GRANT
            },
        ],
    },
    ManagedPolicy {
        name: "AutoScalingReadOnlyAccess",
        path: "/",
        version: 1,
        created: "2017-01-12T19:39:35Z",
        updated: "2017-01-12T19:39:35Z",
        description: "Look at every auto scaling group.",
        grants: &[Grant { actions: &["autoscaling:Describe*"], ..GRANT }],
    },
    ManagedPolicy {
        name: "AmazonEC2FullAccess",
        path: "/",
        version: 5,
        created: "2015-02-06T18:40:15Z",
        updated: "2018-11-27T02:16:56Z",
        description: "Everything in EC2, load balancing, auto scaling and CloudWatch.",
        grants: &[
            Grant { actions: &["ec2:*"], ..GRANT },
            Grant { actions: &["elasticloadbalancing:*"], ..GRANT },
            Grant { actions: &["cloudwatch:*"], ..GRANT },
            Grant { actions: &["autoscaling:*"], ..GRANT },
            Grant {
                actions: &["iam:CreateServiceLinkedRole"],
                when: &[(
                    "StringEquals",
                    "iam:AWSServiceName",
                    &[
                        "autoscaling.amazonaws.com",
                        "ec2scheduled.amazonaws.com",
                        "elasticloadbalancing.amazonaws.com",
                        "spot.amazonaws.com",
                        "spotfleet.amazonaws.com",
                        "transitgateway.amazonaws.com",
                    ],
                )],
                ..GRANT
            },
        ],
    },
    ManagedPolicy {
        name: "AmazonEC2ReadOnlyAccess",
        path: "/",
        version: 5,
        created: "2015-02-06T18:40:17Z",
        updated: "2026-02-12T18:03:17Z",
        description: "Look at everything in EC2, load balancing and auto scaling.",
        grants: &[
            Grant { actions: &["ec2:Describe*", "ec2:GetSecurityGroupsForVpc"], ..GRANT },
            Grant { actions: &["elasticloadbalancing:Describe*"], ..GRANT },
            Grant {
                actions: &[
                    "cloudwatch:Describe*",
                    "cloudwatch:GetMetricStatistics",
                    "cloudwatch:ListMetrics",
                ],
                ..GRANT
            },
            Grant { actions: &["autoscaling:Describe*"], ..GRANT },
        ],
    },
    ManagedPolicy {
        name: "SecretsManagerReadWrite",
        path: "/",
        version: 5,
        created: "2018-04-04T18:05:29Z",
        updated: "2024-02-22T18:12:06Z",
        description: "Read, write and rotate every secret.",
        grants: &[
            Grant {
                actions: &[
                    "cloudformation:CreateChangeSet",
                    "cloudformation:DescribeChangeSet",
                    "cloudformation:DescribeStackResource",
                    "cloudformation:DescribeStacks",
                    "cloudformation:ExecuteChangeSet",
                    "docdb-elastic:GetCluster",
                    "docdb-elastic:ListClusters",
                    "ec2:DescribeSecurityGroups",
                    "ec2:DescribeSubnets",
                    "ec2:DescribeVpcs",
                    "kms:DescribeKey",
                    "kms:ListAliases",
                    "kms:ListKeys",
                    "lambda:ListFunctions",
                    "rds:DescribeDBClusters",
                    "rds:DescribeDBInstances",
                    "redshift:DescribeClusters",
                    "redshift-serverless:GetNamespace",
                    "redshift-serverless:ListWorkgroups",
                    "secretsmanager:*",
                    "tag:GetResources",
                ],
                ..GRANT
            },
            Grant {
                actions: &[
                    "lambda:AddPermission",
                    "lambda:CreateFunction",
                    "lambda:GetFunction",
                    "lambda:InvokeFunction",
                    "lambda:UpdateFunctionConfiguration",
                ],
                resources: &["arn:aws:lambda:*:*:function:SecretsManager*"],
                ..GRANT
            },
            Grant {
                actions: &[
                    "serverlessrepo:CreateCloudFormationChangeSet",
                    "serverlessrepo:GetApplication",
                ],
                resources: &["arn:aws:serverlessrepo:*:*:applications/SecretsManager*"],
                ..GRANT
            },
            Grant {
                actions: &["s3:GetObject"],
                resources: &[
                    "arn:aws:s3:::awsserverlessrepo-changesets*",
                    "arn:aws:s3:::secrets-manager-rotation-apps-*/*",
                ],
                ..GRANT
            },
        ],
    },
    ManagedPolicy {
        name: "AWSCloudMapFullAccess",
        path: "/",
        version: 2,
        created: "2018-11-28T23:57:31Z",
        updated: "2020-07-29T19:15:35Z",
        description: "Everything about service discovery.",
        grants: &[Grant {
            actions: &[
                "ec2:DescribeInstances",
                "ec2:DescribeRegions",
                "ec2:DescribeVpcs",
                "route53:ChangeResourceRecordSets",
                "route53:CreateHealthCheck",
                "route53:CreateHostedZone",
                "route53:DeleteHealthCheck",
                "route53:DeleteHostedZone",
                "route53:GetHealthCheck",
                "route53:GetHostedZone",
                "route53:ListHostedZonesByName",
                "route53:UpdateHealthCheck",
                "servicediscovery:*",
            ],
            ..GRANT
        }],
    },
];

//! Policies for hosts under Systems Manager and for those who run them.

use super::{GRANT, Grant, ManagedPolicy};

pub(super) const POLICIES: &[ManagedPolicy] = &[
    ManagedPolicy {
        name: "AmazonSSMManagedInstanceCore",
        path: "/",
        version: 2,
        created: "2019-03-15T17:22:12Z",
        updated: "2019-05-23T16:54:21Z",
        description: "What the Systems Manager agent on a host needs.",
        grants: &[
            Grant {
                actions: &[
                    "ssm:DescribeAssociation",
                    "ssm:DescribeDocument",
                    "ssm:GetDeployablePatchSnapshotForInstance",
                    "ssm:GetDocument",
                    "ssm:GetManifest",
                    "ssm:GetParameter",
                    "ssm:GetParameters",
                    "ssm:ListAssociations",
                    "ssm:ListInstanceAssociations",
                    "ssm:PutComplianceItems",
                    "ssm:PutConfigurePackageResult",
                    "ssm:PutInventory",
                    "ssm:UpdateAssociationStatus",
                    "ssm:UpdateInstanceAssociationStatus",
                    "ssm:UpdateInstanceInformation",
                ],
                ..GRANT
            },
            Grant {
                actions: &[
                    "ssmmessages:CreateControlChannel",
                    "ssmmessages:CreateDataChannel",
                    "ssmmessages:OpenControlChannel",
                    "ssmmessages:OpenDataChannel",
                ],
                ..GRANT
            },
            Grant {
                actions: &[
                    "ec2messages:AcknowledgeMessage",
                    "ec2messages:DeleteMessage",
                    "ec2messages:FailMessage",
                    "ec2messages:GetEndpoint",
                    "ec2messages:GetMessages",
                    "ec2messages:SendReply",
                ],
                ..GRANT
            },
        ],
    },
    ManagedPolicy {
        name: "AmazonSSMFullAccess",
        path: "/",
        version: 4,
        created: "2015-05-29T17:39:47Z",
        updated: "2019-11-20T20:08:56Z",
        description: "Everything in Systems Manager.",
        grants: &[
            Grant {
                actions: &[
                    "cloudwatch:PutMetricData",
                    "ds:CreateComputer",
                    "ds:DescribeDirectories",
                    "ec2:DescribeInstanceStatus",
                    "ec2messages:*",
                    "logs:*",
                    "ssm:*",
                ],
                ..GRANT
            },
            Grant {
                actions: &["iam:CreateServiceLinkedRole"],
                resources: &[
                    "arn:aws:iam::*:role/aws-service-role/ssm.amazonaws.com/AWSServiceRoleForAmazonSSM*",
                ],
                when: &[("StringLike", "iam:AWSServiceName", &["ssm.amazonaws.com"])],
                ..GRANT
            },
            Grant {
                actions: &["iam:DeleteServiceLinkedRole", "iam:GetServiceLinkedRoleDeletionStatus"],
                resources: &[
                    "arn:aws:iam::*:role/aws-service-role/ssm.amazonaws.com/AWSServiceRoleForAmazonSSM*",
                ],
                ..GRANT
            },
            Grant {
                actions: &[
                    "ssmmessages:CreateControlChannel",
                    "ssmmessages:CreateDataChannel",
                    "ssmmessages:OpenControlChannel",
                    "ssmmessages:OpenDataChannel",
                ],
                ..GRANT
            },
        ],
    },
    ManagedPolicy {
        name: "AmazonSSMReadOnlyAccess",
        path: "/",
        version: 1,
        created: "2015-05-29T17:44:19Z",
        updated: "2015-05-29T17:44:19Z",
        description: "Look at everything in Systems Manager.",
        grants: &[Grant { actions: &["ssm:Describe*", "ssm:Get*", "ssm:List*"], ..GRANT }],
    },
    ManagedPolicy {
        name: "AmazonEC2RoleforSSM",
        path: "/service-role/",
        version: 8,
        created: "2015-05-29T17:48:35Z",
        updated: "2019-01-24T19:20:51Z",
        description: "The older role of hosts under Systems Manager.",
        grants: &[
            Grant {
                actions: &[
                    "ssm:DescribeAssociation",
                    "ssm:DescribeDocument",
                    "ssm:GetDeployablePatchSnapshotForInstance",
                    "ssm:GetDocument",
                    "ssm:GetManifest",
                    "ssm:GetParameters",
                    "ssm:ListAssociations",
                    "ssm:ListInstanceAssociations",
                    "ssm:PutComplianceItems",
                    "ssm:PutConfigurePackageResult",
                    "ssm:PutInventory",
                    "ssm:UpdateAssociationStatus",
                    "ssm:UpdateInstanceAssociationStatus",
                    "ssm:UpdateInstanceInformation",
                ],
                ..GRANT
            },
            Grant {
                actions: &[
                    "ssmmessages:CreateControlChannel",
                    "ssmmessages:CreateDataChannel",
                    "ssmmessages:OpenControlChannel",
                    "ssmmessages:OpenDataChannel",
                ],
                ..GRANT
            },
            Grant {
                actions: &[
                    "ec2messages:AcknowledgeMessage",
                    "ec2messages:DeleteMessage",
                    "ec2messages:FailMessage",
                    "ec2messages:GetEndpoint",
                    "ec2messages:GetMessages",
                    "ec2messages:SendReply",
                ],
                ..GRANT
            },
            Grant { actions: &["cloudwatch:PutMetricData"], ..GRANT },
            Grant { actions: &["ec2:DescribeInstanceStatus"], ..GRANT },
            Grant { actions: &["ds:CreateComputer", "ds:DescribeDirectories"], ..GRANT },
            Grant {
                actions: &[
                    "logs:CreateLogGroup",
                    "logs:CreateLogStream",
                    "logs:DescribeLogGroups",
                    "logs:DescribeLogStreams",
                    "logs:PutLogEvents",
                ],
                ..GRANT
            },
            Grant {
                actions: &[
                    "s3:AbortMultipartUpload",
                    "s3:GetBucketLocation",
                    "s3:GetEncryptionConfiguration",
                    "s3:GetObject",
                    "s3:ListBucket",
                    "s3:ListBucketMultipartUploads",
                    "s3:ListMultipartUploadParts",
                    "s3:PutObject",
                ],
                ..GRANT
            },
        ],
    },
    ManagedPolicy {
        name: "CloudWatchAgentServerPolicy",
        path: "/",
        version: 3,
        created: "2018-03-07T01:06:44Z",
        updated: "2024-02-06T16:37:37Z",
        description: "What the CloudWatch agent on a host needs.",
        grants: &[
            Grant {
                actions: &[
                    "cloudwatch:PutMetricData",
                    "ec2:DescribeTags",
                    "ec2:DescribeVolumes",
                    "logs:CreateLogGroup",
                    "logs:CreateLogStream",
                    "logs:DescribeLogGroups",
                    "logs:DescribeLogStreams",
                    "logs:PutLogEvents",
                    "logs:PutRetentionPolicy",
                    "xray:GetSamplingRules",
                    "xray:GetSamplingStatisticSummaries",
                    "xray:GetSamplingTargets",
                    "xray:PutTelemetryRecords",
                    "xray:PutTraceSegments",
                ],
                ..GRANT
            },
            Grant {
                actions: &["ssm:GetParameter"],
                resources: &["arn:aws:ssm:*:*:parameter/AmazonCloudWatch-*"],
                ..GRANT
            },
        ],
    },
];

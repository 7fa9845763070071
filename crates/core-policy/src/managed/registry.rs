//! Policies for the image registry.

use super::{GRANT, Grant, ManagedPolicy};

pub(super) const POLICIES: &[ManagedPolicy] = &[
    ManagedPolicy {
        name: "AmazonEC2ContainerRegistryFullAccess",
        path: "/",
        version: 3,
        created: "2015-12-21T17:06:48Z",
        updated: "2020-12-05T00:04:19Z",
        description: "Everything in the image registry.",
        grants: &[
            Grant { actions: &["cloudtrail:LookupEvents", "ecr:*"], ..GRANT },
            Grant {
                actions: &["iam:CreateServiceLinkedRole"],
                when: &[("StringEquals", "iam:AWSServiceName", &["replication.ecr.amazonaws.com"])],
                ..GRANT
            },
        ],
    },
    ManagedPolicy {
        name: "AmazonEC2ContainerRegistryPowerUser",
        path: "/",
        version: 3,
        created: "2015-12-21T17:05:33Z",
        updated: "2019-12-10T20:48:08Z",
        description: "Pull and push images, without managing repositories.",
        grants: &[Grant {
            actions: &[
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:CompleteLayerUpload",
                "ecr:DescribeImageScanFindings",
                "ecr:DescribeImages",
                "ecr:DescribeRepositories",
                "ecr:GetAuthorizationToken",
                "ecr:GetDownloadUrlForLayer",
                "ecr:GetLifecyclePolicy",
                "ecr:GetLifecyclePolicyPreview",
                "ecr:GetRepositoryPolicy",
                "ecr:InitiateLayerUpload",
                "ecr:ListImages",
                "ecr:ListTagsForResource",
                "ecr:PutImage",
                "ecr:UploadLayerPart",
            ],
            ..GRANT
        }],
    },
    ManagedPolicy {
        name: "AmazonEC2ContainerRegistryReadOnly",
        path: "/",
        version: 3,
        created: "2015-12-21T17:04:15Z",
        updated: "2019-12-10T20:56:32Z",
        description: "Pull images and look at repositories.",
        grants: &[Grant {
            actions: &[
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:DescribeImageScanFindings",
                "ecr:DescribeImages",
                "ecr:DescribeRepositories",
                "ecr:GetAuthorizationToken",
                "ecr:GetDownloadUrlForLayer",
                "ecr:GetLifecyclePolicy",
                "ecr:GetLifecyclePolicyPreview",
                "ecr:GetRepositoryPolicy",
                "ecr:ListImages",
                "ecr:ListTagsForResource",
            ],
            ..GRANT
        }],
    },
    ManagedPolicy {
        name: "AmazonEC2ContainerRegistryPullOnly",
        path: "/",
        version: 1,
        created: "2024-10-04T16:58:49Z",
        updated: "2024-10-04T16:58:49Z",
        description: "Pull images, also through a pull-through cache.",
        grants: &[Grant {
            actions: &[
                "ecr:BatchGetImage",
                "ecr:BatchImportUpstreamImage",
                "ecr:GetAuthorizationToken",
                "ecr:GetDownloadUrlForLayer",
            ],
            ..GRANT
        }],
    },
];

//! Policies for whole accounts and for IAM itself.

use super::{GRANT, Grant, ManagedPolicy};

pub(super) const POLICIES: &[ManagedPolicy] = &[
    ManagedPolicy {
        name: "AdministratorAccess",
        path: "/",
        version: 1,
        created: "2015-02-06T18:39:46Z",
        updated: "2015-02-06T18:39:46Z",
        description: "Everything in every service.",
        grants: &[Grant { actions: &["*"], ..GRANT }],
    },
    ManagedPolicy {
        name: "PowerUserAccess",
        path: "/",
        version: 12,
        created: "2015-02-06T18:39:47Z",
        updated: "2026-02-12T17:59:14Z",
        description: "Everything except managing users, accounts and organizations.",
        grants: &[
            Grant { all_but: &["account:*", "iam:*", "organizations:*"], ..GRANT },
            Grant {
                actions: &[
                    "account:GetAccountInformation",
                    "account:GetGovCloudAccountInformation",
                    "account:GetPrimaryEmail",
                    "account:ListRegions",
                    "iam:CreateServiceLinkedRole",
                    "iam:DeleteServiceLinkedRole",
                    "iam:ListRoles",
                    "organizations:DescribeEffectivePolicy",
                    "organizations:DescribeOrganization",
                ],
                ..GRANT
            },
        ],
    },
    ManagedPolicy {
        name: "IAMFullAccess",
        path: "/",
        version: 2,
        created: "2015-02-06T18:40:38Z",
        updated: "2019-06-21T19:40:00Z",
        description: "Everything in IAM.",
        grants: &[Grant {
            actions: &[
                "iam:*",
                "organizations:DescribeAccount",
                "organizations:DescribeOrganization",
                "organizations:DescribeOrganizationalUnit",
                "organizations:DescribePolicy",
                "organizations:ListChildren",
                "organizations:ListParents",
                "organizations:ListPolicies",
                "organizations:ListPoliciesForTarget",
                "organizations:ListRoots",
                "organizations:ListTargetsForPolicy",
            ],
            ..GRANT
        }],
    },
    ManagedPolicy {
        name: "IAMReadOnlyAccess",
        path: "/",
        version: 4,
        created: "2015-02-06T18:40:39Z",
        updated: "2018-01-25T19:11:27Z",
        description: "Look at everything in IAM.",
        grants: &[Grant {
            actions: &[
                "iam:GenerateCredentialReport",
                "iam:GenerateServiceLastAccessedDetails",
                "iam:Get*",
                "iam:List*",
                "iam:SimulateCustomPolicy",
                "iam:SimulatePrincipalPolicy",
            ],
            ..GRANT
        }],
    },
    ManagedPolicy {
        name: "IAMUserChangePassword",
        path: "/",
        version: 5,
        created: "2016-11-15T00:25:16Z",
        updated: "2026-02-12T17:58:57Z",
        description: "Change one's own password.",
        grants: &[
            Grant {
                actions: &["iam:ChangePassword"],
                resources: &[
                    "arn:aws:iam::*:user/${aws:username}",
                    "arn:aws:iam::*:user/*/${aws:username}",
                ],
                ..GRANT
            },
            Grant { actions: &["iam:GetAccountPasswordPolicy"], ..GRANT },
        ],
    },
];

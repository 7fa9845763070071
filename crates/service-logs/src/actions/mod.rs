//! The list of actions: one file each.

use core_step::{Action, data_action, read_action, write_action};

mod associate_kms_key;
mod create_log_group;
mod create_log_stream;
mod delete_log_group;
mod delete_log_stream;
mod delete_retention_policy;
pub mod describe_log_groups;
pub mod describe_log_streams;
mod disassociate_kms_key;
pub mod filter_log_events;
pub mod get_log_events;
mod list_log_groups;
mod list_tags_for_resource;
mod list_tags_log_group;
pub mod put_log_events;
mod put_log_group_deletion_protection;
mod put_retention_policy;
pub mod start_live_tail;
mod tag_log_group;
mod tag_resource;
mod untag_log_group;
mod untag_resource;

pub const ACTIONS: &[Action] = &[
    write_action::<associate_kms_key::AssociateKmsKey>(),
    write_action::<create_log_group::CreateLogGroup>(),
    write_action::<create_log_stream::CreateLogStream>(),
    write_action::<delete_log_group::DeleteLogGroup>(),
    write_action::<delete_log_stream::DeleteLogStream>(),
    write_action::<delete_retention_policy::DeleteRetentionPolicy>(),
    data_action::<describe_log_groups::DescribeLogGroups>(),
    data_action::<describe_log_streams::DescribeLogStreams>(),
    write_action::<disassociate_kms_key::DisassociateKmsKey>(),
    data_action::<filter_log_events::FilterLogEvents>(),
    data_action::<get_log_events::GetLogEvents>(),
    read_action::<list_log_groups::ListLogGroups>(),
    read_action::<list_tags_for_resource::ListTagsForResource>(),
    read_action::<list_tags_log_group::ListTagsLogGroup>(),
    data_action::<put_log_events::PutLogEvents>(),
    write_action::<put_log_group_deletion_protection::PutLogGroupDeletionProtection>(),
    write_action::<put_retention_policy::PutRetentionPolicy>(),
    data_action::<start_live_tail::StartLiveTail>(),
    write_action::<tag_log_group::TagLogGroup>(),
    write_action::<tag_resource::TagResource>(),
    write_action::<untag_log_group::UntagLogGroup>(),
    write_action::<untag_resource::UntagResource>(),
];

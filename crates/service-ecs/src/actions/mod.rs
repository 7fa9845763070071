//! The list of actions: one file each.

use core_step::{Action, read_action, write_action};

mod continue_service_deployment;
mod create_capacity_provider;
mod create_cluster;
mod create_daemon;
mod create_service;
mod create_task_set;
mod delete_account_setting;
mod delete_attributes;
mod delete_capacity_provider;
mod delete_cluster;
mod delete_daemon;
mod delete_daemon_task_definition;
mod delete_service;
mod delete_task_definitions;
mod delete_task_set;
mod deregister_container_instance;
mod deregister_task_definition;
mod describe_capacity_providers;
mod describe_clusters;
mod describe_container_instances;
mod describe_daemon;
mod describe_daemon_deployments;
mod describe_daemon_revisions;
mod describe_daemon_task_definition;
mod describe_service_deployments;
mod describe_service_revisions;
mod describe_services;
mod describe_task_definition;
mod describe_task_sets;
mod describe_tasks;
mod discover_poll_endpoint;
mod execute_command;
mod get_task_protection;
mod list_account_settings;
mod list_attributes;
mod list_clusters;
mod list_container_instances;
mod list_daemon_deployments;
mod list_daemon_task_definitions;
mod list_daemons;
mod list_service_deployments;
mod list_services;
mod list_services_by_namespace;
mod list_tags_for_resource;
mod list_task_definition_families;
mod list_task_definitions;
mod list_tasks;
mod put_account_setting;
mod put_account_setting_default;
mod put_attributes;
mod put_cluster_capacity_providers;
mod register_container_instance;
mod register_daemon_task_definition;
mod register_task_definition;
mod run_task;
mod start_task;
mod stop_service_deployment;
mod stop_task;
mod submit_attachment_state_changes;
mod submit_container_state_change;
mod submit_task_state_change;
mod tag_resource;
mod untag_resource;
mod update_capacity_provider;
mod update_cluster;
mod update_cluster_settings;
mod update_container_agent;
mod update_container_instances_state;
mod update_daemon;
mod update_service;
mod update_service_primary_task_set;
mod update_task_protection;
mod update_task_set;

pub const ACTIONS: &[Action] = &[
    write_action::<continue_service_deployment::ContinueServiceDeployment>(),
    write_action::<create_capacity_provider::CreateCapacityProvider>(),
    write_action::<create_cluster::CreateCluster>(),
    write_action::<create_daemon::CreateDaemon>(),
    write_action::<create_service::CreateService>(),
    write_action::<create_task_set::CreateTaskSet>(),
    write_action::<delete_account_setting::DeleteAccountSetting>(),
    write_action::<delete_attributes::DeleteAttributes>(),
    write_action::<delete_capacity_provider::DeleteCapacityProvider>(),
    write_action::<delete_cluster::DeleteCluster>(),
    write_action::<delete_daemon::DeleteDaemon>(),
    write_action::<delete_daemon_task_definition::DeleteDaemonTaskDefinition>(),
    write_action::<delete_service::DeleteService>(),
    write_action::<delete_task_definitions::DeleteTaskDefinitions>(),
    write_action::<delete_task_set::DeleteTaskSet>(),
    write_action::<deregister_container_instance::DeregisterContainerInstance>(),
    write_action::<deregister_task_definition::DeregisterTaskDefinition>(),
    read_action::<describe_capacity_providers::DescribeCapacityProviders>(),
    read_action::<describe_clusters::DescribeClusters>(),
    read_action::<describe_container_instances::DescribeContainerInstances>(),
    read_action::<describe_daemon::DescribeDaemon>(),
    read_action::<describe_daemon_deployments::DescribeDaemonDeployments>(),
    read_action::<describe_daemon_revisions::DescribeDaemonRevisions>(),
    read_action::<describe_daemon_task_definition::DescribeDaemonTaskDefinition>(),
    read_action::<describe_service_deployments::DescribeServiceDeployments>(),
    read_action::<describe_service_revisions::DescribeServiceRevisions>(),
    read_action::<describe_services::DescribeServices>(),
    read_action::<describe_task_definition::DescribeTaskDefinition>(),
    read_action::<describe_task_sets::DescribeTaskSets>(),
    read_action::<describe_tasks::DescribeTasks>(),
    read_action::<discover_poll_endpoint::DiscoverPollEndpoint>(),
    write_action::<execute_command::ExecuteCommand>(),
    read_action::<get_task_protection::GetTaskProtection>(),
    read_action::<list_account_settings::ListAccountSettings>(),
    read_action::<list_attributes::ListAttributes>(),
    read_action::<list_clusters::ListClusters>(),
    read_action::<list_container_instances::ListContainerInstances>(),
    read_action::<list_daemon_deployments::ListDaemonDeployments>(),
    read_action::<list_daemon_task_definitions::ListDaemonTaskDefinitions>(),
    read_action::<list_daemons::ListDaemons>(),
    read_action::<list_service_deployments::ListServiceDeployments>(),
    read_action::<list_services::ListServices>(),
    read_action::<list_services_by_namespace::ListServicesByNamespace>(),
    read_action::<list_tags_for_resource::ListTagsForResource>(),
    read_action::<list_task_definition_families::ListTaskDefinitionFamilies>(),
    read_action::<list_task_definitions::ListTaskDefinitions>(),
    read_action::<list_tasks::ListTasks>(),
    write_action::<put_account_setting::PutAccountSetting>(),
    write_action::<put_account_setting_default::PutAccountSettingDefault>(),
    write_action::<put_attributes::PutAttributes>(),
    write_action::<put_cluster_capacity_providers::PutClusterCapacityProviders>(),
    write_action::<register_container_instance::RegisterContainerInstance>(),
    write_action::<register_daemon_task_definition::RegisterDaemonTaskDefinition>(),
    write_action::<register_task_definition::RegisterTaskDefinition>(),
    write_action::<run_task::RunTask>(),
    write_action::<start_task::StartTask>(),
    write_action::<stop_service_deployment::StopServiceDeployment>(),
    write_action::<stop_task::StopTask>(),
    write_action::<submit_attachment_state_changes::SubmitAttachmentStateChanges>(),
    write_action::<submit_container_state_change::SubmitContainerStateChange>(),
    write_action::<submit_task_state_change::SubmitTaskStateChange>(),
    write_action::<tag_resource::TagResource>(),
    write_action::<untag_resource::UntagResource>(),
    write_action::<update_capacity_provider::UpdateCapacityProvider>(),
    write_action::<update_cluster::UpdateCluster>(),
    write_action::<update_cluster_settings::UpdateClusterSettings>(),
    read_action::<update_container_agent::UpdateContainerAgent>(),
    write_action::<update_container_instances_state::UpdateContainerInstancesState>(),
    write_action::<update_daemon::UpdateDaemon>(),
    write_action::<update_service::UpdateService>(),
    write_action::<update_service_primary_task_set::UpdateServicePrimaryTaskSet>(),
    write_action::<update_task_protection::UpdateTaskProtection>(),
    write_action::<update_task_set::UpdateTaskSet>(),
];

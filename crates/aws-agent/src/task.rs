//! The task as an agent is given it: the definition with the overrides merged in, credentials, interfaces.

use std::collections::BTreeMap;

use crate::docker::DockerConfig;
use crate::shape::shape;

/// `desiredStatus` of a task that shall run.
pub const RUNNING: &str = "RUNNING";
/// `desiredStatus` of a task that shall stop.
pub const STOPPED: &str = "STOPPED";

shape! {
    Task "camelCase" {
        arn: String,
        task_cluster_arn: String,
        family: String,
        /// The revision, as text.
        version: String,
        /// [`RUNNING`] or [`STOPPED`].
        desired_status: String,
        /// A JSON string; AWS's agent reads nothing from it that is not merged into the containers.
        overrides: String,
        network_mode: String,
        launch_type: String,
        group: String,
        service_name: String,
        task_definition_account_id: String,
        /// In vCPUs; a quota over all containers.
        cpu: Option<f64>,
        /// In MiB; a limit over all containers.
        memory: Option<i64>,
        volumes: Vec<Volume>,
        associations: Vec<Association>,
        containers: Vec<Container>,
        role_credentials: Option<RoleCredentials>,
        execution_role_credentials: Option<RoleCredentials>,
        elastic_network_interfaces: Vec<ElasticNetworkInterface>,
        proxy_configuration: Option<ProxyConfiguration>,
        pid_mode: String,
        ipc_mode: String,
        attachments: Vec<Attachment>,
        zone: String,
        enable_fault_injection: bool,
        trusted_execution_configuration: Option<TrustedExecutionConfiguration>,
        agent_configuration: String,
    }

    Container "camelCase" {
        name: String,
        container_arn: String,
        image: String,
        /// Shares, not a quota.
        cpu: i64,
        /// MiB.
        memory: i64,
        essential: bool,
        privileged: bool,
        command: Vec<String>,
        entry_point: Vec<String>,
        environment: BTreeMap<String, String>,
        environment_files: Vec<EnvironmentFile>,
        links: Vec<String>,
        mount_points: Vec<MountPoint>,
        volumes_from: Vec<VolumeFrom>,
        port_mappings: Vec<PortMapping>,
        /// A JSON string, of which AWS's agent reads `{"command": […]}`.
        overrides: String,
        depends_on: Vec<ContainerDependency>,
        /// Seconds.
        start_timeout: Option<i64>,
        /// Seconds.
        stop_timeout: Option<i64>,
        secrets: Vec<Secret>,
        credential_specs: Vec<String>,
        registry_authentication: Option<RegistryAuthentication>,
        logs_auth_strategy: String,
        firelens_configuration: Option<FirelensConfiguration>,
        /// `docker` where the Docker configuration has a health check.
        health_check_type: String,
        linux_parameters: Option<LinuxParameters>,
        managed_agents: Vec<ManagedAgent>,
        restart_policy: Option<RestartPolicy>,
        network_interface_names: Vec<String>,
        docker_config: Option<DockerConfig>,
    }

    Volume "camelCase" {
        name: String,
        /// `host`, `docker`, `efs`, `fsxWindowsFileServer`, `ebs`, `logDriverOutput`.
        r#type: String,
        host: Option<HostVolume>,
        docker_volume_configuration: Option<DockerVolume>,
        efs_volume_configuration: Option<EfsVolume>,
        fsx_windows_file_server_volume_configuration: Option<FsxVolume>,
        ebs_volume_configuration: Option<EbsVolume>,
        log_driver_volume_configuration: Option<LogDriverVolume>,
    }

    /// An empty path is a volume that lives as long as its task.
    HostVolume "camelCase" { source_path: String }

    DockerVolume "camelCase" {
        autoprovision: bool,
        /// `task` or `shared`.
        scope: String,
        driver: String,
        driver_opts: BTreeMap<String, String>,
        labels: BTreeMap<String, String>,
    }

    EfsVolume "camelCase" {
        file_system_id: String,
        root_directory: String,
        transit_encryption: String,
        transit_encryption_port: Option<i64>,
        authorization_config: Option<EfsAuthorization>,
    }

    EfsAuthorization "camelCase" { access_point_id: String, iam: String }

    FsxVolume "camelCase" {
        file_system_id: String,
        root_directory: String,
        authorization_config: Option<FsxAuthorization>,
    }

    FsxAuthorization "camelCase" { credentials_parameter: String, domain: String }

    EbsVolume "camelCase" {
        volume_id: String,
        device_name: String,
        filesystem_type: String,
        delete_on_termination: bool,
    }

    LogDriverVolume "camelCase" { driver: String }

    MountPoint "camelCase" { source_volume: String, container_path: String, read_only: bool }

    VolumeFrom "camelCase" { source_container: String, read_only: bool }

    /// Host port 0: the host chooses, and says so in its network bindings.
    PortMapping "camelCase" {
        container_port: i64,
        host_port: i64,
        protocol: String,
        container_port_range: String,
    }

    ContainerDependency "camelCase" {
        container_name: String,
        /// `START`, `COMPLETE`, `SUCCESS`, `HEALTHY`.
        condition: String,
    }

    EnvironmentFile "camelCase" { value: String, r#type: String }

    Secret "camelCase" {
        name: String,
        value_from: String,
        region: String,
        /// `ssm` or `asm`.
        provider: String,
        /// `ENVIRONMENT_VARIABLE`, `MOUNT_POINT`, `BOOTSTRAP`.
        r#type: String,
        /// `CONTAINER` or `LOG_DRIVER`.
        target: String,
        container_path: String,
    }

    RegistryAuthentication "camelCase" {
        /// `ecr` or `asm`.
        r#type: String,
        ecr_auth_data: Option<EcrAuthData>,
        asm_auth_data: Option<AsmAuthData>,
    }

    EcrAuthData "camelCase" {
        registry_id: String,
        region: String,
        endpoint_override: String,
        use_execution_role: bool,
    }

    AsmAuthData "camelCase" { credentials_parameter: String, region: String }

    FirelensConfiguration "camelCase" { r#type: String, options: BTreeMap<String, String> }

    LinuxParameters "camelCase" {
        capabilities: Option<KernelCapabilities>,
        devices: Vec<Device>,
        init_process_enabled: bool,
        /// MiB.
        shared_memory_size: Option<i64>,
    }

    KernelCapabilities "camelCase" { add: Vec<String>, drop: Vec<String> }

    Device "camelCase" { host_path: String, container_path: String, permissions: Vec<String> }

    ManagedAgent "camelCase" {
        /// `ExecuteCommandAgent`.
        name: String,
        properties: BTreeMap<String, String>,
    }

    RestartPolicy "camelCase" {
        enabled: bool,
        ignored_exit_codes: Vec<i64>,
        /// Seconds that a container must have run before it is started again.
        restart_attempt_period: Option<i64>,
    }

    Association "camelCase" {
        containers: Vec<String>,
        content: Option<EncodedString>,
        name: String,
        r#type: String,
    }

    EncodedString "camelCase" { encoding: String, value: String }

    RoleCredentials "camelCase" {
        /// The last part of the URL by which containers ask for them; it stays for the task's life.
        credentials_id: String,
        role_arn: String,
        access_key_id: String,
        secret_access_key: String,
        session_token: String,
        /// ISO 8601.
        expiration: String,
        credential_scope: String,
    }

    ElasticNetworkInterface "camelCase" {
        ec2_id: String,
        mac_address: String,
        attachment_arn: String,
        index: i64,
        name: String,
        ipv4_addresses: Vec<Ipv4Address>,
        ipv6_addresses: Vec<Ipv6Address>,
        /// With its prefix: `10.0.0.1/24`.
        subnet_gateway_ipv4_address: String,
        subnet_gateway_ipv6_address: String,
        domain_name: Vec<String>,
        domain_name_servers: Vec<String>,
        private_dns_name: String,
        /// `default`, `vlan`, `tunnel`, `veth`.
        interface_association_protocol: String,
        interface_vlan_properties: Option<VlanProperties>,
        interface_tunnel_properties: Option<TunnelProperties>,
        interface_veth_properties: Option<VethProperties>,
    }

    Ipv4Address "camelCase" { primary: bool, private_address: String }
    Ipv6Address "camelCase" { primary: bool, address: String }
    VlanProperties "camelCase" { vlan_id: String, trunk_interface_mac_address: String }
    TunnelProperties "camelCase" { tunnel_id: String, interface_ip_address: String }
    VethProperties "camelCase" { peer_interface: String }

    ProxyConfiguration "camelCase" {
        container_name: String,
        properties: BTreeMap<String, String>,
        r#type: String,
    }

    Attachment "camelCase" {
        attachment_arn: String,
        attachment_type: String,
        attachment_properties: Vec<AttachmentProperty>,
    }

    AttachmentProperty "camelCase" { name: String, value: String }

    TrustedExecutionConfiguration "camelCase" { isolation_mode: String }
}

//! The two JSON strings inside a container of a payload: Docker's `container.Config` and `HostConfig`, with
//! their Go names, as Docker's API of any age since 1.17 takes them.
//!
//! The rest of the task definition (labels, log configuration, Linux parameters, ulimits, health check)
//! travels only here. AWS's agent hands both on to the Docker daemon, after its own additions.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::shape::shape;

/// The longest of the two strings that is read.
pub const MAX_CONFIG: usize = 1 << 20;

/// Docker's API version that a payload names by default; AWS's agent wants one that it supports.
pub const API_VERSION: &str = "1.19";

#[derive(Debug, thiserror::Error)]
pub enum DockerConfigError {
    #[error("{what} has {bytes} bytes, the limit is {MAX_CONFIG}")]
    TooLong { what: &'static str, bytes: usize },
    #[error("{what} does not read")]
    Json { what: &'static str, source: serde_json::Error },
}

shape! {
    /// As it travels: both members are JSON in a string.
    DockerConfig "camelCase" { version: String, config: String, host_config: String }
}

impl DockerConfig {
    pub fn new(config: &Config, host_config: &HostConfig) -> Self {
        let text = "a Docker configuration has string keys and no floats";
        Self {
            version: API_VERSION.to_owned(),
            config: serde_json::to_string(config).expect(text),
            host_config: serde_json::to_string(host_config).expect(text),
        }
    }

    pub fn config(&self) -> Result<Config, DockerConfigError> {
        read("dockerConfig.config", &self.config)
    }

    pub fn host_config(&self) -> Result<HostConfig, DockerConfigError> {
        read("dockerConfig.hostConfig", &self.host_config)
    }
}

fn read<T: Default + DeserializeOwned>(
    what: &'static str,
    text: &str,
) -> Result<T, DockerConfigError> {
    if text.len() > MAX_CONFIG {
        return Err(DockerConfigError::TooLong { what, bytes: text.len() });
    }
    if text.is_empty() {
        return Ok(T::default());
    }
    let read: Option<T> =
        serde_json::from_str(text).map_err(|source| DockerConfigError::Json { what, source })?;
    Ok(read.unwrap_or_default())
}

/// Go's `struct{}` as a map's value: `{}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Empty {}

shape! {
    /// What belongs to the container wherever it runs.
    Config "PascalCase" {
        hostname: String,
        domainname: String,
        user: String,
        attach_stdin: bool,
        attach_stdout: bool,
        attach_stderr: bool,
        /// Keys as `80/tcp`.
        exposed_ports: BTreeMap<String, Empty>,
        tty: bool,
        open_stdin: bool,
        stdin_once: bool,
        env: Vec<String>,
        cmd: Vec<String>,
        healthcheck: Option<Healthcheck>,
        args_escaped: bool,
        image: String,
        volumes: BTreeMap<String, Empty>,
        working_dir: String,
        entrypoint: Vec<String>,
        network_disabled: bool,
        mac_address: String,
        on_build: Vec<String>,
        labels: BTreeMap<String, String>,
        stop_signal: String,
        /// Seconds.
        stop_timeout: Option<i64>,
        shell: Vec<String>,
    }

    /// Durations are nanoseconds; zero is Docker's default.
    Healthcheck "PascalCase" {
        /// `["CMD", …]`, `["CMD-SHELL", line]`, `["NONE"]`; empty inherits the image's.
        test: Vec<String>,
        interval: i64,
        timeout: i64,
        start_period: i64,
        start_interval: i64,
        retries: i64,
    }

    /// What belongs to the container on this host.
    HostConfig "PascalCase" {
        binds: Vec<String>,
        #[serde(rename = "ContainerIDFile")]
        container_id_file: String,
        log_config: LogConfig,
        network_mode: String,
        port_bindings: BTreeMap<String, Option<Vec<PortBinding>>>,
        restart_policy: RestartPolicy,
        auto_remove: bool,
        volume_driver: String,
        volumes_from: Vec<String>,
        console_size: [u32; 2],
        annotations: BTreeMap<String, String>,
        cap_add: Vec<String>,
        cap_drop: Vec<String>,
        cgroupns_mode: String,
        dns: Vec<String>,
        dns_options: Vec<String>,
        dns_search: Vec<String>,
        /// `name:address`.
        extra_hosts: Vec<String>,
        group_add: Vec<String>,
        ipc_mode: String,
        cgroup: String,
        links: Vec<String>,
        oom_score_adj: i64,
        pid_mode: String,
        privileged: bool,
        publish_all_ports: bool,
        readonly_rootfs: bool,
        security_opt: Vec<String>,
        storage_opt: BTreeMap<String, String>,
        tmpfs: BTreeMap<String, String>,
        #[serde(rename = "UTSMode")]
        uts_mode: String,
        userns_mode: String,
        /// Bytes.
        shm_size: i64,
        sysctls: BTreeMap<String, String>,
        runtime: String,
        isolation: String,
        cpu_shares: i64,
        /// Bytes.
        memory: i64,
        nano_cpus: i64,
        cgroup_parent: String,
        blkio_weight: u16,
        blkio_weight_device: Vec<WeightDevice>,
        blkio_device_read_bps: Vec<ThrottleDevice>,
        blkio_device_write_bps: Vec<ThrottleDevice>,
        #[serde(rename = "BlkioDeviceReadIOps")]
        blkio_device_read_iops: Vec<ThrottleDevice>,
        #[serde(rename = "BlkioDeviceWriteIOps")]
        blkio_device_write_iops: Vec<ThrottleDevice>,
        cpu_period: i64,
        cpu_quota: i64,
        cpu_realtime_period: i64,
        cpu_realtime_runtime: i64,
        cpuset_cpus: String,
        cpuset_mems: String,
        devices: Vec<DeviceMapping>,
        device_cgroup_rules: Vec<String>,
        device_requests: Vec<DeviceRequest>,
        kernel_memory: i64,
        #[serde(rename = "KernelMemoryTCP")]
        kernel_memory_tcp: i64,
        memory_reservation: i64,
        /// Memory and swap together; -1 is without limit.
        memory_swap: i64,
        memory_swappiness: Option<i64>,
        oom_kill_disable: Option<bool>,
        pids_limit: Option<i64>,
        ulimits: Vec<Ulimit>,
        cpu_count: i64,
        cpu_percent: i64,
        #[serde(rename = "IOMaximumIOps")]
        io_maximum_iops: u64,
        #[serde(rename = "IOMaximumBandwidth")]
        io_maximum_bandwidth: u64,
        mounts: Vec<Mount>,
        /// Absent means Docker's defaults, an empty list means none.
        masked_paths: Option<Vec<String>>,
        readonly_paths: Option<Vec<String>>,
        init: Option<bool>,
    }

    LogConfig "PascalCase" { r#type: String, config: BTreeMap<String, String> }
    PortBinding "PascalCase" {
        #[serde(rename = "HostIp")]
        host_ip: String,
        host_port: String,
    }
    RestartPolicy "PascalCase" { name: String, maximum_retry_count: i64 }
    WeightDevice "PascalCase" { path: String, weight: u16 }
    ThrottleDevice "PascalCase" { path: String, rate: u64 }
    DeviceMapping "PascalCase" {
        path_on_host: String,
        path_in_container: String,
        /// `rwm` or a part of it.
        cgroup_permissions: String,
    }
    DeviceRequest "PascalCase" {
        driver: String,
        count: i64,
        #[serde(rename = "DeviceIDs")]
        device_ids: Vec<String>,
        capabilities: Vec<Vec<String>>,
        options: BTreeMap<String, String>,
    }
    Ulimit "PascalCase" { name: String, hard: i64, soft: i64 }
    Mount "PascalCase" {
        /// `bind`, `volume`, `tmpfs`.
        r#type: String,
        source: String,
        target: String,
        read_only: bool,
        consistency: String,
        bind_options: Option<BindOptions>,
        volume_options: Option<VolumeOptions>,
        tmpfs_options: Option<TmpfsOptions>,
    }
    BindOptions "PascalCase" {
        propagation: String,
        non_recursive: bool,
        create_mountpoint: bool,
        read_only_non_recursive: bool,
        read_only_force_recursive: bool,
    }
    VolumeOptions "PascalCase" {
        no_copy: bool,
        labels: BTreeMap<String, String>,
        driver_config: Option<VolumeDriver>,
    }
    VolumeDriver "PascalCase" { name: String, options: BTreeMap<String, String> }
    TmpfsOptions "PascalCase" { size_bytes: i64, mode: u32 }
}

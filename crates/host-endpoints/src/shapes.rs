//! What the metadata endpoints show, in version 4's shape; versions 2 and 3 are what is left when
//! the newer members are taken out.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

/// The host, as introspection shows it.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HostMetadata {
    pub cluster: String,
    pub container_instance_arn: Option<String>,
    pub version: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Limits {
    #[serde(rename = "CPU", skip_serializing_if = "Option::is_none", serialize_with = "number")]
    pub cpu: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<i64>,
}

/// AWS: a whole number has no point; readers of shares take an integer.
fn number<S: Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
    match *value {
        Some(value) if value.fract() == 0.0 && value.abs() < 1e15 => to.serialize_i64(value as i64),
        value => value.serialize(to),
    }
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Port {
    pub container_port: u16,
    pub protocol: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_port: Option<u16>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host_ip: String,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Volume {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub docker_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub destination: String,
}

/// What a network interface of an awsvpc task has beyond its addresses.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkProperties {
    pub attachment_index: u32,
    #[serde(rename = "MACAddress")]
    pub mac_address: String,
    #[serde(rename = "IPv4SubnetCIDRBlock", skip_serializing_if = "String::is_empty")]
    pub ipv4_subnet_cidr_block: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domain_name_servers: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domain_name_search_list: Vec<String>,
    #[serde(rename = "PrivateDNSName", skip_serializing_if = "String::is_empty")]
    pub private_dns_name: String,
    #[serde(rename = "SubnetGatewayIpv4Address", skip_serializing_if = "String::is_empty")]
    pub subnet_gateway: String,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Network {
    pub network_mode: String,
    #[serde(rename = "IPv4Addresses", skip_serializing_if = "Vec::is_empty")]
    pub ipv4_addresses: Vec<String>,
    #[serde(rename = "IPv6Addresses", skip_serializing_if = "Vec::is_empty")]
    pub ipv6_addresses: Vec<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub properties: Option<NetworkProperties>,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_since: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub exit_code: i32,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub output: String,
}

fn is_zero(value: &i32) -> bool {
    *value == 0
}

/// A container. Times are RFC 3339 in UTC.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerMetadata {
    pub docker_id: String,
    pub name: String,
    pub docker_name: String,
    pub image: String,
    #[serde(rename = "ImageID")]
    pub image_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    pub desired_status: String,
    pub known_status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    pub limits: Limits,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    #[serde(rename = "Type")]
    pub kind: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<Network>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub log_driver: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub log_options: BTreeMap<String, String>,
    #[serde(rename = "ContainerARN", skip_serializing_if = "String::is_empty")]
    pub container_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_count: Option<u32>,
}

/// What a Fargate task's containers hold of its storage, and how much it may be. MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct EphemeralStorage {
    pub utilized: u64,
    pub reserved: u64,
}

/// A task. `credentials_id` is for the endpoints alone.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TaskMetadata {
    pub cluster: String,
    #[serde(rename = "TaskARN")]
    pub task_arn: String,
    pub family: String,
    pub revision: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service_name: String,
    pub desired_status: String,
    pub known_status: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<ContainerMetadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_stopped_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_stopped_at: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub availability_zone: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub launch_type: String,
    #[serde(rename = "VPCID", skip_serializing_if = "String::is_empty")]
    pub vpc_id: String,
    #[serde(rename = "AvailabilityZoneID", skip_serializing_if = "String::is_empty")]
    pub availability_zone_id: String,
    #[serde(rename = "EphemeralStorageMetrics", skip_serializing_if = "Option::is_none")]
    pub ephemeral_storage: Option<EphemeralStorage>,
    pub fault_injection_enabled: bool,
    #[serde(skip)]
    pub credentials_id: Option<String>,
    #[serde(skip)]
    pub associations: Vec<Association>,
}

/// Something attached to containers of a task by type and name, such as an accelerator.
#[derive(Clone, Debug, Default)]
pub struct Association {
    pub kind: String,
    pub name: String,
    pub containers: Vec<String>,
    pub content: String,
}

/// What the credentials endpoint answers with.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RoleCredentials {
    pub role_arn: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub token: String,
    pub expiration: String,
}

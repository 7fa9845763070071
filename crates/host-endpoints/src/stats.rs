//! Stats of a container in the shape of Docker's API, which is what readers of the endpoint parse.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::ContainerMetadata;

/// Counters as the kernel gives them; times in nanoseconds, sizes in bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerStats {
    /// Now, and at the reading before, which gives the rates.
    pub cpu: Cpu,
    pub previous_cpu: Option<Cpu>,
    pub online_cpus: u32,
    pub memory_usage: u64,
    pub memory_peak: u64,
    pub memory_limit: u64,
    pub memory_details: BTreeMap<String, u64>,
    pub read_bytes: u64,
    pub written_bytes: u64,
    pub read_operations: Option<u64>,
    pub write_operations: Option<u64>,
    pub pids: u64,
    pub pids_limit: Option<u64>,
    pub networks: BTreeMap<String, NetworkCounters>,
    /// Bytes a second over the last interval: received, sent.
    pub network_rates: Option<(f64, f64)>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cpu {
    /// RFC 3339: when it was read.
    pub read: String,
    pub total: u64,
    pub user: u64,
    pub system: u64,
    /// Of the whole machine.
    pub host: u64,
    pub throttling: Throttling,
}

/// How often, and for how many nanoseconds, a quota made the container wait.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Throttling {
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled_time: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NetworkCounters {
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
}

fn cpu(cpu: &Cpu, online: u32) -> Value {
    json!({
        "cpu_usage": {
            "total_usage": cpu.total,
            "usage_in_usermode": cpu.user,
            "usage_in_kernelmode": cpu.system,
        },
        "system_cpu_usage": cpu.host,
        "online_cpus": online,
        "throttling_data": {
            "periods": cpu.throttling.periods,
            "throttled_periods": cpu.throttling.throttled_periods,
            "throttled_time": cpu.throttling.throttled_time,
        },
    })
}

/// What Docker says of a time that is not known. Readers parse it.
const NEVER: &str = "0001-01-01T00:00:00Z";

pub(crate) fn as_docker(container: &ContainerMetadata, stats: &ContainerStats) -> Value {
    let block = |op: &str, value: u64| json!({ "major": 0, "minor": 0, "op": op, "value": value });
    let networks: Map<String, Value> = stats
        .networks
        .iter()
        .map(|(name, n)| {
            let counters = json!({
                "rx_bytes": n.rx_bytes, "rx_packets": n.rx_packets,
                "rx_errors": n.rx_errors, "rx_dropped": n.rx_dropped,
                "tx_bytes": n.tx_bytes, "tx_packets": n.tx_packets,
                "tx_errors": n.tx_errors, "tx_dropped": n.tx_dropped,
            });
            (name.clone(), counters)
        })
        .collect();
    let previous = stats.previous_cpu.as_ref();
    let operations = stats.read_operations.zip(stats.write_operations);
    let operations = operations.map(|(read, write)| [block("Read", read), block("Write", write)]);
    let mut pids = json!({ "current": stats.pids });
    if let Some(limit) = stats.pids_limit {
        pids["limit"] = limit.into();
    }
    let mut all = json!({
        "read": stats.cpu.read,
        "preread": previous.map_or(NEVER, |previous| &previous.read),
        "pids_stats": pids,
        // Docker: what the kernel does not count is null.
        "blkio_stats": {
            "io_service_bytes_recursive": [
                block("Read", stats.read_bytes),
                block("Write", stats.written_bytes),
            ],
            "io_serviced_recursive": operations,
            "io_queue_recursive": null,
            "io_service_time_recursive": null,
            "io_wait_time_recursive": null,
            "io_merged_recursive": null,
            "io_time_recursive": null,
            "sectors_recursive": null,
        },
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": cpu(&stats.cpu, stats.online_cpus),
        "precpu_stats": cpu(previous.unwrap_or(&Cpu::default()), stats.online_cpus),
        "memory_stats": {
            "usage": stats.memory_usage,
            "max_usage": stats.memory_peak,
            "stats": stats.memory_details,
            "limit": stats.memory_limit,
        },
        "name": format!("/{}", container.docker_name),
        "id": container.docker_id,
    });
    let members = all.as_object_mut().expect("an object was written just now");
    if !networks.is_empty() {
        members.insert("networks".into(), Value::Object(networks));
    }
    if let Some((rx, tx)) = stats.network_rates {
        members.insert(
            "network_rate_stats".into(),
            json!({ "rx_bytes_per_sec": rx, "tx_bytes_per_sec": tx }),
        );
    }
    all
}

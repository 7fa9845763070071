//! Stats of a container in the shape of Docker's API, which is what readers of the endpoint parse.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Counters as the kernel gives them; times in nanoseconds, sizes in bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerStats {
    pub id: String,
    pub name: String,
    /// RFC 3339: when these were read, and the reading before, which gives the rates.
    pub read: String,
    pub previous_read: String,
    pub cpu_total: u64,
    pub cpu_user: u64,
    pub cpu_system: u64,
    pub previous_cpu_total: u64,
    pub host_cpu: u64,
    pub previous_host_cpu: u64,
    pub online_cpus: u32,
    pub memory_usage: u64,
    pub memory_peak: u64,
    pub memory_limit: u64,
    pub memory_details: BTreeMap<String, u64>,
    pub read_bytes: u64,
    pub written_bytes: u64,
    pub pids: u64,
    pub networks: BTreeMap<String, NetworkCounters>,
    /// Bytes a second over the last interval: received, sent.
    pub network_rates: Option<(f64, f64)>,
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

fn cpu(stats: &ContainerStats, total: u64, host: u64) -> Value {
    json!({
        "cpu_usage": {
            "total_usage": total,
            "usage_in_usermode": stats.cpu_user,
            "usage_in_kernelmode": stats.cpu_system,
        },
        "system_cpu_usage": host,
        "online_cpus": stats.online_cpus,
        "throttling_data": { "periods": 0, "throttled_periods": 0, "throttled_time": 0 },
    })
}

pub(crate) fn as_docker(stats: &ContainerStats) -> Value {
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
    let mut all = json!({
        "read": stats.read,
        "preread": stats.previous_read,
        "pids_stats": { "current": stats.pids },
        "blkio_stats": { "io_service_bytes_recursive": [
            block("Read", stats.read_bytes),
            block("Write", stats.written_bytes),
        ] },
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": cpu(stats, stats.cpu_total, stats.host_cpu),
        "precpu_stats": cpu(stats, stats.previous_cpu_total, stats.previous_host_cpu),
        "memory_stats": {
            "usage": stats.memory_usage,
            "max_usage": stats.memory_peak,
            "stats": stats.memory_details,
            "limit": stats.memory_limit,
        },
        "name": format!("/{}", stats.name),
        "id": stats.id,
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

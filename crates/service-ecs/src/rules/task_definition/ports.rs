//! Port mappings, by network mode.

use aws_protocol::ApiError;
use model_ecs as api;

use super::{check_enum, containers_of, is_mode, name_of, refuse};

const PORTS: std::ops::RangeInclusive<i32> = 1..=65_535;
/// AWS: a hundred port ranges a container.
const MOST_RANGES: usize = 100;

pub fn check_and_fill(definition: &mut api::TaskDefinition) -> Result<(), ApiError> {
    let awsvpc = is_mode(definition, "awsvpc");
    let host = is_mode(definition, "host");
    let none = is_mode(definition, "none");
    for container in definition.container_definitions.iter_mut().flatten() {
        let name = container.name.clone().unwrap_or_default();
        let mappings = container.port_mappings.get_or_insert_default();
        if none && !mappings.is_empty() {
            return Err(refuse("Port mappings are not supported when networkMode=none."));
        }
        if mappings.iter().filter(|m| m.container_port_range.is_some()).count() > MOST_RANGES {
            return Err(refuse(format!("Too many port ranges for container '{name}'.")));
        }
        for mapping in mappings {
            check_mapping(&name, mapping)?;
            if mapping.container_port_range.is_none() {
                match_ports(mapping, awsvpc, host)?;
            }
            // AWS: tcp unless it is said.
            mapping.protocol.get_or_insert(api::TransportProtocol::TCP);
        }
    }
    check_names(definition)?;
    check_taken(definition, awsvpc || host)
}

/// The mapping by itself.
fn check_mapping(container: &str, mapping: &api::PortMapping) -> Result<(), ApiError> {
    let invalid =
        |what: &str| refuse(format!("Invalid '{what}' setting for container '{container}'."));
    let protocol = mapping.protocol.as_ref().map(|value| value.as_str());
    check_enum("protocol", protocol, api::TransportProtocol::VALUES)?;
    let app = mapping.app_protocol.as_ref().map(|value| value.as_str());
    check_enum("appProtocol", app, api::ApplicationProtocol::VALUES)?;
    if let Some(name) = mapping.name.as_deref() {
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
        let bytes = name.as_bytes();
        let starts = bytes.first().is_some_and(|b| !b"-_".contains(b));
        if name.len() > 64 || !starts || !bytes.iter().copied().all(good) {
            return Err(invalid("name"));
        }
    } else if app.is_some() {
        return Err(refuse("appProtocol requires a name for the port mapping."));
    }
    if let Some(range) = &mapping.container_port_range {
        if mapping.container_port.is_some() || mapping.host_port.is_some() {
            return Err(refuse("cannot specify both single port and port range"));
        }
        return match range_of(range) {
            Some(_) => Ok(()),
            None => Err(invalid("containerPortRange")),
        };
    }
    if !mapping.container_port.is_some_and(|port| PORTS.contains(&port)) {
        return Err(invalid("containerPort"));
    }
    match mapping.host_port {
        None | Some(0) => Ok(()),
        Some(port) if PORTS.contains(&port) => Ok(()),
        Some(_) => Err(invalid("hostPort")),
    }
}

/// `8000-8010` as its bounds.
fn range_of(text: &str) -> Option<(i32, i32)> {
    let (low, high) = text.split_once('-')?;
    let (low, high) = (low.parse().ok()?, high.parse().ok()?);
    (PORTS.contains(&low) && PORTS.contains(&high) && low < high).then_some((low, high))
}

/// Host ports, by network mode: the same as the container's, or dynamic.
fn match_ports(mapping: &mut api::PortMapping, awsvpc: bool, host: bool) -> Result<(), ApiError> {
    if !awsvpc && !host {
        // AWS: 0 and absent both mean "any free port"; 0 is what is shown.
        mapping.host_port.get_or_insert(0);
        return Ok(());
    }
    let port = mapping.container_port;
    if mapping.host_port.is_some_and(|given| given != 0 && Some(given) != port) {
        let mode = if awsvpc { "awsvpc" } else { "host" };
        return Err(refuse(format!(
            "When networkMode={mode}, the host ports and container ports in port mappings must \
             match."
        )));
    }
    mapping.host_port = port;
    Ok(())
}

/// AWS: names of port mappings are Service Connect's, one of each in a task definition.
fn check_names(definition: &api::TaskDefinition) -> Result<(), ApiError> {
    let mut names: Vec<&str> = Vec::new();
    let all = containers_of(definition).iter().flat_map(|c| c.port_mappings.iter().flatten());
    for name in all.filter_map(|mapping| mapping.name.as_deref()) {
        if names.contains(&name) {
            return Err(refuse(format!("port mapping name {name} is already used.")));
        }
        names.push(name);
    }
    Ok(())
}

/// No port twice: in one network namespace container ports collide, else host ports do.
fn check_taken(definition: &api::TaskDefinition, shared: bool) -> Result<(), ApiError> {
    let mut taken: Vec<(&str, &str, i32, i32)> = Vec::new();
    for container in containers_of(definition) {
        for mapping in container.port_mappings.iter().flatten() {
            let protocol = mapping.protocol.as_ref().map(|p| p.as_str()).unwrap_or("tcp");
            let range = mapping.container_port_range.as_deref().and_then(range_of);
            let host = mapping.host_port.unwrap_or_default();
            let (low, high, scope) = match (range, shared) {
                (Some((low, high)), _) => (low, high, if shared { "" } else { "range" }),
                (None, true) => (host, host, ""),
                (None, false) if host == 0 => continue,
                (None, false) => (host, host, "host"),
            };
            let scope = if scope == "range" { name_of(container) } else { scope };
            let meets = |other: &(&str, &str, i32, i32)| {
                other.0 == scope && other.1 == protocol && other.2 <= high && low <= other.3
            };
            if taken.iter().any(meets) {
                return Err(refuse(match shared {
                    true => format!("container port {low} is used multiple times in task"),
                    false => format!("host port {low} is used multiple times in task"),
                }));
            }
            taken.push((scope, protocol, low, high));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_rise() {
        assert_eq!(range_of("8000-8010"), Some((8000, 8010)));
        for bad in ["", "-", "1", "10-1", "5-5", "0-9", "1-65536", "a-b", "1-2-3"] {
            assert_eq!(range_of(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn ranges_never_panic(text in ".{0,20}") {
            let _ = range_of(&text);
        }
    }
}

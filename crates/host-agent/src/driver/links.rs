//! Links: what Docker tells a container of those that it is linked to, as names and as variables.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use aws_agent::task::Container;
use host_images::Image;
use host_network::Attachment;

use super::Driver;
use super::container::docker_name;
use super::files::hostname;
use crate::tasks::{Given, Live};

/// Docker: of the other's variables these are not told.
const PRIVATE: [&str; 2] = ["HOME", "PATH"];

/// A container that another one is linked to.
struct Link<'a> {
    part: usize,
    name: &'a str,
    alias: &'a str,
    address: Ipv4Addr,
}

impl Driver {
    fn linked<'a>(&self, given: &Given, container: &'a Container) -> Vec<Link<'a>> {
        let link = |link: &'a String| {
            let (name, alias) = link.split_once(':').unwrap_or((link, link));
            let part = given.task.containers.iter().position(|other| other.name == name)?;
            let found = self.network.find(&given.container_id(part))?;
            Some(Link { part, name, alias, address: Attachment::address(&found)? })
        };
        container.links.iter().filter_map(link).collect()
    }

    /// AWS: a link gives the other container's name, alias and host name to this one.
    pub(super) fn link_names(
        &self,
        given: &Given,
        container: &Container,
    ) -> Vec<(Ipv4Addr, String)> {
        let names = |link: Link<'_>| {
            let mut names = vec![link.alias.to_owned()];
            names.extend((link.alias != link.name).then(|| link.name.to_owned()));
            let own = &given.configs[link.part].0.hostname;
            names.push(match own.as_str() {
                "" => hostname(&given.container_id(link.part)),
                own => own.to_owned(),
            });
            (link.address, names.join(" "))
        };
        self.linked(given, container).into_iter().map(names).collect()
    }

    /// The variables of Docker's links: where the other listens, and what it was told.
    pub(super) fn link_variables(&self, live: &Live, part: usize) -> Vec<(String, String)> {
        let given = &live.given;
        let mut all = Vec::new();
        for link in self.linked(given, &given.task.containers[part]) {
            let Ok(image) = self.image(given, link.part) else { continue };
            let prefix = link.alias.to_ascii_uppercase().replace('-', "_");
            let mut add =
                |name: String, value: String| all.push((format!("{prefix}_{name}"), value));
            let ports = exposed(given, link.part, &image);
            for (nth, (protocol, port)) in ports.iter().enumerate() {
                let address = link.address;
                let url = format!("{protocol}://{address}:{port}");
                if nth == 0 {
                    add("PORT".to_owned(), url.clone());
                }
                let of_port = format!("PORT_{port}_{}", protocol.to_ascii_uppercase());
                add(of_port.clone(), url);
                add(format!("{of_port}_ADDR"), address.to_string());
                add(format!("{of_port}_PORT"), port.to_string());
                add(format!("{of_port}_PROTO"), protocol.clone());
            }
            add("NAME".to_owned(), format!("/{}/{}", docker_name(given, part), link.alias));
            for pair in self.own_environment(live, link.part, &image) {
                if let Some((name, value)) = pair.split_once('=')
                    && !PRIVATE.contains(&name)
                {
                    add(format!("ENV_{name}"), value.to_owned());
                }
            }
        }
        all
    }
}

/// The ports that a container says it listens on, in its image and in its definition; TCP first.
fn exposed(given: &Given, part: usize, image: &Image) -> BTreeSet<(String, u16)> {
    let mut ports = BTreeSet::new();
    for text in image.config.config.exposed_ports.keys() {
        let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        ports.extend(port.parse().ok().map(|port| (protocol.to_owned(), port)));
    }
    for mapping in &given.task.containers[part].port_mappings {
        let port = u16::try_from(mapping.container_port).ok().filter(|port| *port > 0);
        let protocol = if mapping.protocol.is_empty() { "tcp" } else { &mapping.protocol };
        ports.extend(port.map(|port| (protocol.to_owned(), port)));
    }
    ports
}

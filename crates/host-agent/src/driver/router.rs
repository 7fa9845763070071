//! A FireLens router's files, and what those that use it are told of it.

use std::path::Path;

use host_network::Attachment;
use host_runtime::Mount;

use super::Driver;
use super::files::bind;
use crate::engine::Failure;
use crate::tasks::{Given, NetworkMode, firelens};

impl Driver {
    /// AWS: the router finds its configuration in one file, and what it listens on is in /var/run.
    pub(super) fn router_mounts(&self, given: &Given, part: usize) -> Result<Vec<Mount>, Failure> {
        let Some(router) = given.router.as_ref().filter(|router| router.part == part) else {
            return Ok(Vec::new());
        };
        let (dir, socket) = (self.task_dir(given), firelens::socket_dir(&self.task_dir(given)));
        let file = dir.join("firelens").join("fluent.conf");
        let made = std::fs::create_dir_all(&socket)
            .and_then(|()| std::fs::write(&file, &router.config))
            .and_then(|()| give(&socket, &given.configs[part].0.user));
        made.map_err(|error| {
            let text = format!("unable to generate firelens config file: {error}");
            Failure::new(Failure::RESOURCE, text)
        })?;
        Ok(vec![
            bind(file, router.target.to_owned(), false),
            bind(socket, "/var/run".to_owned(), false),
        ])
    }

    /// Where the router is, for programs that speak to it themselves.
    pub(super) fn router_variables(&self, given: &Given, part: usize) -> Vec<(String, String)> {
        let Some(router) = &given.router else { return Vec::new() };
        let mut all = Vec::new();
        if router.part == part {
            all.extend(router.env.clone());
        }
        let address = match given.network_mode() {
            NetworkMode::Awsvpc => Some("127.0.0.1".to_owned()),
            NetworkMode::Bridge => {
                let found = self.network.find(&given.container_id(router.part));
                found.as_ref().and_then(Attachment::address).map(|address| address.to_string())
            }
            NetworkMode::Host | NetworkMode::None => None,
        };
        if let Some(address) = address.filter(|_| router.users.contains(&part)) {
            all.push(("FLUENT_HOST".to_owned(), address));
            all.push(("FLUENT_PORT".to_owned(), "24224".to_owned()));
        }
        all
    }
}

/// AWS: the folder of the socket is the router's user's, where that is a number.
fn give(dir: &Path, user: &str) -> std::io::Result<()> {
    let (user, group) = user.split_once(':').unwrap_or((user, ""));
    std::os::unix::fs::chown(dir, user.parse().ok(), group.parse().ok())
}

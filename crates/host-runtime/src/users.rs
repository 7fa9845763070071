//! `user` of a container definition, looked up in the image's own /etc/passwd and /etc/group.

use std::path::Path;

use crate::error::{Error, Result};
use crate::inroot::Root;

/// An image's user files are text of a few hundred lines; more than this is not read.
const FILE_LIMIT: u64 = 4 << 20;

#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub home: String,
}

/// Resolve within a root directory.
pub fn resolve_in(root: &Root, user: Option<&str>, group_add: &[String]) -> Result<Identity> {
    let read = |path| root.read(Path::new(path), FILE_LIMIT).unwrap_or_default();
    let passwd = read("etc/passwd");
    let group = read("etc/group");
    resolve(
        &String::from_utf8_lossy(&passwd),
        &String::from_utf8_lossy(&group),
        user.unwrap_or(""),
        group_add,
    )
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

fn accounts(passwd: &str) -> impl Iterator<Item = Account<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let home = fields.nth(1).unwrap_or("");
        (!name.is_empty()).then_some(Account { name, uid, gid, home })
    })
}

fn groups(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid = fields.nth(1)?.parse().ok()?;
        (!name.is_empty()).then_some((name, gid, fields.next().unwrap_or("")))
    })
}

/// The rules of Docker: a name is looked up; a number that is nobody's uid stands for itself, with
/// group 0; supplementary groups come with an account unless a group was named.
pub fn resolve(passwd: &str, group: &str, wanted: &str, add: &[String]) -> Result<Identity> {
    let (user, named_group) = match wanted.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (wanted, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number: Option<u32> = user.parse().ok().filter(|uid| *uid <= i32::MAX as u32);
    let account = accounts(passwd).find(|a| a.name == user || Some(a.uid) == number);
    let mut identity = match (&account, number) {
        (Some(account), _) => Identity {
            uid: account.uid,
            gid: account.gid,
            groups: Vec::new(),
            home: account.home.to_owned(),
        },
        (None, Some(uid)) => Identity { uid, ..Identity::default() },
        (None, None) => {
            return Err(Error::Start(format!(
                "unable to find user {user}: no matching entries in passwd file"
            )));
        }
    };
    if identity.home.is_empty() {
        identity.home = "/".into();
    }
    match named_group {
        Some(name) => identity.gid = find_group(group, name)?,
        None => {
            if let Some(account) = &account {
                let member = |list: &str| list.split(',').any(|m| m.trim() == account.name);
                identity.groups =
                    groups(group).filter(|(_, _, m)| member(m)).map(|(_, gid, _)| gid).collect();
            }
        }
    }
    for name in add {
        identity.groups.push(find_group(group, name)?);
    }
    identity.groups.sort_unstable();
    identity.groups.dedup();
    Ok(identity)
}

fn find_group(group: &str, wanted: &str) -> Result<u32> {
    let number: Option<u32> = wanted.parse().ok().filter(|gid| *gid <= i32::MAX as u32);
    groups(group)
        .find(|(name, gid, _)| *name == wanted || Some(*gid) == number)
        .map(|(_, gid, _)| gid)
        .or(number)
        .ok_or_else(|| {
            Error::Start(format!(
                "unable to find group {wanted}: no matching entries in group file"
            ))
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nwww:x:33:34::/var/www:/bin/false\n";
    const GROUP: &str = "root:x:0:\nweb:x:34:\nlogs:x:50:www,other\nmore:x:51:other\n";

    fn of(user: &str) -> Result<Identity> {
        resolve(PASSWD, GROUP, user, &[])
    }

    #[test]
    fn names_numbers_and_groups() {
        assert_eq!(of("").unwrap().home, "/root");
        let www = of("www").unwrap();
        assert_eq!((www.uid, www.gid, www.groups.clone()), (33, 34, vec![50]));
        assert_eq!(of("33").unwrap(), www);
        let number = of("4711").unwrap();
        assert_eq!((number.uid, number.gid, number.home.as_str()), (4711, 0, "/"));
        let both = of("www:more").unwrap();
        assert_eq!((both.uid, both.gid, both.groups), (33, 51, vec![]));
        assert_eq!(of("4711:4712").unwrap().gid, 4712);
        let text = of("nobody").unwrap_err().to_string();
        assert_eq!(text, "unable to find user nobody: no matching entries in passwd file");
        let text = of("www:nothing").unwrap_err().to_string();
        assert_eq!(text, "unable to find group nothing: no matching entries in group file");
    }

    proptest! {
        #[test]
        fn any_files_are_survived(passwd in ".{0,200}", group in ".{0,200}", user in ".{0,20}") {
            let _ = resolve(&passwd, &group, &user, &[]);
        }
    }
}

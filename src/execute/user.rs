//! Who a user is: the ids behind what an image or a pipeline calls it.

use crate::engine::{ContainerId, Engine, EngineError};
use crate::source::Owner;

/// Whether it is root, in all that root is called.
pub(super) fn is_root(user: &str) -> bool {
    known(user) == Some(Owner::default())
}

/// The ids of a user of this container, which may run or not; `None` where it has no such user.
pub(super) async fn of_container<E: Engine>(
    engine: &E,
    id: &ContainerId,
    user: &str,
) -> Result<Option<Owner>, EngineError> {
    let (name, group) = user.split_once(':').unwrap_or((user, ""));
    let (passwd, groups) = (text(engine, id, "/etc/passwd").await?, text(engine, id, "/etc/group").await?);
    Ok(owner_from(name, group, &passwd, &groups))
}

/// A text file of the container; empty where there is none.
async fn text<E: Engine>(engine: &E, id: &ContainerId, path: &str) -> Result<String, EngineError> {
    match engine.read_file(id, path).await {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(EngineError::Refused { status: 404, .. }) => Ok(String::new()),
        Err(error) => Err(error),
    }
}

/// The ids of a user that can be known without its image: root, or numbers of both.
pub(super) fn known(user: &str) -> Option<Owner> {
    match user.split_once(':').unwrap_or((user, "")) {
        ("" | "0" | "root", "" | "0" | "root") => Some(Owner::default()),
        (user, group) => Some(Owner { uid: user.parse().ok()?, gid: group.parse().ok()? }),
    }
}

/// The ids of a user and group, given by name or number, as passwd(5) and group(5) have them.
fn owner_from(user: &str, group: &str, passwd: &str, groups: &str) -> Option<Owner> {
    let field = |line: &str, at: usize| line.split(':').nth(at).map(str::to_owned);
    let number = |text: Option<String>| text.and_then(|text| text.parse::<u32>().ok());
    let entry =
        passwd.lines().find(|line| field(line, 0).as_deref() == Some(user) || field(line, 2).as_deref() == Some(user));
    let uid = user.parse().ok().or_else(|| number(entry.and_then(|line| field(line, 2))))?;
    let gid = match group {
        "" => number(entry.and_then(|line| field(line, 3))).unwrap_or(0),
        group => group.parse().ok().or_else(|| {
            number(groups.lines().find(|line| field(line, 0).as_deref() == Some(group)).and_then(|line| field(line, 2)))
        })?,
    };
    Some(Owner { uid, gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_by_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\ndev:x:1000:1001::/home/dev:/bin/sh\n";
        let groups = "root:x:0:\nstaff:x:50:\n";
        let find = |user, group| owner_from(user, group, passwd, groups).map(|owner| (owner.uid, owner.gid));
        assert_eq!(find("dev", ""), Some((1000, 1001)));
        assert_eq!(find("1000", ""), Some((1000, 1001)));
        assert_eq!(find("4711", ""), Some((4711, 0)));
        assert_eq!(find("dev", "staff"), Some((1000, 50)));
        assert_eq!(find("dev", "7"), Some((1000, 7)));
        assert_eq!(find("nobody", ""), None);
        assert_eq!(find("dev", "nogroup"), None);
    }
}

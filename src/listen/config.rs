//! What a listener is told: which repository, where it listens, what it may use.

use std::net::SocketAddr;
use std::time::Duration;

use super::webhook::Secret;
use crate::execute::PullPolicy;
use crate::pipeline::Env;
use crate::store::StateDir;

/// What a listener is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// The repository: a URL or a path. It alone is ever cloned, whatever a payload says.
    pub repository: String,
    /// Where it listens.
    pub bind: SocketAddr,
    /// What it shares with the forge; a delivery is genuine by any of them.
    pub secrets: Vec<Secret>,
    /// Where queue, history and logs are.
    pub state: StateDir,
    /// How many runs go on at once. At least 1.
    pub runs: u32,
    /// How many jobs of a run go on at once. At least 1.
    pub jobs: usize,
    /// How many runs may wait.
    pub capacity: u64,
    /// Time for each run.
    pub timeout: Option<Duration>,
    /// How often the repository's refs are looked at, where at all.
    pub poll: Option<Duration>,
    /// How long runs may go on when the listener is told to end.
    pub drain: Duration,
    /// When images are pulled.
    pub pull: PullPolicy,
    /// Variables of all steps.
    pub env: Env,
    /// Secrets, for the steps that ask for them.
    pub given: Vec<crate::plan::Secret>,
}

impl Config {
    /// Whether a payload with these names and addresses of its repository is about the one that is listened for. Any is, where
    /// that is a folder of this machine: no payload names it.
    #[must_use]
    pub fn is_meant(&self, names: &[String]) -> bool {
        let Some(own) = place(&self.repository) else { return true };
        let path = own.split_once('/').map_or("", |(_, path)| path);
        // Bitbucket Data Center has it before the path of every repository.
        let path = path.rsplit_once("scm/").map_or(path, |(_, path)| path);
        names.iter().any(|name| match place(name) {
            Some(other) => other == own,
            // `owner/name` alone.
            None => plain(name) == path,
        })
    }
}

/// Host and path of an address, alike for `https://user@Host/a/b.git`, `ssh://git@host:22/a/b` and `git@host:a/b.git`.
fn place(address: &str) -> Option<String> {
    let (authority, path) = match address.split_once("://") {
        Some(("file", _)) => return None,
        Some((_, rest)) => rest.split_once('/')?,
        None => {
            let (authority, path) = address.split_once(':')?;
            if authority.contains('/') {
                return None;
            }
            (authority, path)
        }
    };
    let host = authority.rsplit('@').next().unwrap_or(authority).split(':').next().unwrap_or_default();
    Some(format!("{}/{}", host.to_ascii_lowercase(), plain(path)))
}

fn plain(path: &str) -> String {
    path.trim_matches('/').trim_end_matches(".git").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn one_repository_has_one_place_whatever_its_address() {
        for address in [
            "https://example.com/Team/App.git",
            "https://user:token@Example.com/team/app",
            "ssh://git@example.com:22/team/app.git",
            "git@example.com:team/app.git",
            "https://example.com/team/app/",
        ] {
            assert_eq!(place(address).as_deref(), Some("example.com/team/app"), "{address}");
        }
        for here in ["/srv/app.git", "./app:x", "file:///srv/app.git", "team/app"] {
            assert_eq!(place(here), None, "{here}");
        }
    }
}

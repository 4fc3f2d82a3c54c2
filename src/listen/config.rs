//! What a listener is told: which repositories, where it listens, what it may use, whom it tells.

pub mod file;

use std::net::SocketAddr;
use std::time::Duration;

use super::dashboard::Provider;
use super::egress::Egress;
use super::notify::{Rule, StatusApi};
use super::webhook::Secret;
use crate::execute::PullPolicy;
use crate::pipeline::Env;
use crate::store::StateDir;
use crate::store::retention::Keep;

/// What a listener is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens.
    pub bind: SocketAddr,
    /// Where people reach it, for links: `https://ci.example.com`, without a `/` at its end.
    pub url: Option<String>,
    /// Where queue, history and logs are.
    pub state: StateDir,
    /// How many runs go on at once. At least 1.
    pub runs: u32,
    /// How many runs of one repository go on at once. At least 1.
    pub runs_per_repository: u32,
    /// How many jobs of a run go on at once. At least 1.
    pub jobs: usize,
    /// How many runs may wait.
    pub capacity: u64,
    /// How long runs may go on when the listener is told to end.
    pub drain: Duration,
    /// When images are pulled.
    pub pull: PullPolicy,
    /// What containers of runs reach.
    pub egress: Egress,
    /// Whether there is a dashboard.
    pub dashboard: bool,
    /// How much of the history is kept.
    pub keep: Keep,
    /// Whether badges are shown to everybody.
    pub public_badges: bool,
    /// With which accounts elsewhere one signs in to it.
    pub sign_in: Vec<Provider>,
    /// The repositories. They alone are ever cloned, whatever a payload says.
    pub repositories: Vec<Repository>,
    /// What is shared with forges, each once.
    pub secrets: Vec<Secret>,
    /// Who is told how runs end.
    pub notify: Vec<Rule>,
}

/// A repository that is listened for.
#[derive(Debug, Clone)]
pub struct Repository {
    /// Where it is cloned from: a URL or a path.
    pub url: String,
    /// `owner/name` at its forge, where the URL does not tell it.
    pub name: Option<String>,
    /// Which of the listener's secrets makes a delivery for it genuine.
    pub secret: usize,
    /// How often its refs are looked at, where at all.
    pub poll: Option<Duration>,
    /// Time for each run.
    pub timeout: Option<Duration>,
    /// Variables of all steps.
    pub env: Env,
    /// Secrets, for the steps that ask for them.
    pub given: Vec<crate::plan::Secret>,
    /// How its forge is told of runs.
    pub status: Option<StatusApi>,
    /// What becomes of pull requests from forks.
    pub forks: Forks,
}

/// What becomes of pull requests from forks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forks {
    /// They are not run.
    #[default]
    Never,
    /// Each commit of them is run once somebody approved it, without secrets, by the pipeline file of the branch that it is to be
    /// merged into.
    Approve,
}

/// Whether a payload is about a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meant {
    Yes,
    /// It is a folder without a name: no payload can name it.
    CannotTell,
    No,
}

impl Config {
    /// The repository with this URL.
    #[must_use]
    pub fn repository(&self, url: &str) -> Option<&Repository> {
        self.repositories.iter().find(|repository| repository.url == url)
    }

    /// Which repository a payload with these names and addresses is about, of those that these secrets are of. A folder without
    /// a name is it where it is the only one.
    #[must_use]
    pub fn meant(&self, names: &[String], secrets: &[usize]) -> Option<&Repository> {
        let mut trusted = self.repositories.iter().filter(|repository| secrets.contains(&repository.secret));
        let named = trusted.clone().find(|repository| repository.is_meant(names) == Meant::Yes);
        let only = self.repositories.len() == 1;
        named.or_else(|| trusted.find(|repository| only && repository.is_meant(names) == Meant::CannotTell))
    }
}

impl Repository {
    fn is_meant(&self, names: &[String]) -> Meant {
        let own = place(&self.url);
        let path = own.as_deref().and_then(|own| own.split_once('/')).map(|(_, path)| path);
        // Bitbucket Data Center has it before the path of every repository.
        let path = path.map(|path| path.rsplit_once("scm/").map_or(path, |(_, path)| path).to_owned());
        let Some(path) = self.name.as_deref().map(plain).or(path) else { return Meant::CannotTell };
        let is_meant = names.iter().any(|name| match place(name) {
            Some(other) => own.as_ref() == Some(&other),
            // `owner/name` alone.
            None => plain(name) == path,
        });
        if is_meant { Meant::Yes } else { Meant::No }
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

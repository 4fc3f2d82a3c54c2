//! Statuses of commits at the forge: what stands beside a commit there.
//!
//! - GitHub: <https://docs.github.com/rest/commits/statuses>
//! - GitLab: <https://docs.gitlab.com/api/commits/#set-the-pipeline-status-of-a-commit>
//! - Gitea, Forgejo: <https://docs.gitea.com/api/> (`repoCreateStatus`)
//! - Bitbucket Cloud: <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-commit-statuses/>
//! - Bitbucket Data Center, 7.4 or later: <https://developer.atlassian.com/server/bitbucket/rest/> (builds)

use std::fmt;

use reqwest::Url;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::failure::SendError;
use super::http::{self, Client};
use super::source::{Address, SecretError, Source};
use super::words::{self, head};
use super::{Cause, TIMEOUT};
use crate::event::Status;
use crate::listen::forge::Forge;

/// The longest description that all forges take, in UTF-16 code units.
const DESCRIPTION: usize = 140;

/// Where a run is, as the forge is to show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It has begun.
    Pending,
    /// All green.
    Success,
    /// A job failed.
    Failure,
    /// The machinery failed, or it was cancelled.
    Error,
}

impl State {
    /// That of a run that ended.
    #[must_use]
    pub fn of(status: Status) -> Option<Self> {
        match status {
            Status::Success => Some(Self::Success),
            Status::Failure => Some(Self::Failure),
            Status::Error | Status::Cancelled => Some(Self::Error),
            Status::Skipped => None,
        }
    }

    /// That of a run that ended and was told to be pending: something must take the place of that.
    #[must_use]
    pub fn of_announced(status: Status) -> Self {
        Self::of(status).unwrap_or(Self::Error)
    }
}

/// What is told the forge. Its JSON is what an outbox keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitStatus {
    /// The commit, in full.
    pub commit: String,
    /// Where its run is.
    pub state: State,
    /// A sentence about it.
    pub description: String,
    /// Where the run can be looked at.
    #[serde(default)]
    pub url: Option<String>,
}

/// How a forge takes statuses of one repository.
#[derive(Debug, Clone)]
pub struct StatusApi {
    forge: Forge,
    /// The API's beginning, without a `/` at its end.
    api: String,
    /// `owner/name`.
    project: String,
    token: Source,
    context: String,
}

/// The table as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StatusTable {
    forge: Forge,
    token: Source,
    api: Option<String>,
    project: Option<String>,
    context: Option<String>,
}

/// Why no status can be told with a table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatusError {
    /// The repository's address has no host and no name at a forge.
    #[error("`status`: `{repository}` is no address at a forge: say its `api` and its `project` (`owner/name`)")]
    NoForge {
        /// The repository.
        repository: String,
    },
    /// The API's address is none.
    #[error("`status.api`: `{api}` is no address of the web")]
    Api {
        /// What was written.
        api: String,
    },
}

impl StatusTable {
    /// What it means for a repository with this address.
    pub(in crate::listen) fn of(self, repository: &str) -> Result<StatusApi, StatusError> {
        let no_forge = || StatusError::NoForge { repository: repository.to_owned() };
        let place = Place::of(repository);
        let api = match (self.api, &place) {
            (Some(api), _) => api,
            (None, Some(place)) => place.api(self.forge),
            (None, None) => return Err(no_forge()),
        };
        let project = self.project.or_else(|| Some(place?.project)).ok_or_else(no_forge)?;
        if Address::new(&api).is_err() {
            return Err(StatusError::Api { api });
        }
        Ok(StatusApi {
            forge: self.forge,
            api: api.trim_end_matches('/').to_owned(),
            project: project.trim_matches('/').to_owned(),
            token: self.token,
            context: self.context.unwrap_or_else(|| "argon".to_owned()),
        })
    }
}

/// Host and name of a repository at a forge, by its address.
struct Place {
    host: String,
    project: String,
}

impl Place {
    fn of(repository: &str) -> Option<Self> {
        let (host, path) = match Url::parse(repository) {
            Ok(url) => {
                let host = url.host_str()?;
                // The port of SSH says nothing of the API's.
                let port = url.port().filter(|_| matches!(url.scheme(), "http" | "https"));
                (port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")), url.path().to_owned())
            }
            // `git@host:owner/name.git`
            Err(_) => {
                let (authority, path) = repository.split_once(':')?;
                let host = authority.rsplit('@').next().filter(|host| !host.contains('/') && !host.is_empty())?;
                (host.to_owned(), path.to_owned())
            }
        };
        let path = path.trim_matches('/').trim_end_matches(".git");
        let project = path.strip_prefix("scm/").unwrap_or(path).to_owned();
        Some(Self { host, project })
    }

    fn api(&self, forge: Forge) -> String {
        let host = &self.host;
        match forge {
            Forge::GitHub if host == "github.com" => "https://api.github.com".to_owned(),
            Forge::GitHub => format!("https://{host}/api/v3"),
            Forge::GitLab => format!("https://{host}/api/v4"),
            Forge::Gitea => format!("https://{host}/api/v1"),
            Forge::Bitbucket => "https://api.bitbucket.org/2.0".to_owned(),
            Forge::BitbucketDataCenter => format!("https://{host}/rest/api/latest"),
        }
    }
}

impl StatusApi {
    /// Whether the token is there. Asks no server.
    ///
    /// # Errors
    /// Where it is not.
    pub async fn check(&self) -> Result<(), SecretError> {
        self.token.read().await.map(drop)
    }

    /// Whether a link has to go along.
    #[must_use]
    pub fn needs_url(&self) -> bool {
        matches!(self.forge, Forge::Bitbucket | Forge::BitbucketDataCenter)
    }

    /// Tells it, once.
    ///
    /// # Errors
    /// Where it was not told, or where nobody can tell. No error has a secret in it.
    pub async fn send(&self, status: &CommitStatus, client: &Client) -> Result<(), SendError> {
        let sending = async {
            let address = self.address(&status.commit);
            let address =
                Address::new(&address).map_err(|why| SendError::never(Cause::Message { why: why.to_owned() }))?;
            let token = self.token.read().await?;
            let mut request = http::json(&self.body(status));
            request.headers = self.headers(&token)?;
            request.hidden.push(token);
            http::post(client, &address, request).await
        };
        match tokio::time::timeout(TIMEOUT, sending).await {
            Ok(sent) => sent,
            Err(_) => Err(SendError::again(Cause::TimedOut { channel: self.to_string(), limit: TIMEOUT })),
        }
    }

    fn address(&self, commit: &str) -> String {
        let (api, project) = (&self.api, &self.project);
        match self.forge {
            Forge::GitHub | Forge::Gitea => format!("{api}/repos/{project}/statuses/{commit}"),
            // GitLab takes a path in place of a number where its `/` are escaped.
            Forge::GitLab => format!("{api}/projects/{}/statuses/{commit}", project.replace('/', "%2F")),
            Forge::Bitbucket => format!("{api}/repositories/{project}/commit/{commit}/statuses/build"),
            Forge::BitbucketDataCenter => {
                let (key, slug) = project.split_once('/').unwrap_or((project, ""));
                format!("{api}/projects/{key}/repos/{slug}/commits/{commit}/builds")
            }
        }
    }

    fn body(&self, status: &CommitStatus) -> Value {
        let description = head(&words::line(&status.description, DESCRIPTION), DESCRIPTION, String::from);
        let (context, url) = (&self.context, &status.url);
        match self.forge {
            Forge::GitHub | Forge::Gitea => {
                let mut body = json!({"state": status.state, "context": context, "description": description});
                put(&mut body, "target_url", url.as_deref());
                body
            }
            Forge::GitLab => {
                let state = match status.state {
                    State::Pending => "running",
                    State::Success => "success",
                    State::Failure => "failed",
                    State::Error => "canceled",
                };
                let mut body = json!({"state": state, "name": context, "description": description});
                put(&mut body, "target_url", url.as_deref());
                body
            }
            Forge::Bitbucket | Forge::BitbucketDataCenter => {
                let state = match (status.state, self.forge) {
                    (State::Pending, _) => "INPROGRESS",
                    (State::Success, _) => "SUCCESSFUL",
                    (State::Error, Forge::Bitbucket) => "STOPPED",
                    (State::Failure | State::Error, _) => "FAILED",
                };
                let mut body = json!({"key": context, "name": context, "state": state, "description": description});
                put(&mut body, "url", url.as_deref());
                body
            }
        }
    }

    fn headers(&self, token: &Zeroizing<String>) -> Result<Vec<(HeaderName, HeaderValue)>, SendError> {
        let (name, value) = match self.forge {
            Forge::GitHub | Forge::Bitbucket | Forge::BitbucketDataCenter => {
                (AUTHORIZATION, format!("Bearer {}", token.as_str()))
            }
            Forge::Gitea => (AUTHORIZATION, format!("token {}", token.as_str())),
            Forge::GitLab => (HeaderName::from_static("private-token"), token.to_string()),
        };
        let unfit = |_| SecretError::Unfit { of: self.token.to_string(), why: "it cannot stand in a header" };
        let mut value = HeaderValue::from_str(&value).map_err(unfit)?;
        value.set_sensitive(true);
        Ok(vec![(name, value), (ACCEPT, HeaderValue::from_static("application/json"))])
    }
}

fn put(body: &mut Value, key: &str, text: Option<&str>) {
    if let (Some(text), Value::Object(body)) = (text, body) {
        body.insert(key.to_owned(), text.into());
    }
}

/// For people; tells no secret.
impl fmt::Display for StatusApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status of {} at {}", self.project, self.forge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(forge: Forge, repository: &str) -> Result<StatusApi, StatusError> {
        let token = Source::Env("NO_SUCH_TOKEN".to_owned());
        StatusTable { forge, token, api: None, project: None, context: None }.of(repository)
    }

    #[test]
    fn each_forges_address_is_made_of_the_repositorys() {
        for (forge, repository, address) in [
            (Forge::GitHub, "https://github.com/Team/App.git", "https://api.github.com/repos/Team/App/statuses/abc"),
            (Forge::GitHub, "git@git.example:team/app.git", "https://git.example/api/v3/repos/team/app/statuses/abc"),
            (
                Forge::GitLab,
                "ssh://git@gitlab.example:2222/group/sub/app.git",
                "https://gitlab.example/api/v4/projects/group%2Fsub%2Fapp/statuses/abc",
            ),
            (
                Forge::Gitea,
                "https://user@gitea.example:3000/team/app",
                "https://gitea.example:3000/api/v1/repos/team/app/statuses/abc",
            ),
            (
                Forge::Bitbucket,
                "https://bitbucket.org/team/app.git",
                "https://api.bitbucket.org/2.0/repositories/team/app/commit/abc/statuses/build",
            ),
            (
                Forge::BitbucketDataCenter,
                "https://git.example/scm/TEAM/app.git",
                "https://git.example/rest/api/latest/projects/TEAM/repos/app/commits/abc/builds",
            ),
        ] {
            assert_eq!(api(forge, repository).unwrap().address("abc"), address);
        }
        assert!(matches!(api(Forge::GitHub, "/srv/app.git"), Err(StatusError::NoForge { .. })));
    }

    #[test]
    fn each_forge_has_its_words() {
        let told = |forge, state| {
            let status =
                CommitStatus { commit: "abc".into(), state, description: "x\ny".repeat(100), url: Some("u".into()) };
            api(forge, "https://example.com/team/app").unwrap().body(&status)
        };
        for (forge, words) in [
            (Forge::GitHub, ["pending", "success", "failure", "error"]),
            (Forge::GitLab, ["running", "success", "failed", "canceled"]),
            (Forge::Gitea, ["pending", "success", "failure", "error"]),
            (Forge::Bitbucket, ["INPROGRESS", "SUCCESSFUL", "FAILED", "STOPPED"]),
            (Forge::BitbucketDataCenter, ["INPROGRESS", "SUCCESSFUL", "FAILED", "FAILED"]),
        ] {
            for (state, word) in [State::Pending, State::Success, State::Failure, State::Error].into_iter().zip(words) {
                let body = told(forge, state);
                assert_eq!(body["state"], word, "{forge}");
                assert!(body["description"].as_str().unwrap().chars().count() <= DESCRIPTION);
                assert!(body.get("url").or(body.get("target_url")).is_some());
            }
        }
    }
}

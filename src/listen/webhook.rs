//! A delivery: the headers and bytes that a forge sends, to what they say. Pure: no IO.
//!
//! Three steps, in this order: [`Claim::read`] tells from the headers who says to send it; [`Claim::check`] verifies the signature
//! over the bytes as they came; only then does [`read`] look into them. Clone URLs in a payload are never used to clone: they only tell which
//! repository of the configuration is meant.

mod signature;

use std::borrow::Cow;

use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::Url;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub use signature::{Claim, Proof, Refusal, Secret, is_recent};

use super::forge::Forge;
use crate::trigger::{EventKind, Trigger, TriggerError};

/// How many branches and tags of one push are run; Bitbucket Cloud tells five.
const CHANGES: usize = 50;

/// The largest payload whose changes are runs of their own, in bytes.
const TAKEN_APART: usize = 1024 * 1024;

/// The media type of forms.
const FORM: &str = "application/x-www-form-urlencoded";

/// What a delivery says.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Who sends it.
    pub forge: Forge,
    /// The kind of event, as the forge calls it.
    pub event: String,
    /// The forge's id of it.
    pub id: Option<String>,
    /// SHA-256 of the body, in hex.
    pub body_hash: String,
    /// What to do about it.
    pub says: Says,
}

/// What a delivery asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Says {
    /// Something happened that a pipeline may want.
    Happened(Box<Happened>),
    /// Nothing: the forge looks whether somebody is there.
    Ping,
    /// A branch or a tag was deleted.
    Gone(Gone),
    /// Something that no pipeline can want, and why.
    Ignored(String),
}

/// A branch or a tag that was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// Its full name: `refs/heads/main`.
    pub reference: String,
    /// Where it was, where the forge says.
    pub commit: Option<String>,
    /// All addresses and names that the payload has for its repository.
    pub repository: Vec<String>,
    /// Why there is nothing to run.
    pub why: String,
}

/// Something that a pipeline may want.
#[derive(Debug, Clone, PartialEq)]
pub struct Happened {
    /// What started it.
    pub trigger: Trigger,
    /// All addresses and names that the payload has for its repository.
    pub repository: Vec<String>,
    /// Where the commits of a pull request come from.
    pub origin: Origin,
    /// The repository that they come from, by the forge's name for it.
    pub from: Option<String>,
}

/// Whose commits are to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The repository's own.
    Own,
    /// Those of another repository, whose owner may be anybody.
    Fork,
}

/// Why a delivery that is genuine cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadDelivery {
    /// A form without a payload.
    #[error("the form has no `payload`")]
    NoPayload,
    /// Its body is not said to be JSON.
    #[error("the content type is {found}: set it to application/json in the webhook's settings")]
    ContentType {
        /// What it is said to be.
        found: String,
    },
    /// Its body is compressed.
    #[error("the content encoding is {found}: send it as it is")]
    ContentEncoding {
        /// How.
        found: String,
    },
    /// The headers do not name the event.
    #[error("no header names the event")]
    NoEvent,
    /// The payload is not what the event says.
    #[error(transparent)]
    Payload(#[from] TriggerError),
    /// A branch or tag has a name that git does not take, or that could be taken for an option.
    #[error("`{name}` is no name of a branch or tag")]
    Name {
        /// The name.
        name: String,
    },
}

/// Checks what can be told of a body before it is there.
///
/// # Errors
/// Where it is compressed, or neither JSON nor a form.
pub fn check_form(headers: &HeaderMap) -> Result<(), BadDelivery> {
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase());
    if let Some(found) = text(CONTENT_ENCODING).filter(|encoding| encoding != "identity") {
        return Err(BadDelivery::ContentEncoding { found });
    }
    match content_type(headers) {
        Some(kind) if kind == "application/json" || kind == FORM => Ok(()),
        found => Err(BadDelivery::ContentType { found: found.unwrap_or_else(|| "not said".to_owned()) }),
    }
}

/// The payload of a body: itself, or what stands under `payload` in a form, as GitHub sends it where nobody chose JSON.
///
/// # Errors
/// Where a form has none.
pub fn payload<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<Cow<'a, [u8]>, BadDelivery> {
    if content_type(headers).as_deref() != Some(FORM) {
        return Ok(Cow::Borrowed(body));
    }
    let form = std::str::from_utf8(body).ok().and_then(|form| Url::parse(&format!("http://form/?{form}")).ok());
    let pairs = form.as_ref().into_iter().flat_map(Url::query_pairs);
    let payload = pairs.into_iter().find(|(key, _)| key == "payload").map(|(_, payload)| payload.into_owned());
    payload.map(|payload| Cow::Owned(payload.into_bytes())).ok_or(BadDelivery::NoPayload)
}

/// The payloads of a push, one for each branch and tag that it moved: Bitbucket tells all of them at once.
#[must_use]
pub fn each_change(payload: Vec<u8>) -> Vec<Vec<u8>> {
    const LISTS: [&str; 2] = ["/push/changes", "/changes"];
    // Only what may have several is taken apart, and is not so large that its copies would fill the memory.
    if payload.len() > TAKEN_APART {
        return vec![payload];
    }
    let Ok(whole) = serde_json::from_slice::<Value>(&payload) else { return vec![payload] };
    let several = |path: &&&str| whole.pointer(path).and_then(Value::as_array).is_some_and(|changes| changes.len() > 1);
    let Some(path) = LISTS.iter().find(several) else { return vec![payload] };
    let changes = whole.pointer(path).and_then(Value::as_array).cloned().unwrap_or_default();
    let one = |change: Value| {
        let mut one = whole.clone();
        if let Some(list) = one.pointer_mut(path) {
            *list = Value::Array(vec![change]);
        }
        one.to_string().into_bytes()
    };
    changes.into_iter().take(CHANGES).map(one).collect()
}

/// The media type of a body, without its parameters.
fn content_type(headers: &HeaderMap) -> Option<String> {
    let text = String::from_utf8_lossy(headers.get(CONTENT_TYPE)?.as_bytes()).to_ascii_lowercase();
    text.split(';').next().map(|kind| kind.trim().to_owned())
}

/// Reads the payload of a delivery whose signature was verified.
///
/// # Errors
/// Where the event is not named, or the payload is not what it should be.
pub fn read(forge: Forge, headers: &HeaderMap, body: &[u8]) -> Result<Delivery, BadDelivery> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (event, id) = match forge {
        Forge::GitHub => (text("x-github-event"), text("x-github-delivery")),
        // Not `X-Gitlab-Event-UUID`: webhooks that set off one another share it.
        Forge::GitLab => (text("x-gitlab-event"), text("webhook-id").or_else(|| text("idempotency-key"))),
        Forge::Gitea => (
            text("x-gitea-event").or_else(|| text("x-forgejo-event")).or_else(|| text("x-gogs-event")),
            text("x-gitea-delivery").or_else(|| text("x-forgejo-delivery")).or_else(|| text("x-gogs-delivery")),
        ),
        Forge::Bitbucket => (text("x-event-key"), text("x-request-uuid")),
        Forge::BitbucketDataCenter => (text("x-event-key"), text("x-request-id")),
    };
    let event = event.ok_or(BadDelivery::NoEvent)?;
    let says = match kind(forge, &event) {
        Named::Run(kind) => happened(kind, body)?,
        Named::Deletion => deleted(&event, body),
        Named::Ping => Says::Ping,
        Named::Other => Says::Ignored(format!("the event `{event}` starts no pipeline")),
    };
    Ok(Delivery { forge, event, id, body_hash: hex::encode(Sha256::digest(body)), says })
}

enum Named {
    Run(EventKind),
    /// That something was deleted, where the forge has an event of its own for it alone.
    Deletion,
    Ping,
    Other,
}

/// The kind of an event, by the forge's word for it.
fn kind(forge: Forge, event: &str) -> Named {
    match (forge, event) {
        (Forge::GitHub | Forge::Gitea, "push") => Named::Run(EventKind::Push),
        (Forge::GitHub | Forge::Gitea, "pull_request" | "pull_request_sync") => Named::Run(EventKind::PullRequest),
        (Forge::GitLab, "Push Hook" | "Tag Push Hook") => Named::Run(EventKind::Push),
        (Forge::GitLab, "Merge Request Hook") => Named::Run(EventKind::PullRequest),
        (Forge::Bitbucket, "repo:push") | (Forge::BitbucketDataCenter, "repo:refs_changed") => {
            Named::Run(EventKind::Push)
        }
        (Forge::Bitbucket, "pullrequest:created" | "pullrequest:updated")
        | (Forge::BitbucketDataCenter, "pr:opened" | "pr:from_ref_updated") => Named::Run(EventKind::PullRequest),
        // GitHub's tells nothing that its push did not.
        (Forge::Gitea, "delete") => Named::Deletion,
        (Forge::GitHub, "ping") | (Forge::BitbucketDataCenter, "diagnostics:ping") => Named::Ping,
        _ => Named::Other,
    }
}

fn happened(kind: EventKind, body: &[u8]) -> Result<Says, BadDelivery> {
    let trigger = match Trigger::from_json(kind, body) {
        Err(error @ TriggerError::Deleted { .. }) => return Ok(gone(body, error.to_string())),
        read => read?,
    };
    if let Some(why) = changes_no_commit(&trigger.payload) {
        return Ok(Says::Ignored(why));
    }
    for name in [&trigger.branch, &trigger.tag, &trigger.base_branch].into_iter().flatten() {
        check_name(name)?;
    }
    let (repository, (origin, from)) = (names(&trigger.payload), origin(&trigger.payload));
    Ok(Says::Happened(Box::new(Happened { trigger, repository, origin, from })))
}

/// What an event says that tells of a deletion and of nothing else.
fn deleted(event: &str, body: &[u8]) -> Says {
    gone(body, format!("the event `{event}` tells that something was deleted, so there is nothing to run"))
}

/// Which branch or tag is gone. What does not say that is ignored.
fn gone(body: &[u8], why: String) -> Says {
    let Ok(payload) = serde_json::from_slice::<Value>(body) else { return Says::Ignored(why) };
    let text = |path: &str| payload.pointer(path).and_then(Value::as_str);
    let named = |kind: Option<&str>, name: &str| match kind {
        Some("tag" | "annotated_tag") => format!("refs/tags/{name}"),
        _ => format!("refs/heads/{name}"),
    };
    let (reference, commit) = match (text("/ref"), text("/push/changes/0/old/name"), text("/changes/0/ref/id")) {
        (Some(full), ..) if full.starts_with("refs/") => (full.to_owned(), text("/before")),
        (Some(name), ..) => (named(text("/ref_type"), name), None),
        (None, Some(name), _) => {
            (named(text("/push/changes/0/old/type"), name), text("/push/changes/0/old/target/hash"))
        }
        (None, None, Some(full)) => (full.to_owned(), text("/changes/0/fromHash")),
        (None, None, None) => return Says::Ignored(why),
    };
    Says::Gone(Gone { reference, commit: commit.map(str::to_owned), repository: names(&payload), why })
}

/// What a pull request's commit is remembered by, of a forge whose word for “new commits” is its word for any edit: then one of a
/// commit that is known tells nothing new. Another target is.
#[must_use]
pub fn retold(trigger: &Trigger) -> Option<String> {
    let number = trigger.payload.pointer("/pullrequest/id")?;
    Some(format!("pull-request {number} {}", trigger.base_branch.as_deref().unwrap_or_default()))
}

/// Why a pull request's event brings no commit that was not there before: it was closed, labelled, assigned.
fn changes_no_commit(payload: &Value) -> Option<String> {
    let at = |path: &str| payload.pointer(path).and_then(Value::as_str);
    let is_pull = payload.get("pull_request").is_some();
    let action = if is_pull { at("/action") } else { at("/object_attributes/action") }?;
    let brings = match action {
        "opened" | "reopened" | "synchronize" | "synchronized" | "open" | "reopen" => true,
        // GitLab's `update` has `oldrev` where commits were pushed.
        "update" => at("/object_attributes/oldrev").is_some(),
        _ => false,
    };
    (!brings).then(|| format!("the pull request was {action}: no new commit came with it"))
}

/// All addresses and names of the repository that a payload is about.
fn names(payload: &Value) -> Vec<String> {
    const PATHS: [&str; 12] = [
        "/repository/full_name",
        "/repository/clone_url",
        "/repository/ssh_url",
        "/repository/html_url",
        "/repository/git_http_url",
        "/repository/git_ssh_url",
        "/repository/links/html/href",
        "/project/path_with_namespace",
        "/project/git_http_url",
        "/project/git_ssh_url",
        "/project/web_url",
        "/repositoryUrl",
    ];
    let named = PATHS.iter().filter_map(|path| Some(payload.pointer(path)?.as_str()?.to_owned()));
    let data_center = ["/repository", "/pullRequest/toRef/repository"];
    named.chain(data_center.iter().filter_map(|path| payload.pointer(path)).flat_map(names_of_data_center)).collect()
}

/// `KEY/slug`, and the addresses to clone from.
fn names_of_data_center(repository: &Value) -> impl Iterator<Item = String> {
    let text = |path: &str| repository.pointer(path).and_then(Value::as_str);
    let name = text("/project/key").zip(text("/slug")).map(|(key, slug)| format!("{key}/{slug}"));
    let clones = repository.pointer("/links/clone").and_then(Value::as_array).into_iter().flatten();
    name.into_iter().chain(clones.filter_map(|clone| Some(clone.get("href")?.as_str()?.to_owned())))
}

/// Whether a pull request's commits come from another repository, and which. Where the payload does not say, they do.
fn origin(payload: &Value) -> (Origin, Option<String>) {
    const PAIRS: [(&str, &str); 4] = [
        ("/pull_request/head/repo/full_name", "/pull_request/base/repo/full_name"),
        ("/object_attributes/source_project_id", "/object_attributes/target_project_id"),
        ("/pullrequest/source/repository/full_name", "/pullrequest/destination/repository/full_name"),
        ("/pullRequest/fromRef/repository/id", "/pullRequest/toRef/repository/id"),
    ];
    let is_pull = ["pull_request", "object_attributes", "pullrequest", "pullRequest"];
    if !is_pull.iter().any(|key| payload.get(key).is_some()) {
        return (Origin::Own, None);
    }
    let sides = PAIRS.iter().find_map(|(from, to)| Some((payload.pointer(from)?, payload.pointer(to)?)));
    let from = sides.map(|(from, _)| from.as_str().map_or_else(|| from.to_string(), str::to_owned));
    (if sides.is_some_and(|(from, to)| from == to) { Origin::Own } else { Origin::Fork }, from)
}

/// What the repository is called that a pull request's commits come from.
#[must_use]
pub fn fork_name(payload: &Value) -> Option<String> {
    const PATHS: [&str; 3] = [
        "/pull_request/head/repo/full_name",
        "/object_attributes/source/path_with_namespace",
        "/pullrequest/source/repository/full_name",
    ];
    let named = PATHS.iter().find_map(|path| Some(payload.pointer(path)?.as_str()?.to_owned()));
    named.or_else(|| names_of_data_center(payload.pointer("/pullRequest/fromRef/repository")?).next())
}

/// The rules of git-check-ref-format(1), and no name that could be taken for an option.
fn check_name(name: &str) -> Result<(), BadDelivery> {
    let is_bad = name.is_empty()
        || name.starts_with(['-', '/'])
        || name.ends_with(['/', '.'])
        || name.contains("..")
        || name.contains("@{")
        || name.contains("//")
        || name == "@"
        || name.split('/').any(|part| part.starts_with('.') || part.ends_with(".lock"))
        || name.chars().any(|c| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c));
    if is_bad { Err(BadDelivery::Name { name: name.to_owned() }) } else { Ok(()) }
}

/// What people call a repository: the last part of its address.
#[must_use]
pub fn repository_name(url: &str) -> &str {
    let plain = url.trim_end_matches('/').trim_end_matches(".git");
    plain.rsplit(['/', ':']).next().unwrap_or(plain)
}

/// The payload that the original Argon's services hand on, field for field, with what came to it since. The clone URL is that of
/// the configuration.
#[must_use]
pub fn processed(trigger: &Trigger, repository_url: &str, source: &str, received: jiff::Timestamp) -> Value {
    json!({
        "repositoryUrl": repository_url,
        "repoName": repository_name(repository_url),
        "branch": trigger.branch,
        "commitId": trigger.commit,
        "commitMessage": trigger.commit_message,
        "pusherName": trigger.pusher_name,
        "pusherEmail": trigger.pusher_email,
        "timestamp": received.to_string(),
        "triggerSource": source,
        "projectType": project_type(&trigger.payload),
        "event": trigger.kind.name(),
        "tag": trigger.tag,
        "baseBranch": trigger.base_branch,
    })
}

/// What a project is made in, as far as the delivery says: the forge's word for the repository's main language (GitHub, Gitea),
/// or what a sender of Argon's own form wrote. In small letters, as the original has it.
fn project_type(payload: &Value) -> Option<String> {
    let said = ["/projectType", "/repository/language"].iter().find_map(|at| payload.pointer(at)?.as_str());
    said.map(str::to_lowercase).filter(|word| !word.is_empty() && word.len() <= 40)
}

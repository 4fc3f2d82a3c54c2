//! The payloads of forges, as they document them, and Argon's own form: each to a [`Trigger`].
//!
//! - Argon: `{repositoryUrl, repoName, branch, commitId, commitMessage, pusherName, pusherEmail, timestamp, triggerSource,
//!   projectType}`, of a pull request with `baseBranch`
//! - GitHub: <https://docs.github.com/webhooks/webhook-events-and-payloads>; Gitea and Forgejo send the same in all that is
//!   read here
//! - GitLab: <https://docs.gitlab.com/user/project/integrations/webhook_events/>
//! - Bitbucket Cloud: <https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/>
//! - Bitbucket Data Center: <https://confluence.atlassian.com/bitbucketserver/event-payload-938025882.html>

mod fields;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{EventKind, MESSAGE_BYTES, NAME_BYTES, Trigger, TriggerError};
use fields::{Fields, all_zero, cut};

/// GitHub lists so many commits of a push at most.
const GITHUB_COMMITS: usize = 2048;

/// How many keys of an unknown payload are named.
const SHOWN_KEYS: usize = 6;

/// A shape of payload.
struct Shape {
    /// Who sends it.
    forge: &'static str,
    kind: EventKind,
    /// What only this shape has.
    is: fn(&Value) -> bool,
    read: fn(&Fields<'_>) -> Result<Trigger, TriggerError>,
}

const SHAPES: &[Shape] = &[
    Shape { forge: "GitLab", kind: EventKind::Push, is: is_gitlab_push, read: gitlab_push },
    Shape { forge: "GitLab", kind: EventKind::PullRequest, is: is_gitlab_merge, read: gitlab_merge },
    Shape { forge: "GitHub or Gitea", kind: EventKind::PullRequest, is: is_github_pull, read: github_pull },
    Shape { forge: "GitHub or Gitea", kind: EventKind::Push, is: is_github_push, read: github_push },
    Shape { forge: "Bitbucket", kind: EventKind::Push, is: is_bitbucket_push, read: bitbucket_push },
    Shape { forge: "Bitbucket", kind: EventKind::PullRequest, is: is_bitbucket_pull, read: bitbucket_pull },
    Shape { forge: "Bitbucket Data Center", kind: EventKind::Push, is: is_data_center_push, read: data_center_push },
    Shape {
        forge: "Bitbucket Data Center",
        kind: EventKind::PullRequest,
        is: is_data_center_pull,
        read: data_center_pull,
    },
];

/// Reads a payload, which is an object.
pub(super) fn read(kind: EventKind, payload: Value) -> Result<Trigger, TriggerError> {
    let own = |payload: &Value| payload.get("commitId").is_some();
    let found = SHAPES.iter().find(|shape| (shape.is)(&payload));
    let trigger = match (found, kind) {
        (None, _) if own(&payload) => normalised(&Fields { payload: &payload, forge: "Argon", kind })?,
        // Whoever starts those says what they like with them.
        (_, EventKind::Schedule | EventKind::Manual) => Trigger::new(kind),
        (None, _) => return Err(unknown(&payload)),
        (Some(shape), _) if shape.kind != kind => {
            return Err(TriggerError::OtherKind { forge: shape.forge, wanted: kind, found: shape.kind });
        }
        (Some(shape), _) => (shape.read)(&Fields { payload: &payload, forge: shape.forge, kind })?,
    };
    Ok(Trigger { payload, ..trigger })
}

fn unknown(payload: &Value) -> TriggerError {
    let keys = payload.as_object().into_iter().flat_map(Map::keys);
    TriggerError::Unknown { keys: keys.take(SHOWN_KEYS).map(|key| format!("`{}`", cut(key, 40))).collect() }
}

fn normalised(fields: &Fields<'_>) -> Result<Trigger, TriggerError> {
    let named = fields.text("/branch");
    let (branch, tag) = match named.as_deref().and_then(|name| name.strip_prefix("refs/tags/")) {
        Some(tag) => (None, Some(fields.name("branch", tag)?)),
        None => {
            let branch = named.as_deref().map(|name| name.strip_prefix("refs/heads/").unwrap_or(name));
            (branch.map(|name| fields.name("branch", name)).transpose()?, None)
        }
    };
    let base = fields.text("/baseBranch");
    let base = base.as_deref().map(|name| name.strip_prefix("refs/heads/").unwrap_or(name));
    Ok(Trigger {
        branch,
        tag,
        base_branch: base.map(|name| fields.name("baseBranch", name)).transpose()?,
        commit: Some(fields.commit("commitId")?),
        base_commit: fields.commit_before("/beforeCommitId"),
        commit_message: fields.message("/commitMessage"),
        pusher_name: fields.person("/pusherName"),
        pusher_email: fields.person("/pusherEmail"),
        ..Trigger::new(fields.kind)
    })
}

fn is_github_push(payload: &Value) -> bool {
    payload.get("ref").is_some() && payload.get("after").is_some() && payload.get("object_kind").is_none()
}

fn github_push(fields: &Fields<'_>) -> Result<Trigger, TriggerError> {
    let (branch, tag) = fields.reference("ref")?;
    fields.refuse_deleted("/after", branch.as_ref().or(tag.as_ref()))?;
    let commit = fields.commit("after")?;
    let commits = fields.list("/commits");
    // Gitea counts all of a push and lists some; GitHub lists all, up to a limit.
    let total = fields.count("/total_commits").unwrap_or(commits.len());
    let is_all = total == commits.len() && commits.len() < GITHUB_COMMITS;
    let is_linear = !fields.is_true("/forced") && !fields.is_true("/created");
    let message = fields.message("/head_commit/message");
    Ok(Trigger {
        branch,
        tag,
        commit_message: message.or_else(|| message_of(commits, "id", &commit)),
        base_commit: fields.commit_before("/before"),
        pusher_name: fields.person_of(&["/pusher/name", "/pusher/full_name", "/pusher/login", "/sender/login"]),
        pusher_email: fields.person("/pusher/email"),
        changed_paths: if is_all && is_linear { paths(commits) } else { None },
        commit: Some(commit),
        ..Trigger::new(fields.kind)
    })
}

fn is_github_pull(payload: &Value) -> bool {
    payload.get("pull_request").is_some_and(Value::is_object)
}

fn github_pull(fields: &Fields<'_>) -> Result<Trigger, TriggerError> {
    Ok(Trigger {
        branch: Some(fields.branch("pull_request.head.ref")?),
        base_branch: Some(fields.branch("pull_request.base.ref")?),
        commit: Some(fields.commit("pull_request.head.sha")?),
        base_commit: fields.commit_before("/pull_request/base/sha"),
        commit_message: fields.message("/pull_request/title"),
        pusher_name: fields.person_of(&["/sender/full_name", "/sender/login", "/pull_request/user/login"]),
        pusher_email: fields.person("/sender/email"),
        ..Trigger::new(fields.kind)
    })
}

fn object_kind(payload: &Value) -> Option<&str> {
    payload.get("object_kind").and_then(Value::as_str)
}

fn is_gitlab_push(payload: &Value) -> bool {
    matches!(object_kind(payload), Some("push" | "tag_push"))
}

fn gitlab_push(fields: &Fields<'_>) -> Result<Trigger, TriggerError> {
    let (branch, tag) = fields.reference("ref")?;
    fields.refuse_deleted("/after", branch.as_ref().or(tag.as_ref()))?;
    // Of an annotated tag, `after` is the tag's own id.
    let commit =
        fields.text("/checkout_sha").map_or_else(|| fields.commit("after"), |_| fields.commit("checkout_sha"))?;
    let commits = fields.list("/commits");
    let is_all = fields.count("/total_commits_count") == Some(commits.len());
    let base_commit = fields.commit_before("/before");
    Ok(Trigger {
        branch,
        tag,
        commit_message: message_of(commits, "id", &commit).or_else(|| fields.message("/message")),
        pusher_name: fields.person_of(&["/user_name", "/user_username"]),
        pusher_email: fields.person("/user_email"),
        changed_paths: if is_all && base_commit.is_some() { paths(commits) } else { None },
        base_commit,
        commit: Some(commit),
        ..Trigger::new(fields.kind)
    })
}

fn is_gitlab_merge(payload: &Value) -> bool {
    object_kind(payload) == Some("merge_request")
}

fn gitlab_merge(fields: &Fields<'_>) -> Result<Trigger, TriggerError> {
    Ok(Trigger {
        branch: Some(fields.branch("object_attributes.source_branch")?),
        base_branch: Some(fields.branch("object_attributes.target_branch")?),
        commit: Some(fields.commit("object_attributes.last_commit.id")?),
        commit_message: fields.message("/object_attributes/title"),
        pusher_name: fields.person_of(&["/user/name", "/user/username"]),
        // Where a user hides it, GitLab sends these words.
        pusher_email: fields.person("/user/email").filter(|email| email != "[REDACTED]"),
        ..Trigger::new(fields.kind)
    })
}

fn is_bitbucket_push(payload: &Value) -> bool {
    payload.pointer("/push/changes").is_some_and(Value::is_array)
}

/// A push may move several refs: the first that is left is taken, as the others come to the same files or to runs of their own.
fn bitbucket_push(fields: &Fields<'_>) -> Result<Trigger, TriggerError> {
    let changes = fields.list("/push/changes");
    let Some(change) = changes.iter().find(|change| change.get("new").is_some_and(Value::is_object)) else {
        return match changes.first().and_then(|change| change.pointer("/old/name")).and_then(Value::as_str) {
            Some(name) => Err(TriggerError::Deleted { what: cut(name, NAME_BYTES) }),
            None => Err(fields.wrong("push.changes", "empty")),
        };
    };
    let change = Fields { payload: change, ..*fields };
    let name = change.branch("new.name")?;
    let (branch, tag) = match change.text("/new/type").as_deref() {
        Some("tag" | "annotated_tag") => (None, Some(name)),
        _ => (Some(name), None),
    };
    Ok(Trigger {
        branch,
        tag,
        commit: Some(change.commit("new.target.hash")?),
        base_commit: change.commit_before("/old/target/hash"),
        commit_message: change.message("/new/target/message"),
        pusher_name: fields.person_of(&["/actor/display_name", "/actor/nickname"]),
        pusher_email: None,
        ..Trigger::new(fields.kind)
    })
}

fn is_bitbucket_pull(payload: &Value) -> bool {
    payload.get("pullrequest").is_some_and(Value::is_object)
}

fn bitbucket_pull(fields: &Fields<'_>) -> Result<Trigger, TriggerError> {
    Ok(Trigger {
        branch: Some(fields.branch("pullrequest.source.branch.name")?),
        base_branch: Some(fields.branch("pullrequest.destination.branch.name")?),
        commit: Some(fields.commit("pullrequest.source.commit.hash")?),
        base_commit: fields.commit_before("/pullrequest/destination/commit/hash"),
        commit_message: fields.message("/pullrequest/title"),
        pusher_name: fields.person_of(&["/actor/display_name", "/actor/nickname"]),
        ..Trigger::new(fields.kind)
    })
}

fn is_data_center_push(payload: &Value) -> bool {
    payload.get("eventKey").and_then(Value::as_str) == Some("repo:refs_changed")
}

fn data_center_push(fields: &Fields<'_>) -> Result<Trigger, TriggerError> {
    let changes = fields.list("/changes");
    let is_left = |change: &&Value| !change.get("toHash").and_then(Value::as_str).is_none_or(all_zero);
    let Some(change) = changes.iter().find(is_left) else {
        return match changes.first().and_then(|change| change.pointer("/ref/displayId")).and_then(Value::as_str) {
            Some(name) => Err(TriggerError::Deleted { what: cut(name, NAME_BYTES) }),
            None => Err(fields.wrong("changes", "empty")),
        };
    };
    let change = Fields { payload: change, ..*fields };
    let (branch, tag) = change.reference("ref.id")?;
    let commit = change.commit("toHash")?;
    let message = fields.message("/toCommit/message").or_else(|| message_of(fields.list("/commits"), "id", &commit));
    Ok(Trigger {
        branch,
        tag,
        base_commit: change.commit_before("/fromHash"),
        commit_message: message,
        pusher_name: fields.person_of(&["/actor/displayName", "/actor/name"]),
        pusher_email: fields.person("/actor/emailAddress"),
        commit: Some(commit),
        ..Trigger::new(fields.kind)
    })
}

fn is_data_center_pull(payload: &Value) -> bool {
    payload.get("pullRequest").is_some_and(Value::is_object)
}

fn data_center_pull(fields: &Fields<'_>) -> Result<Trigger, TriggerError> {
    Ok(Trigger {
        branch: Some(fields.branch("pullRequest.fromRef.displayId")?),
        base_branch: Some(fields.branch("pullRequest.toRef.displayId")?),
        commit: Some(fields.commit("pullRequest.fromRef.latestCommit")?),
        base_commit: fields.commit_before("/pullRequest/toRef/latestCommit"),
        commit_message: fields.message("/pullRequest/title"),
        pusher_name: fields.person_of(&["/actor/displayName", "/actor/name"]),
        pusher_email: fields.person("/actor/emailAddress"),
        ..Trigger::new(fields.kind)
    })
}

/// The message of a commit in a list of them; of the last one where none has the id.
fn message_of(commits: &[Value], id: &str, commit: &str) -> Option<String> {
    let one = commits.iter().find(|one| one.get(id).and_then(Value::as_str) == Some(commit)).or(commits.last())?;
    fields::clean(one.get("message")?.as_str()?, MESSAGE_BYTES)
}

/// The files that commits added, changed and removed; `None` where one of them does not say.
fn paths(commits: &[Value]) -> Option<Vec<String>> {
    let mut paths = BTreeSet::new();
    for commit in commits {
        for key in ["added", "modified", "removed"] {
            for path in commit.get(key)?.as_array()? {
                paths.insert(path.as_str()?.to_owned());
            }
        }
    }
    (!commits.is_empty()).then(|| paths.into_iter().collect())
}

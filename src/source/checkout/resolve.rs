//! A revision in a person's words to one commit.

use gix::ObjectId;
use gix::bstr::ByteSlice;

use super::Wanted;
use crate::source::SourceError;

/// Where the branches of the repository that was asked for are kept in the one at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Branches {
    /// It is that repository.
    Local,
    /// It is a clone of it.
    OfOrigin,
}

impl Branches {
    fn prefix(self) -> &'static str {
        match self {
            Self::Local => "refs/heads/",
            Self::OfOrigin => "refs/remotes/origin/",
        }
    }
}

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) commit: ObjectId,
    /// Its branch, where the revision was one.
    pub(super) branch: Option<String>,
}

/// How many names are offered where none matches.
const SIMILAR: usize = 3;

/// Refuses what no revision looks like, before anything is fetched.
pub(super) fn check(revision: &str) -> Result<(), SourceError> {
    let reason = if revision.is_empty() {
        "it is empty"
    } else if revision.starts_with('-') {
        "it begins with a dash"
    } else if revision.chars().any(|c| c.is_control() || c == ' ') {
        "it has spaces or control characters in it"
    } else if revision.contains(':') || revision.contains("..") {
        "it names a range or a file, not a commit"
    } else {
        return Ok(());
    };
    Err(SourceError::Revision { revision: revision.to_owned(), reason })
}

/// Resolves a revision: a branch before a tag before a commit id; none is HEAD.
pub(super) fn revision(
    repository: &gix::Repository,
    wanted: &Wanted<'_>,
    branches: Branches,
) -> Result<Found, SourceError> {
    match wanted.revision {
        None | Some("HEAD") => default(repository, wanted),
        Some(revision) => named(repository, wanted, revision, branches),
    }
}

fn default(repository: &gix::Repository, wanted: &Wanted<'_>) -> Result<Found, SourceError> {
    let failed = |source| SourceError::Clone { repository: wanted.shown.clone(), source };
    let head = repository.head().map_err(failed)?;
    let branch = head
        .referent_name()
        .and_then(|name| name.as_bstr().strip_prefix(b"refs/heads/"))
        .map(|name| name.to_str_lossy().into_owned());
    if head.is_unborn() {
        return Err(SourceError::Empty { repository: wanted.shown.clone() });
    }
    let commit = head.into_peeled_id().map_err(failed)?.detach();
    Ok(Found { commit, branch })
}

fn named(
    repository: &gix::Repository,
    wanted: &Wanted<'_>,
    revision: &str,
    branches: Branches,
) -> Result<Found, SourceError> {
    let branch = revision.strip_prefix("refs/heads/").unwrap_or(revision);
    if let Some(commit) = commit_of_ref(repository, &format!("{}{branch}", branches.prefix())) {
        return Ok(Found { commit, branch: Some(branch.to_owned()) });
    }
    let tag = revision.strip_prefix("refs/tags/").unwrap_or(revision);
    if let Some(commit) = commit_of_ref(repository, &format!("refs/tags/{tag}")) {
        return Ok(Found { commit, branch: None });
    }
    match parsed(repository, revision) {
        Ok(commit) => Ok(Found { commit, branch: None }),
        Err(error) if is_ambiguous(&error) => {
            Err(SourceError::Ambiguous { repository: wanted.shown.clone(), revision: revision.to_owned() })
        }
        Err(_) => Err(SourceError::RefGone {
            repository: wanted.shown.clone(),
            revision: revision.to_owned(),
            similar: similar(repository, revision, branches),
        }),
    }
}

/// The commit of a ref by its full name. A revision that is no valid name names no ref.
fn commit_of_ref(repository: &gix::Repository, name: &str) -> Option<ObjectId> {
    let mut reference = repository.try_find_reference(name).ok().flatten()?;
    // A lookup by partial name would take `refs/tags/refs/heads/x` too.
    if reference.name().as_bstr() != name {
        return None;
    }
    let id = reference.peel_to_id().ok()?;
    Some(id.object().ok()?.peel_to_commit().ok()?.id)
}

fn parsed(repository: &gix::Repository, revision: &str) -> gix::Result<ObjectId> {
    Ok(repository.rev_parse_single(revision)?.object()?.peel_to_commit()?.id)
}

fn is_ambiguous(error: &gix::Error) -> bool {
    use gix::revision::spec::parse::Error;
    matches!(
        error.downcast_any_ref::<Error>(),
        Some(Error::AmbiguousPrefix { .. } | Error::AmbiguousRefAndObject { .. })
    )
}

/// Branches and tags whose names are close, best first.
fn similar(repository: &gix::Repository, revision: &str, branches: Branches) -> Vec<String> {
    let Ok(references) = repository.references() else {
        return Vec::new();
    };
    let mut names = Vec::new();
    let all = references.all().into_iter().flatten().flatten();
    for reference in all {
        let name = reference.name().as_bstr().to_str_lossy().into_owned();
        let short = name.strip_prefix(branches.prefix()).or_else(|| name.strip_prefix("refs/tags/"));
        if let Some(short) = short {
            let closeness = strsim::jaro_winkler(short, revision);
            if closeness > 0.8 {
                names.push((closeness, short.to_owned()));
            }
        }
    }
    names.sort_by(|a, b| b.0.total_cmp(&a.0));
    names.into_iter().take(SIMILAR).map(|(_, name)| name).collect()
}

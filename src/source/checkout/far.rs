//! A repository elsewhere: a full clone. Credentials come from the user's own git credential helpers and ssh agent.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use gix::progress::Discard;
use gix::remote::{Direction, ref_map};

use super::{Prepared, Wanted, resolve};
use crate::source::SourceError;

/// Clones into `target`, and once more asks for the revision by name where no branch or tag leads to it.
pub(super) fn prepare(
    url: &str,
    target: &Path,
    wanted: &Wanted<'_>,
    interrupt: &AtomicBool,
) -> Result<Prepared, SourceError> {
    install_tls();
    let cloned = clone(url, target, interrupt);
    if interrupt.load(Ordering::Relaxed) {
        return Err(SourceError::Interrupted);
    }
    let repository = cloned.map_err(|source| SourceError::Clone { repository: wanted.shown.clone(), source })?;
    let found = match resolve::revision(&repository, wanted, resolve::Branches::OfOrigin) {
        Err(SourceError::RefGone { similar, .. }) => {
            again(&repository, wanted, interrupt).ok_or_else(|| SourceError::RefGone {
                repository: wanted.shown.clone(),
                revision: wanted.revision.unwrap_or_default().to_owned(),
                similar,
            })?
        }
        other => other?,
    };
    Ok(Prepared { commit: found.commit, branch: found.branch, repository })
}

/// The HTTP client has no TLS of its own.
pub(in crate::source) fn install_tls() {
    // An error only says that a provider is installed already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
}

fn clone(url: &str, target: &Path, interrupt: &AtomicBool) -> gix::Result<gix::Repository> {
    let mut clone = gix::clone::PrepareFetch::new(
        url,
        target,
        gix::create::Kind::WithWorktree,
        gix::create::Options::default(),
        gix::open::Options::default(),
    )?
    .with_remote_name("origin")?;
    let (mut repository, _) = clone.fetch_only(Discard, interrupt)?;
    repository.committer_or_set_generic_fallback()?;
    Ok(repository)
}

/// A commit that was pushed over, or a ref outside of branches and tags (`refs/pull/1/head`): servers give most of them when asked.
fn again(repository: &gix::Repository, wanted: &Wanted<'_>, interrupt: &AtomicBool) -> Option<resolve::Found> {
    let revision = wanted.revision?;
    let is_id = gix::ObjectId::from_hex(revision.as_bytes()).is_ok();
    if !is_id && !revision.starts_with("refs/") {
        return None;
    }
    let spec = format!("+{revision}:refs/argon/wanted");
    let fetched = || -> gix::Result<gix::ObjectId> {
        let mut remote = repository.find_remote("origin")?.with_fetch_tags(gix::remote::fetch::Tags::None);
        remote.replace_refspecs([spec.as_str()], Direction::Fetch)?;
        remote
            .connect(Direction::Fetch)?
            .prepare_fetch(Discard, ref_map::Options::default())?
            .receive(Discard, interrupt)?;
        let id = repository.find_reference("refs/argon/wanted")?.into_fully_peeled_id()?;
        Ok(id.object()?.peel_to_commit()?.id)
    };
    fetched().ok().map(|commit| resolve::Found { commit, branch: None })
}

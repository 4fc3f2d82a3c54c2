//! One commit of a repository elsewhere, without its history and without its files on disk.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use gix::progress::Discard;
use gix::remote::fetch::{Shallow, Tags};
use gix::remote::{Direction, ref_map};

use super::{Scratch, Wanted, far};
use crate::source::{SourceError, worktree};

/// Why a commit did not come alone.
enum Alone {
    /// The server cannot be reached: another way would not either.
    Unreachable(gix::Error),
    /// The server does not give single commits, or not this one.
    Refused,
}

/// Fetches a commit, named by its full id, into a repository in a temporary folder. A server that gives no single commits is
/// cloned from.
pub(in crate::source) fn commit_alone(
    url: &str,
    shown: &str,
    commit: &str,
    interrupt: &AtomicBool,
) -> Result<(Scratch, gix::Repository), SourceError> {
    far::install_tls();
    let temporary = |source| SourceError::Temporary { source };
    let folder = Scratch::make().map_err(temporary)?;
    let alone = folder.path().join("alone");
    let fetched = fetch(url, &alone, commit, interrupt);
    if interrupt.load(Ordering::Relaxed) {
        return Err(SourceError::Interrupted);
    }
    let repository = match fetched {
        Ok(repository) => repository,
        Err(Alone::Unreachable(source)) => {
            return Err(SourceError::Clone { repository: shown.to_owned(), source });
        }
        Err(Alone::Refused) => {
            let wanted = Wanted { shown: shown.to_owned(), revision: Some(commit) };
            let whole = folder.path().join("whole");
            std::fs::create_dir(&whole).map_err(temporary)?;
            far::prepare(url, &whole, &wanted, interrupt)?.repository
        }
    };
    Ok((folder, repository))
}

fn fetch(url: &str, target: &Path, commit: &str, interrupt: &AtomicBool) -> Result<gix::Repository, Alone> {
    let mut repository = empty(target).map_err(|_| Alone::Refused)?;
    let spec = format!("+{commit}:refs/argon/wanted");
    {
        let remote = || -> gix::Result<gix::Remote<'_>> {
            let mut remote = repository.remote_at(url)?.with_fetch_tags(Tags::None);
            remote.replace_refspecs([spec.as_str()], Direction::Fetch)?;
            Ok(remote)
        };
        let remote = remote().map_err(|_| Alone::Refused)?;
        let connection = remote.connect(Direction::Fetch).map_err(Alone::Unreachable)?;
        let prepared = connection.prepare_fetch(Discard, ref_map::Options::default()).map_err(Alone::Unreachable)?;
        prepared
            .with_shallow(Shallow::DepthAtRemote(NonZeroU32::MIN))
            .receive(Discard, interrupt)
            .map_err(|_| Alone::Refused)?;
    }
    repository.reload().map_err(|_| Alone::Refused)?;
    Ok(repository)
}

fn empty(target: &Path) -> gix::Result<gix::Repository> {
    gix::init_bare(target)?;
    let options = worktree::quiet(gix::open::Options::default());
    let mut repository = options.open(target)?.to_thread_local();
    repository.committer_or_set_generic_fallback()?;
    Ok(repository)
}

//! What `changed(…)` and `paths` ask of the workspace: which files differ from a base, and which commit that base is.
//!
//! The base's tree is compared with the index, and the index with the files, as `git status` would with the base in place
//! of HEAD: stat data decide for most files, and nothing is read that did not change.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::status::{UntrackedFiles, tree_index};

use super::listing::{Found, look, on_disk};
use super::{SourceError, Workspace, worktree};

/// What a workspace is to be compared with, where whoever started the run knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// This commit: what a branch pointed to before a push.
    Commit(String),
    /// Where the workspace's commit and this one parted: the tip of what a pull request is to be merged into.
    Fork(String),
    /// The same, for the tip of a branch: `origin`'s, or the one here.
    ForkOfBranch(String),
}

/// The paths that differ from the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// There is nothing to compare with: every file counts as changed.
    All,
    /// These: files of the workspace, and files that only the base has. Not UTF-8 is shown as `U+FFFD`.
    Some(BTreeSet<String>),
}

/// What differs, and from what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The paths.
    pub changes: Changes,
    /// What they were compared with, in words for people: `1a2b3c4d5e6f, where this branch left origin/main`.
    pub base: String,
}

impl Changes {
    /// Whether a path that is `wanted` is among them.
    pub fn any(&self, wanted: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Self::All => true,
            Self::Some(paths) => paths.iter().any(|path| wanted(path)),
        }
    }
}

/// A commit to compare with.
struct Base {
    commit: ObjectId,
    /// How it was come by, behind its id.
    why: String,
}

/// What was found to compare with.
enum Choice {
    Base(Base),
    /// Nothing, and why.
    Nothing(String),
}

impl Workspace {
    /// Says what the workspace is to be compared with. Where nobody says, [`changes`](Self::changes) finds out.
    pub fn compare_with(&mut self, since: Since) {
        self.since = Some(since);
        self.compared = std::sync::OnceLock::new();
    }

    /// What differs from the base. Found out once, the first time that it is asked for.
    ///
    /// The base is what [`compare_with`](Self::compare_with) said; else where HEAD left its branch's upstream, else where it
    /// left the first of `origin/HEAD`, `origin/main`, `origin/master`, `main` and `master` that has something HEAD has
    /// grown from and is not HEAD itself; else HEAD where something is not committed, else its first parent.
    ///
    /// # Errors
    /// Where the repository, or a file, cannot be read.
    pub fn changes(&self) -> Result<&Comparison, SourceError> {
        if let Some(known) = self.compared.get() {
            return Ok(known);
        }
        let found = compare(self)?;
        Ok(self.compared.get_or_init(|| found))
    }

    /// The paths that differ from the base, where there is one; else those that were `told`, which is what an event lists.
    /// `None`: every file counts as changed.
    ///
    /// # Errors
    /// As [`changes`](Self::changes).
    pub fn changed_paths(&self, told: Option<&[String]>) -> Result<Option<Vec<String>>, SourceError> {
        Ok(match &self.changes()?.changes {
            Changes::Some(paths) => Some(paths.iter().cloned().collect()),
            Changes::All => told.map(<[String]>::to_vec),
        })
    }

    /// A digest of what is not committed, so that two runs of one commit can be told apart: [`hash_files`](Self::hash_files)
    /// of the files that differ from HEAD, with the names of those that are gone. `None` where nothing differs.
    ///
    /// # Errors
    /// Where the repository, or a file, cannot be read.
    pub fn dirty_hash(&self) -> Result<Option<String>, SourceError> {
        let head = self.info.commit.as_deref().and_then(|id| ObjectId::from_hex(id.as_bytes()).ok());
        let (Some(head), true) = (head, self.info.dirty) else { return Ok(None) };
        let Some(repository) = worktree::discover(&self.root)? else { return Ok(None) };
        let paths = differing(self, &repository, head)?;
        let mut hasher = blake3::Hasher::new();
        for path in &paths {
            hasher.update(path.as_bytes()).update(&[0]);
        }
        if let Some(files) = self.hash_files(&|path| paths.contains(path))? {
            hasher.update(files.as_bytes());
        }
        Ok(Some(hasher.finalize().to_hex().to_string()))
    }
}

fn compare(workspace: &Workspace) -> Result<Comparison, SourceError> {
    let all = |base: &str| Comparison { changes: Changes::All, base: base.to_owned() };
    // A folder within another's repository was not taken as one: `info` tells what it was opened as.
    let Some(head) = workspace.info.commit.as_deref().and_then(|id| ObjectId::from_hex(id.as_bytes()).ok()) else {
        return Ok(all("nothing: there is no commit"));
    };
    let Some(mut repository) = worktree::discover(&workspace.root)? else {
        return Ok(all("nothing: there is no repository"));
    };
    repository.object_cache_size_if_unset(OBJECT_CACHE);
    let failed = |source| SourceError::Compare { folder: workspace.root.clone(), source };
    let base = match &workspace.since {
        Some(since) => given(&repository, head, since),
        None => found_out(&repository, head, workspace).map_err(failed)?,
    };
    Ok(match base {
        Choice::Nothing(why) => all(&why),
        Choice::Base(Base { commit, why }) => Comparison {
            changes: Changes::Some(differing(workspace, &repository, commit)?),
            base: format!("{}, {why}", commit.to_hex_with_len(SHOWN)),
        },
    })
}

/// Bytes of objects that a search through history keeps.
const OBJECT_CACHE: usize = 4 * 1024 * 1024;

/// How many digits of an id people see.
const SHOWN: usize = 12;

/// The base that an event names.
fn given(repository: &gix::Repository, head: ObjectId, since: &Since) -> Choice {
    let (name, commit) = match since {
        Since::Commit(id) | Since::Fork(id) => (id, commit_of_id(repository, id)),
        Since::ForkOfBranch(branch) => {
            let names = [format!("refs/remotes/origin/{branch}"), format!("refs/heads/{branch}")];
            (branch, names.iter().find_map(|name| commit_of(repository, name)))
        }
    };
    let Some(commit) = commit else {
        return Choice::Nothing(format!("nothing: the event's base {name} is not in the repository"));
    };
    match since {
        Since::Commit(_) => Choice::Base(Base { commit, why: "the event's base".to_owned() }),
        Since::Fork(_) | Since::ForkOfBranch(_) => match fork(repository, head, commit) {
            Some(commit) => Choice::Base(Base { commit, why: "where this branch left the event's base".to_owned() }),
            None => Choice::Nothing(format!("nothing: the event's base {name} has no commit in common with HEAD")),
        },
    }
}

/// A commit by its id, or the first digits of it.
fn commit_of_id(repository: &gix::Repository, id: &str) -> Option<ObjectId> {
    if id.len() < 7 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let found = match ObjectId::from_hex(id.as_bytes()) {
        Ok(id) => id,
        Err(_) => repository.rev_parse_single(id).ok()?.detach(),
    };
    Some(repository.find_object(found).ok()?.peel_to_commit().ok()?.id)
}

/// Where two lines of history parted.
fn fork(repository: &gix::Repository, one: ObjectId, other: ObjectId) -> Option<ObjectId> {
    repository.merge_base(one, other).ok().flatten().map(gix::Id::detach)
}

fn found_out(repository: &gix::Repository, head: ObjectId, workspace: &Workspace) -> gix::Result<Choice> {
    let branch = workspace.info.branch.as_deref();
    let upstream = branch.and_then(|branch| upstream(repository, branch));
    let guesses = ["refs/remotes/origin/HEAD", "refs/remotes/origin/main", "refs/remotes/origin/master"]
        .into_iter()
        .chain(["refs/heads/main", "refs/heads/master"])
        .filter(|name| branch.is_none_or(|branch| name.strip_prefix("refs/heads/") != Some(branch)))
        .map(str::to_owned);
    for name in upstream.into_iter().chain(guesses) {
        let Some(tip) = commit_of(repository, &name) else { continue };
        // Where HEAD is part of what it is compared with, all of it was pushed or merged: the next one may say more.
        if let Some(commit) = fork(repository, head, tip).filter(|commit| *commit != head) {
            let short = name.trim_start_matches("refs/").trim_start_matches("remotes/").trim_start_matches("heads/");
            return Ok(Choice::Base(Base { commit, why: format!("where this branch left {short}") }));
        }
    }
    if workspace.info.dirty {
        return Ok(Choice::Base(Base { commit: head, why: "the last commit".to_owned() }));
    }
    let parent = repository.find_commit(head)?.parent_ids().next().map(gix::Id::detach);
    Ok(match parent.filter(|parent| repository.find_commit(*parent).is_ok()) {
        Some(commit) => Choice::Base(Base { commit, why: "the commit before the last".to_owned() }),
        None => Choice::Nothing("nothing: there is one commit only".to_owned()),
    })
}

/// The ref that a branch is told to follow.
fn upstream(repository: &gix::Repository, branch: &str) -> Option<String> {
    let name = gix::refs::FullName::try_from(format!("refs/heads/{branch}")).ok()?;
    let found = repository.branch_remote_tracking_ref_name(name.as_ref(), gix::remote::Direction::Fetch)?.ok()?;
    Some(found.as_bstr().to_str_lossy().into_owned())
}

fn commit_of(repository: &gix::Repository, name: &str) -> Option<ObjectId> {
    let mut reference = repository.try_find_reference(name).ok().flatten()?;
    if reference.name().as_bstr() != name {
        return None;
    }
    let id = reference.peel_to_id().ok()?;
    Some(id.object().ok()?.peel_to_commit().ok()?.id)
}

/// On which of the two comparisons a path showed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Once,
    Twice,
}

/// The paths that differ between a commit and the files.
fn differing(
    workspace: &Workspace,
    repository: &gix::Repository,
    base: ObjectId,
) -> Result<BTreeSet<String>, SourceError> {
    let failed = |source| SourceError::Compare { folder: workspace.root.clone(), source };
    let tree = repository.find_object(base).and_then(|object| object.peel_to_tree()).map_err(failed)?;
    let seen = statuses(repository, tree.id).map_err(failed)?;
    let ignored = worktree::argonignore(&workspace.root)?;
    let mut paths = BTreeSet::new();
    for (path, seen) in seen {
        let is_left_out = ignored
            .as_ref()
            .is_some_and(|rules| rules.matched_path_or_any_parents(on_disk(Path::new(""), &path), false).is_ignore());
        if is_left_out || (seen == Seen::Twice && is_as_in(workspace, repository, &tree, &path)) {
            continue;
        }
        // A submodule is one path to git, and a folder of files to a pattern.
        let below = [path.as_slice(), b"/"].concat();
        let files = workspace.listing.iter().map(|(path, _)| path).filter(|path| path.starts_with(&below));
        if workspace.listing.is_directory(&path) {
            paths.extend(files.map(|path| String::from_utf8_lossy(path).into_owned()));
        }
        paths.insert(String::from_utf8_lossy(&path).into_owned());
    }
    Ok(paths)
}

/// All paths where the index differs from the tree, or a file from the index.
fn statuses(repository: &gix::Repository, tree: ObjectId) -> gix::Result<HashMap<Vec<u8>, Seen>> {
    let mut seen = HashMap::new();
    let items = repository
        .status(gix::progress::Discard)?
        .head_tree(tree)
        .untracked_files(UntrackedFiles::Files)
        .tree_index_track_renames(tree_index::TrackRenames::Disabled)
        .index_worktree_rewrites(None)
        .into_iter(None)?;
    for item in items {
        let item = item?;
        if let gix::status::Item::IndexWorktree(change) = &item
            && change.summary().is_none()
        {
            // Only its stat data changed.
            continue;
        }
        seen.entry(item.location().to_vec()).and_modify(|seen| *seen = Seen::Twice).or_insert(Seen::Once);
    }
    Ok(seen)
}

/// Whether a file that was changed and changed again is now as it was. What cannot be told counts as changed.
fn is_as_in(workspace: &Workspace, repository: &gix::Repository, tree: &gix::Tree<'_>, path: &[u8]) -> bool {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;

    let disk = on_disk(&workspace.root, path);
    let entry = tree.lookup_entry_by_path(on_disk(Path::new(""), path)).ok().flatten();
    let (entry, metadata) = match (entry, look(&disk)) {
        (Some(entry), Ok(Found::Leaf(metadata))) => (entry, metadata),
        (None, Ok(Found::Nothing)) => return true,
        _ => return false,
    };
    let mode = entry.mode();
    let content = if metadata.is_symlink() {
        mode.is_link().then(|| disk.read_link().ok()).flatten().map(|target| target.as_os_str().as_bytes().to_vec())
    } else {
        let is_executable = metadata.permissions().mode() & 0o100 != 0;
        (mode.is_blob() && mode.is_executable() == is_executable).then(|| std::fs::read(&disk).ok()).flatten()
    };
    let id =
        content.and_then(|bytes| gix::objs::compute_hash(repository.object_hash(), gix::objs::Kind::Blob, &bytes).ok());
    id.is_some_and(|id| id == entry.object_id())
}

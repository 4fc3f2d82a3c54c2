//! Files of other repositories, at a commit: from a path, over the network, from the cache.

use std::sync::atomic::AtomicBool;

use argon::source::include::{FetchError, MAX_BYTES, Wanted, fetch};

use super::*;

fn wanted(url: &str, commit: &str, path: &str) -> Wanted {
    Wanted { url: url.to_owned(), commit: commit.to_owned(), path: path.to_owned() }
}

fn get(wanted: &Wanted, cache: Option<&Path>) -> Result<Vec<u8>, FetchError> {
    fetch(wanted, cache, &AtomicBool::new(false))
}

/// A repository with what can stand at a path, and its commit; the file `ci/a.yml` is another one since.
fn library() -> (TempDir, String) {
    let source = repository();
    let top = source.path();
    write(top, "ci/a.yml", "jobs: {}\n");
    write(top, "large", &"x".repeat(usize::try_from(MAX_BYTES).unwrap() + 1));
    write(top, "just right", &"x".repeat(usize::try_from(MAX_BYTES).unwrap()));
    symlink("ci/a.yml", top.join("link.yml")).unwrap();
    symlink("ci", top.join("linked")).unwrap();
    let then = commit(top, "then");
    write(top, "ci/a.yml", "jobs: {later}\n");
    commit(top, "later");
    (source, then)
}

fn assert_files(url: &str, commit: &str, cache: Option<&Path>) {
    assert_eq!(get(&wanted(url, commit, "ci/a.yml"), cache).unwrap(), b"jobs: {}\n");
    assert_eq!(get(&wanted(url, commit, "just right"), cache).unwrap().len() as u64, MAX_BYTES);
    for (path, expected) in [
        ("ci/b.yml", "there is no ci/b.yml in"),
        ("linked/a.yml", "there is no linked/a.yml in"),
        ("link.yml", "is a symlink, not a file"),
        ("ci", "is a folder, not a file"),
        ("large", "has 1048577 bytes, more than the 1048576 that are read"),
        ("../a.yml", "is not the path of a file"),
    ] {
        let error = get(&wanted(url, commit, path), cache).unwrap_err();
        assert!(error.to_string().contains(expected), "{path}: {error}");
        assert!(error.hint().is_some(), "{error}");
    }
    let gone = "0123456789012345678901234567890123456789";
    let error = get(&wanted(url, gone, "ci/a.yml"), cache).unwrap_err();
    assert!(matches!(&error, FetchError::NoCommit { commit, .. } if commit == gone), "{error:?}");
    for revision in ["main", "v1", &commit[..12], "--upload-pack=x", ""] {
        let error = get(&wanted(url, revision, "ci/a.yml"), cache).unwrap_err();
        assert!(matches!(error, FetchError::NotAnId { .. }), "{revision}: {error:?}");
    }
}

#[test]
fn a_repository_on_this_machine_is_read_as_it_is() {
    let (source, then) = library();
    let parent = TempDir::new().unwrap();
    let cache = parent.path().join("cache");
    let bare = parent.path().join("bare.git");
    git(parent.path(), &["clone", "-q", "--bare", source.path().to_str().unwrap(), "bare.git"]);
    for url in [source.path().display().to_string(), bare.display().to_string(), format!("file://{}", bare.display())] {
        assert_files(&url, &then, Some(&cache));
    }
    assert!(!cache.exists(), "what is here needs no copy");
    // A tag's or a tree's id is no commit's.
    let tree = git(source.path(), &["rev-parse", "HEAD^{tree}"]);
    let error = get(&wanted(source.path().to_str().unwrap(), &tree, "README"), None).unwrap_err();
    assert!(matches!(error, FetchError::NoCommit { .. }), "{error:?}");
}

#[test]
fn a_repository_elsewhere_is_asked_once() {
    let (source, then) = library();
    let cache = TempDir::new().unwrap();
    let daemon = Daemon::over(source.path());
    let url = format!("{}/.git", daemon.url);
    assert_files(&url, &then, Some(cache.path()));
    assert_files(&url, &then, None);
    drop(daemon);
    // What was fetched is here without a network; what was not is not.
    let kept = wanted(&url, &then, "ci/a.yml");
    assert_eq!(get(&kept, Some(cache.path())).unwrap(), b"jobs: {}\n");
    for (wanted, cache) in [(&kept, None), (&wanted(&url, &then, "README"), Some(cache.path()))] {
        let error = get(wanted, cache).unwrap_err();
        assert!(matches!(error, FetchError::Source(SourceError::Clone { .. })), "{error:?}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn a_commit_that_no_branch_leads_to_is_fetched_too() {
    let (source, _) = library();
    let top = source.path();
    git(top, &["checkout", "-q", "--detach"]);
    write(top, "ci/a.yml", "of a pull request");
    let orphan = commit(top, "orphan");
    git(top, &["checkout", "-q", "main"]);
    let daemon = Daemon::over(top);
    let found = get(&wanted(&format!("{}/.git", daemon.url), &orphan, "ci/a.yml"), None).unwrap();
    assert_eq!(found, b"of a pull request");
}

#[test]
fn addresses_that_run_something_are_refused_and_no_password_is_shown() {
    let commit = "0123456789012345678901234567890123456789";
    for url in ["ext::sh -c touch% x", "--upload-pack=touch x", "ftp://example.com/a"] {
        let error = get(&wanted(url, commit, "a"), None).unwrap_err();
        assert!(matches!(error, FetchError::Source(SourceError::Address { .. })), "{url}: {error:?}");
    }
    let error = get(&wanted("http://user:s3cret@127.0.0.1:1/x", commit, "a"), None).unwrap_err();
    assert!(!error.to_string().contains("s3cret"), "{error}");
}

#[test]
fn a_cache_that_cannot_be_written_to_is_done_without() {
    let (source, then) = library();
    let daemon = Daemon::over(source.path());
    let file = source.path().join("README");
    let url = format!("{}/.git", daemon.url);
    assert_eq!(get(&wanted(&url, &then, "ci/a.yml"), Some(&file.join("cache"))).unwrap(), b"jobs: {}\n");
}

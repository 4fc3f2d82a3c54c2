//! What `hash()` and `changed()` ask of a source, against the real `git`.

use std::time::{Duration, Instant};

use argon::source::{Changes, Since, ignored};

use super::*;

/// The changed paths, and what they were compared with, ids replaced.
fn changed(workspace: &Workspace) -> (Vec<String>, String) {
    let comparison = workspace.changes().unwrap();
    let paths = match &comparison.changes {
        Changes::All => vec!["(all)".to_owned()],
        Changes::Some(paths) => paths.iter().cloned().collect(),
    };
    let base = match comparison.base.split_once(", ") {
        Some((id, why)) if id.len() == 12 => why.to_owned(),
        _ => comparison.base.clone(),
    };
    (paths, base)
}

#[track_caller]
fn assert_changed(workspace: &Workspace, paths: &[&str], base: &str) {
    assert_eq!(changed(workspace), (paths.iter().map(|&path| path.to_owned()).collect(), base.to_owned()));
}

/// `origin` (bare) with README and src/main.sh on main, and a clone of it.
fn with_origin() -> (TempDir, PathBuf) {
    let parent = TempDir::new().unwrap();
    let first = repository();
    git(parent.path(), &["clone", "-q", "--bare", first.path().to_str().unwrap(), "origin.git"]);
    git(parent.path(), &["clone", "-q", "origin.git", "work"]);
    let work = parent.path().join("work");
    (parent, work)
}

#[test]
fn without_a_repository_or_a_parent_everything_changed() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), "a", "a");
    assert_changed(&working_tree(folder.path()), &["(all)"], "nothing: there is no commit");
    git(folder.path(), &["init", "-q"]);
    assert_changed(&working_tree(folder.path()), &["(all)"], "nothing: there is no commit");
    commit(folder.path(), "first");
    assert_changed(&working_tree(folder.path()), &["(all)"], "nothing: there is one commit only");
}

#[test]
fn without_another_branch_the_last_commit_or_the_one_before_it_is_the_base() {
    let source = repository();
    let top = source.path();
    write(top, "docs/a.md", "a");
    commit(top, "docs");
    assert_changed(&working_tree(top), &["docs/a.md"], "the commit before the last");
    write(top, "README", "other");
    assert_changed(&working_tree(top), &["README"], "the last commit");
}

#[test]
fn a_branch_is_compared_with_where_it_left_its_upstream_or_the_main_one() {
    let (_parent, work) = with_origin();
    // All is pushed: what the last commit did.
    write(&work, "a", "a");
    commit(&work, "a");
    assert_changed(&working_tree(&work), &["a"], "where this branch left origin/main");
    git(&work, &["push", "-q"]);
    assert_changed(&working_tree(&work), &["a"], "the commit before the last");

    // A branch that follows nothing, and others went on.
    git(&work, &["checkout", "-q", "--no-track", "-b", "topic", "origin/main"]);
    write(&work, "b", "b");
    commit(&work, "b");
    write(&work, "c", "c");
    commit(&work, "c");
    assert_changed(&working_tree(&work), &["b", "c"], "where this branch left origin/HEAD");
    git(&work, &["checkout", "-q", "main"]);
    write(&work, "elsewhere", "x");
    commit(&work, "on main");
    git(&work, &["push", "-q"]);
    git(&work, &["checkout", "-q", "topic"]);
    assert_changed(&working_tree(&work), &["b", "c"], "where this branch left origin/HEAD");

    // One that was pushed: what came since, and when all is pushed, what it did since main.
    git(&work, &["push", "-q", "-u", "origin", "topic"]);
    write(&work, "d", "d");
    commit(&work, "d");
    assert_changed(&working_tree(&work), &["d"], "where this branch left origin/topic");
    git(&work, &["push", "-q"]);
    assert_changed(&working_tree(&work), &["b", "c", "d"], "where this branch left origin/HEAD");

    // No remote at all: the main branch here.
    git(&work, &["remote", "remove", "origin"]);
    assert_changed(&working_tree(&work), &["b", "c", "d"], "where this branch left main");
    git(&work, &["checkout", "-q", "--detach"]);
    assert_changed(&working_tree(&work), &["b", "c", "d"], "where this branch left main");
}

#[test]
fn what_is_not_committed_counts_and_what_was_undone_does_not() {
    let (_parent, work) = with_origin();
    write(&work, ".gitignore", "*.log\n");
    write(&work, "both", "1");
    write(&work, "undone", "1");
    write(&work, "moved", "long enough to be taken for the same file\n");
    commit(&work, "base");
    git(&work, &["push", "-q"]);
    let base = git(&work, &["rev-parse", "HEAD"]);
    write(&work, "both", "2");
    write(&work, "undone", "2");
    git(&work, &["mv", "moved", "moved to"]);
    git(&work, &["rm", "-q", "src/main.sh"]);
    commit(&work, "work");
    write(&work, "both", "3");
    write(&work, "undone", "1");
    write(&work, "new/file", "x");
    write(&work, "new/x.log", "x");
    write(&work, ".argonignore", "secret\n");
    write(&work, "secret", "x");
    write(&work, "staged", "x");
    git(&work, &["add", "staged"]);
    fs::remove_file(work.join("README")).unwrap();
    let workspace = working_tree(&work);
    let expected = [".argonignore", "README", "both", "moved", "moved to", "new/file", "src/main.sh", "staged"];
    assert_changed(&workspace, &expected, "where this branch left origin/main");

    // The same as git tells of it.
    git(&work, &["add", "-A"]);
    let by_git = git(&work, &["diff", "--cached", "--name-only", "--no-renames", &base]);
    let by_git: Vec<&str> = by_git.lines().filter(|path| *path != "secret").collect();
    assert_eq!(by_git, expected);

    // A mode alone, and what is as it was with other stat data.
    git(&work, &["commit", "-qm", "all"]);
    git(&work, &["push", "-q"]);
    fs::set_permissions(work.join("both"), PermissionsExt::from_mode(0o755)).unwrap();
    write(&work, "staged", "x");
    assert_changed(&working_tree(&work), &["both"], "the last commit");
}

#[test]
fn the_event_s_base_wins() {
    let (_parent, work) = with_origin();
    let first = git(&work, &["rev-parse", "HEAD"]);
    git(&work, &["checkout", "-q", "-b", "topic"]);
    write(&work, "a", "a");
    commit(&work, "a");
    git(&work, &["checkout", "-q", "main"]);
    write(&work, "b", "b");
    let target = commit(&work, "b");
    git(&work, &["checkout", "-q", "topic"]);

    let with = |since: Since| {
        let mut workspace = working_tree(&work);
        workspace.compare_with(since);
        changed(&workspace)
    };
    let paths = |paths: &[&str], base: &str| (paths.iter().map(|&path| path.to_owned()).collect(), base.to_owned());
    assert_eq!(with(Since::Commit(first)), paths(&["a"], "the event's base"));
    assert_eq!(with(Since::Commit(target.clone())), paths(&["a", "b"], "the event's base"));
    assert_eq!(with(Since::Fork(target)), paths(&["a"], "where this branch left the event's base"));
    for gone in ["0123456789012345678901234567890123456789", "main", "-x"] {
        let base = format!("nothing: the event's base {gone} is not in the repository");
        assert_eq!(with(Since::Commit(gone.into())), paths(&["(all)"], &base));
    }

    // A checkout has a base too.
    let mut workspace = checkout(work.to_str().unwrap(), Some("topic")).unwrap();
    workspace.compare_with(Since::ForkOfBranch("main".into()));
    assert_changed(&workspace, &["a"], "where this branch left the event's base");
    let workspace = checkout(work.to_str().unwrap(), Some("topic")).unwrap();
    assert_changed(&workspace, &["a"], "where this branch left origin/main");
}

#[test]
fn a_submodule_that_moved_on_is_all_of_its_files() {
    let library = repository();
    let source = repository();
    let top = source.path();
    git(top, &["submodule", "add", "-q", library.path().to_str().unwrap(), "vendor/lib"]);
    commit(top, "with submodule");
    write(&top.join("vendor/lib"), "more", "x");
    commit(&top.join("vendor/lib"), "more");
    let (paths, _) = changed(&working_tree(top));
    for path in ["vendor/lib", "vendor/lib/README", "vendor/lib/more", "vendor/lib/src/main.sh"] {
        assert!(paths.iter().any(|changed| changed == path), "{path} is not in {paths:?}");
    }
    assert!(!paths.iter().any(|path| path == "README"), "{paths:?}");
}

#[test]
fn a_large_tree_is_compared_at_once() {
    let source = repository();
    let top = source.path();
    for folder in 0..200 {
        for file in 0..100 {
            write(top, &format!("d{folder}/f{file}"), "x");
        }
    }
    commit(top, "many");
    git(top, &["checkout", "-q", "-b", "topic"]);
    write(top, "d7/f7", "other");
    commit(top, "one");
    write(top, "d9/new", "x");
    let workspace = working_tree(top);
    let began = Instant::now();
    assert_changed(&workspace, &["d7/f7", "d9/new"], "where this branch left main");
    let took = began.elapsed();
    // Reading each file would take many times that, also on a busy machine.
    assert!(took < Duration::from_secs(5), "{took:?}");
    let began = Instant::now();
    workspace.changes().unwrap();
    assert!(began.elapsed() < Duration::from_millis(5), "it was not kept");
}

#[test]
fn the_hash_is_of_names_modes_and_content() {
    let source = repository();
    let top = source.path();
    write(top, "lib/a", "1");
    symlink("a", top.join("lib/link")).unwrap();
    commit(top, "lib");
    let hash = |wanted: &str| working_tree(top).hash_files(&|path| path.starts_with(wanted)).unwrap();
    let first = hash("lib/").unwrap();
    assert_eq!(first.len(), 64);
    assert_eq!(hash("lib/").unwrap(), first);
    assert_eq!(hash("nothing"), None);
    assert_eq!(hash(".git/"), None, "what is in .git is no file of the source");

    let mut seen = BTreeSet::from([first.clone()]);
    let mut differs = |what: &str, seen_now: String| assert!(seen.insert(seen_now), "{what} does not count");
    write(top, "lib/a", "2");
    differs("content", hash("lib/").unwrap());
    fs::set_permissions(top.join("lib/a"), PermissionsExt::from_mode(0o755)).unwrap();
    differs("the mode", hash("lib/").unwrap());
    fs::rename(top.join("lib/a"), top.join("lib/b")).unwrap();
    differs("the name", hash("lib/").unwrap());
    fs::remove_file(top.join("lib/link")).unwrap();
    differs("a file that is gone", hash("lib/").unwrap());
    symlink("b", top.join("lib/link")).unwrap();
    differs("where a link leads", hash("lib/").unwrap());
    fs::remove_file(top.join("lib/link")).unwrap();
    write(top, "lib/link", "b");
    differs("that it is a link", hash("lib/").unwrap());

    // Neither what is elsewhere nor when it was written counts, nor whether it is a working tree or a checkout.
    git(top, &["checkout", "-q", "-f", "."]);
    git(top, &["clean", "-qfd"]);
    write(top, "elsewhere", "x");
    assert_eq!(hash("lib/").unwrap(), first);
    let clean = checkout(top.to_str().unwrap(), None).unwrap();
    assert_eq!(clean.hash_files(&|path| path.starts_with("lib/")).unwrap().unwrap(), first);

    // A file that goes away under it is as it was.
    let workspace = working_tree(top);
    fs::remove_file(top.join("lib/a")).unwrap();
    assert_eq!(workspace.hash_files(&|path| path.starts_with("lib/")).unwrap().unwrap(), first);
}

#[test]
fn the_form_of_the_hash_is_fixed() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), "a", "hello");
    let mut bytes = Vec::new();
    bytes.extend(1u64.to_le_bytes());
    bytes.extend(b"a\0");
    bytes.extend(5u64.to_le_bytes());
    bytes.extend(b"hello");
    let expected = blake3::hash(&bytes).to_hex().to_string();
    assert_eq!(working_tree(folder.path()).hash_files(&|_| true).unwrap().unwrap(), expected);
}

#[test]
fn ignored_files_are_told_from_tracked_ones() {
    let source = repository();
    let top = source.path();
    write(top, "kept.log", "x");
    write(top, "build/kept", "x");
    commit(top, "before they were ignored");
    write(top, ".gitignore", "*.log\nbuild/\n/.env\n");
    for path in ["x.log", "sub/y.log", "build/out", ".env", "sub/.env", "dist/a"] {
        write(top, path, "x");
    }
    let asked = [
        "x.log",
        "./x.log",
        "sub/y.log",
        "kept.log",
        "build",
        "build/out",
        "build/kept",
        ".env",
        "sub/.env",
        "dist/a",
        "README",
        "gone.log",
        "../x.log",
        "/etc/passwd",
        "",
        "sub//y.log",
    ];
    let found = ["x.log", "./x.log", "sub/y.log", "build/out", ".env", "sub//y.log"];
    assert_eq!(ignored(top, &asked).unwrap(), found);
    // From a folder of it.
    assert_eq!(ignored(&top.join("sub"), &["y.log", ".env", "../x.log"]).unwrap(), ["y.log"]);
    let elsewhere = TempDir::new().unwrap();
    write(elsewhere.path(), ".gitignore", "a\n");
    write(elsewhere.path(), "a", "x");
    assert_eq!(ignored(elsewhere.path(), &["a"]).unwrap(), Vec::<&str>::new());
}

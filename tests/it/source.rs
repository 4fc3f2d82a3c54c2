//! Sources against the real `git`: what git lists is what the tar holds, and git works in what was unpacked.

mod changes;
mod includes;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use argon::source::{Owner, SourceError, SourceRequest, TarOptions, TarSummary, Top, Workspace, open};
use tempfile::TempDir;

/// `git` with nothing of this machine's configuration.
fn command(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(folder).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap());
    for (key, value) in [
        ("HOME", "/nonexistent"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_AUTHOR_NAME", "A"),
        ("GIT_AUTHOR_EMAIL", "a@example.com"),
        ("GIT_COMMITTER_NAME", "A"),
        ("GIT_COMMITTER_EMAIL", "a@example.com"),
        ("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z"),
        ("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z"),
    ] {
        command.env(key, value);
    }
    command.args(["-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always"]);
    command
}

fn git_bytes(folder: &Path, args: &[&str]) -> Vec<u8> {
    let output = command(folder).args(args).output().expect("git is needed for these tests");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn git(folder: &Path, args: &[&str]) -> String {
    String::from_utf8_lossy(&git_bytes(folder, args)).trim_end().to_owned()
}

fn write(folder: &Path, path: &str, content: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn commit(folder: &Path, message: &str) -> String {
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-q", "--allow-empty", "-m", message]);
    git(folder, &["rev-parse", "HEAD"])
}

/// A repository with one commit: `README`, `src/main.sh` (executable).
fn repository() -> TempDir {
    let folder = TempDir::new().unwrap();
    git(folder.path(), &["init", "-q"]);
    write(folder.path(), "README", "hello\n");
    write(folder.path(), "src/main.sh", "#!/bin/sh\n");
    fs::set_permissions(folder.path().join("src/main.sh"), PermissionsExt::from_mode(0o755)).unwrap();
    commit(folder.path(), "first");
    git(folder.path(), &["tag", "-a", "v1", "-m", "v1"]);
    folder
}

fn working_tree(folder: &Path) -> Workspace {
    open(&SourceRequest::WorkingTree { folder: folder.to_owned() }).unwrap()
}

fn options() -> TarOptions {
    TarOptions { prefix: "workspace".into(), owner: Owner { uid: 1000, gid: 1001 }, include_top: Top::Include }
}

fn tar_of(workspace: &Workspace) -> (Vec<u8>, TarSummary) {
    let mut bytes = Vec::new();
    let summary = workspace.write_tar(&mut bytes, &options()).unwrap();
    (bytes, summary)
}

/// Unpacks as an engine would, and gives the folder that `workspace` became.
fn unpacked(workspace: &Workspace) -> (TempDir, PathBuf) {
    let target = TempDir::new().unwrap();
    let (bytes, _) = tar_of(workspace);
    let mut tar = Command::new("tar")
        .args(["-x", "--no-same-owner", "-C"])
        .arg(target.path())
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    tar.stdin.take().unwrap().write_all(&bytes).unwrap();
    assert!(tar.wait().unwrap().success());
    let folder = target.path().join("workspace");
    (target, folder)
}

/// Files and symlinks below a folder, `.git` apart, each with its mode and content (or its target).
fn tree(folder: &Path) -> BTreeSet<(Vec<u8>, u32, Vec<u8>)> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().as_os_str().as_bytes().to_vec();
            let metadata = path.symlink_metadata().unwrap();
            if path.file_name() == Some(OsStr::new(".git")) {
                continue;
            } else if metadata.is_symlink() {
                let target = path.read_link().unwrap().into_os_string().into_vec();
                found.insert((name, 0o777, target));
            } else if metadata.is_dir() {
                folders.push(path);
            } else {
                found.insert((name, metadata.permissions().mode() & 0o777, fs::read(&path).unwrap()));
            }
        }
    }
    found
}

fn names(folder: &Path) -> BTreeSet<Vec<u8>> {
    tree(folder).into_iter().map(|(name, _, _)| name).collect()
}

/// What `git ls-files -co --exclude-standard` names and is on disk, and not behind a symlink: git calls that deleted too.
fn listed_by_git(folder: &Path) -> BTreeSet<Vec<u8>> {
    git_bytes(folder, &["ls-files", "-z", "-co", "--exclude-standard"])
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty() && !name.ends_with(b"/"))
        .filter(|name| is_there(&folder.canonicalize().unwrap().join(OsStr::from_bytes(name))))
        .map(<[u8]>::to_vec)
        .collect()
}

fn is_there(path: &Path) -> bool {
    let parent = path.parent().unwrap();
    path.symlink_metadata().is_ok() && parent.canonicalize().unwrap() == parent
}

/// The copy holds what git lists, with the same modes and contents, and git says the same of both.
fn assert_same(source: &Path, copy: &Path) {
    assert_eq!(names(copy), listed_by_git(source));
    let expected: BTreeSet<_> =
        tree(source).into_iter().filter(|(name, _, _)| listed_by_git(source).contains(name)).collect();
    assert_eq!(tree(copy), expected);
    for args in [
        ["status", "--porcelain=v1", "-z", "--branch"].as_slice(),
        &["log", "--format=%H %s"],
        &["describe", "--always", "--tags"],
        &["rev-parse", "HEAD"],
        &["for-each-ref"],
    ] {
        assert_eq!(git(copy, args), git(source, args), "git {args:?}");
    }
    git(copy, &["fsck", "--strict"]);
}

#[test]
fn a_clean_repository_is_copied_whole() {
    let source = repository();
    let workspace = working_tree(source.path());
    let (_keep, copy) = unpacked(&workspace);
    assert_same(source.path(), &copy);
    assert_eq!(git(&copy, &["status", "--porcelain"]), "");
    assert_eq!(workspace.info.commit, Some(git(source.path(), &["rev-parse", "HEAD"])));
    assert_eq!(workspace.info.branch.as_deref(), Some("main"));
    assert!(!workspace.info.dirty);
    assert_eq!(workspace.warnings, Vec::<String>::new());
}

#[test]
fn the_tar_begins_with_its_top_and_belongs_to_the_owner() {
    let source = repository();
    let (bytes, summary) = tar_of(&working_tree(source.path()));
    let mut archive = tar::Archive::new(bytes.as_slice());
    let mut files = 0;
    for (position, entry) in archive.entries().unwrap().enumerate() {
        let entry = entry.unwrap();
        let header = entry.header();
        if position == 0 {
            assert_eq!(&*entry.path_bytes(), b"workspace/");
            assert_eq!(header.mode().unwrap(), 0o755);
        }
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (1000, 1001));
        files += u64::from(!header.entry_type().is_dir());
    }
    assert_eq!(summary.files, files);
    assert_eq!(working_tree(source.path()).size().files, files);
}

#[test]
fn a_tar_without_prefix_and_top() {
    let source = repository();
    let workspace = working_tree(source.path());
    let mut bytes = Vec::new();
    let options = TarOptions { prefix: String::new(), include_top: Top::Omit, ..options() };
    workspace.write_tar(&mut bytes, &options).unwrap();
    let paths: Vec<_> = tar::Archive::new(bytes.as_slice())
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path_bytes().into_owned())
        .filter(|path| !path.starts_with(b".git"))
        .collect();
    assert_eq!(paths, [b"README".as_slice(), b"src/", b"src/main.sh"]);
}

#[test]
fn edits_deletions_and_new_files_are_as_git_lists_them() {
    let source = repository();
    let top = source.path();
    write(top, ".gitignore", "*.log\nbuild/\n!keep.log\n");
    write(top, "tracked.log", "tracked although ignored");
    git(top, &["add", "-f", "tracked.log"]);
    write(top, "gone", "1");
    write(top, "folder/inside", "2");
    write(top, "staged-only", "3");
    commit(top, "second");

    fs::remove_file(top.join("gone")).unwrap();
    write(top, "README", "changed\n");
    write(top, "new file", "new");
    write(top, "noise.log", "ignored");
    write(top, "keep.log", "kept");
    write(top, "build/out", "ignored");
    write(top, "deep/er/untracked", "u");
    fs::create_dir_all(top.join("empty")).unwrap();
    write(top, "src/.gitignore", "local\n");
    write(top, "src/local", "ignored here");
    write(top, ".git/info/exclude", "excluded\n");
    write(top, "excluded", "ignored");
    git(top, &["rm", "-q", "--cached", "staged-only"]);
    symlink("README", top.join("link")).unwrap();
    symlink("/etc/passwd", top.join("outside")).unwrap();
    symlink(".//src/../nowhere/", top.join("dangling")).unwrap();
    // What was a folder of tracked files is a symlink to a folder now.
    write(top, "elsewhere/inside", "not to be followed");
    fs::remove_dir_all(top.join("folder")).unwrap();
    symlink("elsewhere", top.join("folder")).unwrap();

    let workspace = working_tree(&top.join("src"));
    assert_eq!(workspace.root, top.canonicalize().unwrap());
    assert!(workspace.info.dirty);
    let (_keep, copy) = unpacked(&workspace);
    assert_same(top, &copy);
    assert!(names(&copy).contains(b"tracked.log".as_slice()));
    assert!(!names(&copy).contains(b"folder/inside".as_slice()));
}

#[test]
fn names_of_any_length_and_bytes() {
    let source = repository();
    let top = source.path();
    let long = "x".repeat(200);
    write(top, &format!("{}/{long}", "d".repeat(150)), "long");
    write(top, &"e".repeat(100), "hundred");
    write(top, &"f".repeat(99), "ninety-nine");
    symlink("t".repeat(300), top.join("long-target")).unwrap();
    for name in [
        b"new\nline".as_slice(),
        b"tab\tquote\"back\\slash",
        "Gr\u{fc}\u{df}e \u{1f980}".as_bytes(),
        b"bytes \xff\xfe",
        b" spaces ",
        b"-rf",
        b"..dots..",
    ] {
        fs::write(top.join(OsStr::from_bytes(name)), name).unwrap();
    }
    commit(top, "odd");
    write(top, "un\nracked", "u");
    let (_keep, copy) = unpacked(&working_tree(top));
    assert_same(top, &copy);
}

#[test]
fn dirty_is_what_differs_from_the_commit() {
    type Change = fn(&Path);
    let cases: [(&str, Change, bool); 7] = [
        ("nothing", |_| {}, false),
        ("same bytes written again", |top| write(top, "README", "hello\n"), false),
        ("an edit", |top| write(top, "README", "other\n"), true),
        ("an untracked file", |top| write(top, "new", ""), true),
        ("a deletion", |top| fs::remove_file(top.join("README")).unwrap(), true),
        (
            "a mode",
            |top| {
                fs::set_permissions(top.join("README"), PermissionsExt::from_mode(0o755)).unwrap();
            },
            true,
        ),
        (
            "the index alone",
            |top| {
                git(top, &["update-index", "--chmod=+x", "README"]);
                fs::set_permissions(top.join("README"), PermissionsExt::from_mode(0o755)).unwrap();
            },
            true,
        ),
    ];
    for (what, change, expected) in cases {
        let source = repository();
        change(source.path());
        assert_eq!(working_tree(source.path()).info.dirty, expected, "{what}");
    }
}

#[test]
fn a_linked_worktree_gets_a_git_directory_of_its_own() {
    let source = repository();
    let parent = TempDir::new().unwrap();
    let linked = parent.path().join("linked");
    git(source.path(), &["worktree", "add", "-q", "-b", "topic", linked.to_str().unwrap()]);
    write(&linked, "added", "a");
    git(&linked, &["add", "added"]);
    write(&linked, "README", "edited");
    let workspace = working_tree(&linked);
    assert_eq!(workspace.info.branch.as_deref(), Some("topic"));
    let (_keep, copy) = unpacked(&workspace);
    assert!(copy.join(".git").is_dir());
    // The source may be gone by the time the container looks.
    let expected = git(&linked, &["status", "--porcelain"]);
    assert_same(&linked, &copy);
    drop(source);
    assert_eq!(git(&copy, &["status", "--porcelain"]), expected);
}

#[test]
fn a_detached_head_has_no_branch() {
    let source = repository();
    git(source.path(), &["checkout", "-q", "--detach"]);
    let workspace = working_tree(source.path());
    assert_eq!(workspace.info.branch, None);
    assert!(workspace.info.commit.is_some());
    let (_keep, copy) = unpacked(&workspace);
    assert_same(source.path(), &copy);
}

#[test]
fn a_repository_without_commits() {
    let source = TempDir::new().unwrap();
    git(source.path(), &["init", "-q"]);
    write(source.path(), "a", "1");
    let workspace = working_tree(source.path());
    assert_eq!(workspace.info.commit, None);
    assert_eq!(workspace.info.branch.as_deref(), Some("main"));
    assert!(workspace.info.dirty);
    let (_keep, copy) = unpacked(&workspace);
    assert_eq!(git(&copy, &["status", "--porcelain", "--branch"]), "## No commits yet on main\n?? a");
}

#[test]
fn objects_of_alternates_are_copied_in() {
    let first = repository();
    let parent = TempDir::new().unwrap();
    let second = parent.path().join("second");
    let third = parent.path().join("third");
    git(parent.path(), &["clone", "-q", "--shared", first.path().to_str().unwrap(), "second"]);
    write(&second, "more", "m");
    commit(&second, "more");
    git(parent.path(), &["clone", "-q", "--shared", second.to_str().unwrap(), "third"]);
    let (_keep, copy) = unpacked(&working_tree(&third));
    assert_same(&third, &copy);
    drop((first, parent));
    git(&copy, &["fsck", "--strict"]);
    assert!(!copy.join(".git/objects/info/alternates").exists());
}

#[test]
fn packs_commit_graphs_packed_refs_split_indices_and_shallow_clones_work() {
    let source = repository();
    write(source.path(), "more", "m");
    commit(source.path(), "more");
    git(source.path(), &["branch", "other"]);
    git(source.path(), &["gc", "-q"]);
    git(source.path(), &["commit-graph", "write", "--reachable"]);
    git(source.path(), &["multi-pack-index", "write"]);
    git(source.path(), &["update-index", "--split-index"]);
    let (_keep, copy) = unpacked(&working_tree(source.path()));
    assert_same(source.path(), &copy);

    let parent = TempDir::new().unwrap();
    let url = format!("file://{}", source.path().display());
    git(parent.path(), &["clone", "-q", "--depth=1", &url, "shallow"]);
    let shallow = parent.path().join("shallow");
    let (_keep, copy) = unpacked(&working_tree(&shallow));
    assert_same(&shallow, &copy);
}

#[test]
fn a_sparse_checkout_stays_sparse() {
    let source = repository();
    write(source.path(), "a/one", "1");
    write(source.path(), "b/two", "2");
    commit(source.path(), "more");
    git(source.path(), &["sparse-checkout", "set", "a"]);
    let workspace = working_tree(source.path());
    assert!(!workspace.info.dirty);
    let (_keep, copy) = unpacked(&workspace);
    assert_same(source.path(), &copy);
    assert!(!copy.join("b").exists());
}

#[test]
fn the_copied_configuration_holds_no_secrets_and_runs_nothing() {
    let source = repository();
    let top = source.path();
    for (key, value) in [
        ("remote.origin.url", "https://user:s3cret@example.com/a.git"),
        ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"),
        ("remote.\"odd\\name.url", "git@example.com:a.git"),
        ("branch.main.remote", "origin"),
        ("branch.main.merge", "refs/heads/main"),
        ("credential.helper", "store"),
        ("core.hooksPath", "/evil"),
        ("core.fsmonitor", "evil"),
        ("core.sshCommand", "evil"),
        ("core.worktree", top.to_str().unwrap()),
        ("include.path", "/evil"),
        ("url.https://s3cret@example.com/.insteadOf", "https://example.com/"),
        ("http.extraHeader", "Authorization: s3cret"),
        ("filter.evil.clean", "evil"),
        ("alias.evil", "!evil"),
        ("user.name", "Somebody"),
    ] {
        git(top, &["config", key, value]);
    }
    write(top, ".git/hooks/pre-commit", "evil");
    let (_keep, copy) = unpacked(&working_tree(top));
    let text = fs::read_to_string(copy.join(".git/config")).unwrap();
    for word in ["s3cret", "evil", "helper", "Somebody", "insteadof", "worktree"] {
        assert!(!text.to_lowercase().contains(&word.to_lowercase()), "{word} in {text}");
    }
    assert!(!copy.join(".git/hooks").exists());
    for (key, value) in [
        ("remote.origin.url", "https://example.com/a.git"),
        ("remote.\"odd\\name.url", "git@example.com:a.git"),
        ("branch.main.merge", "refs/heads/main"),
        ("core.bare", "false"),
    ] {
        assert_eq!(git(&copy, &["config", key]), value);
    }
}

#[test]
fn submodules_are_copied_and_can_be_built_on_their_own() {
    let library = repository();
    let source = repository();
    let top = source.path();
    git(top, &["submodule", "add", "-q", library.path().to_str().unwrap(), "vendor/lib"]);
    commit(top, "with submodule");
    let (_keep, copy) = unpacked(&working_tree(top));
    assert_eq!(git(&copy, &["status", "--porcelain"]), "");
    assert_eq!(fs::read_to_string(copy.join("vendor/lib/README")).unwrap(), "hello\n");
    assert_same(&top.join("vendor/lib"), &copy.join("vendor/lib"));

    write(&top.join("vendor/lib"), "README", "edited");
    write(&top.join("vendor/lib"), "extra", "untracked");
    let workspace = working_tree(top);
    assert!(workspace.info.dirty);
    let (_keep, copy) = unpacked(&workspace);
    assert_eq!(git(&copy, &["status", "--porcelain"]), git(top, &["status", "--porcelain"]));
    assert_same(&top.join("vendor/lib"), &copy.join("vendor/lib"));

    // As a root: its `.git` is a file that points into the parent's.
    let (_keep, copy) = unpacked(&working_tree(&top.join("vendor/lib")));
    assert_same(&top.join("vendor/lib"), &copy);

    git(top, &["submodule", "deinit", "-q", "-f", "vendor/lib"]);
    let workspace = working_tree(top);
    assert!(workspace.warnings[0].contains("vendor/lib is not checked out"), "{:?}", workspace.warnings);
}

#[test]
fn a_nested_repository_is_left_empty_and_said() {
    let source = repository();
    let nested = source.path().join("nested");
    fs::create_dir(&nested).unwrap();
    git(&nested, &["init", "-q"]);
    write(&nested, "file", "x");
    commit(&nested, "inner");
    let workspace = working_tree(source.path());
    assert_eq!(workspace.warnings.len(), 1);
    assert!(workspace.warnings[0].starts_with("nested is a repository of its own"));
    let (_keep, copy) = unpacked(&workspace);
    assert_same(source.path(), &{
        fs::remove_dir_all(nested.join(".git")).ok();
        fs::remove_dir_all(&nested).unwrap();
        copy
    });
}

#[test]
fn special_files_are_skipped_and_said() {
    let source = repository();
    assert!(Command::new("mkfifo").arg(source.path().join("pipe")).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(source.path().join("socket")).unwrap();
    fs::remove_file(source.path().join("README")).unwrap();
    assert!(Command::new("mkfifo").arg(source.path().join("README")).status().unwrap().success());
    let workspace = working_tree(source.path());
    let mut warnings = workspace.warnings.clone();
    warnings.sort();
    assert_eq!(
        warnings,
        ["README is left out: it is a FIFO", "pipe is left out: it is a FIFO", "socket is left out: it is a socket"]
    );
    let (_keep, copy) = unpacked(&workspace);
    assert_eq!(names(&copy), BTreeSet::from([b"src/main.sh".to_vec()]));
}

#[test]
fn argonignore_removes_files_tracked_or_not() {
    let source = repository();
    write(source.path(), ".argonignore", "/big/\n*.bin\n!keep.bin\n");
    write(source.path(), "big/tracked", "b");
    write(source.path(), "a.bin", "b");
    commit(source.path(), "more");
    write(source.path(), "big/untracked", "b");
    write(source.path(), "keep.bin", "b");
    let (_keep, copy) = unpacked(&working_tree(source.path()));
    let expected: BTreeSet<Vec<u8>> =
        [".argonignore", "README", "keep.bin", "src/main.sh"].map(|name| name.as_bytes().to_vec()).into();
    assert_eq!(names(&copy), expected);
}

#[test]
fn a_folder_without_a_repository_is_everything_but_what_it_ignores() {
    let source = TempDir::new().unwrap();
    let top = source.path();
    for path in [".hidden", "a", "build/out", "sub/x.log", "sub/y", "skipped/z", "inner/.git/config", "inner/f"] {
        write(top, path, path);
    }
    write(top, ".gitignore", "build/\n");
    write(top, "sub/.gitignore", "*.log\n");
    write(top, ".argonignore", "skipped\n");
    fs::create_dir(top.join("empty")).unwrap();
    symlink("/nonexistent", top.join("link")).unwrap();
    let workspace = working_tree(top);
    assert_eq!(workspace.info.commit, None);
    let (_keep, copy) = unpacked(&workspace);
    let expected: BTreeSet<Vec<u8>> =
        [".argonignore", ".gitignore", ".hidden", "a", "inner/f", "link", "sub/.gitignore", "sub/y"]
            .map(|name| name.as_bytes().to_vec())
            .into();
    assert_eq!(names(&copy), expected);
    assert!(copy.join("empty").is_dir());
    assert!(!copy.join("inner/.git").exists() && !copy.join(".git").exists());
}

/// Does something to the tree when the first bytes arrive, so after the listing and in the middle of the stream.
struct Meddler<F> {
    bytes: Vec<u8>,
    meddle: Option<F>,
}

impl<F: FnOnce()> Write for Meddler<F> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if let Some(meddle) = self.meddle.take() {
            meddle();
        }
        self.bytes.extend_from_slice(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn edits_in_mid_stream_do_not_break_the_tar() {
    const MIB: usize = 1 << 20;
    let source = TempDir::new().unwrap();
    let top = source.path().to_owned();
    for name in ["a-grows", "b-vanishes", "c-shrinks", "d-link", "e-folder", "f-stays"] {
        write(&top, name, &name.repeat(MIB / name.len()));
    }
    let workspace = working_tree(&top);
    let meddled = top;
    let mut sink = Meddler {
        bytes: Vec::new(),
        // The writer's first bytes are those of a-grows: it is open and its header is written by then.
        meddle: Some(move || {
            fs::OpenOptions::new().append(true).open(meddled.join("a-grows")).unwrap().write_all(b"more").unwrap();
            for name in ["b-vanishes", "d-link", "e-folder"] {
                fs::remove_file(meddled.join(name)).unwrap();
            }
            symlink("/etc/passwd", meddled.join("d-link")).unwrap();
            fs::create_dir(meddled.join("e-folder")).unwrap();
        }),
    };
    let summary = workspace.write_tar(&mut sink, &options()).unwrap();
    let mut sizes = Vec::new();
    for entry in tar::Archive::new(sink.bytes.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let read = io::copy(&mut entry, &mut io::sink()).unwrap();
        sizes.push((String::from_utf8_lossy(&entry.path_bytes()).into_owned(), read));
    }
    let expected = [
        ("workspace/", 0),
        ("workspace/a-grows", MIB / 7 * 7),
        ("workspace/c-shrinks", MIB / 9 * 9),
        ("workspace/d-link", 0),
        ("workspace/f-stays", MIB / 7 * 7),
    ]
    .map(|(name, size)| (name.to_owned(), size as u64));
    assert_eq!(sizes, expected);
    assert_eq!(
        summary.warnings,
        [
            "a-grows changed its size while it was read",
            "b-vanishes is left out: it vanished while the workspace was read",
            "e-folder is left out: it became a directory while the workspace was read",
        ]
    );
}

#[test]
fn a_file_that_shrinks_in_mid_read_is_filled() {
    const MIB: u64 = 1 << 20;
    let source = TempDir::new().unwrap();
    let path = source.path().join("shrinks");
    fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
    write(source.path(), "z", "last");
    // A small tree is read when it is opened.
    fs::write(source.path().join("zz"), vec![b'x'; 4 << 20]).unwrap();
    let workspace = working_tree(source.path());
    let shrunk = path;
    let mut sink = Meddler {
        bytes: Vec::new(),
        meddle: Some(move || {
            fs::OpenOptions::new().write(true).open(shrunk).unwrap().set_len(10).unwrap();
        }),
    };
    let summary = workspace.write_tar(&mut sink, &options()).unwrap();
    let sizes: Vec<_> =
        tar::Archive::new(sink.bytes.as_slice()).entries().unwrap().map(|entry| entry.unwrap().size()).collect();
    assert_eq!(sizes, [0, MIB, 4, 4 * MIB]);
    assert_eq!(summary.warnings, ["shrinks changed its size while it was read"]);
}

#[test]
fn several_streams_at_once_are_the_same() {
    let source = repository();
    let workspace = working_tree(source.path());
    let expected = tar_of(&workspace);
    std::thread::scope(|scope| {
        let streams: Vec<_> = (0..4).map(|_| scope.spawn(|| tar_of(&workspace))).collect();
        for stream in streams {
            assert_eq!(stream.join().unwrap(), expected);
        }
    });
}

#[test]
fn a_receiver_that_goes_away_is_an_error() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let source = repository();
    let error = working_tree(source.path()).write_tar(Gone, &options()).unwrap_err();
    assert!(matches!(error, SourceError::Send { .. }), "{error:?}");
}

#[test]
fn what_is_no_working_tree_is_said_clearly() {
    let folder = TempDir::new().unwrap();
    let top = folder.path();
    let asked = |folder: &Path| open(&SourceRequest::WorkingTree { folder: folder.to_owned() }).unwrap_err();
    assert!(matches!(asked(&top.join("nowhere")), SourceError::NoFolder { .. }));

    git(top, &["init", "-q", "--bare", "bare.git"]);
    let error = asked(&top.join("bare.git"));
    assert!(matches!(error, SourceError::Bare { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("--repo"));

    let source = repository();
    fs::write(source.path().join(".git/index"), b"DIRC nonsense that is long enough to be looked at").unwrap();
    let error = asked(source.path());
    assert!(matches!(error, SourceError::Index { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("git reset"));
}

fn checkout(repository: &str, revision: Option<&str>) -> Result<Workspace, SourceError> {
    open(&SourceRequest::Checkout { repository: repository.to_owned(), revision: revision.map(str::to_owned) })
}

/// A repository with history: two commits on main, a topic branch, a tag on the first, and an edit that is not committed.
fn history() -> (TempDir, String, String, String) {
    let source = repository();
    let top = source.path();
    let first = git(top, &["rev-parse", "HEAD"]);
    git(top, &["checkout", "-q", "-b", "topic/one"]);
    write(top, "topic", "t");
    let topic = commit(top, "topic");
    git(top, &["checkout", "-q", "main"]);
    write(top, "second", "2");
    let second = commit(top, "second");
    write(top, "README", "not committed");
    write(top, "untracked", "u");
    (source, first, topic, second)
}

/// Every kind of revision, and what it leads to.
fn assert_revisions(repository: &str, first: &str, topic: &str, second: &str) {
    for (revision, commit, branch) in [
        (None, second, Some("main")),
        (Some("HEAD"), second, Some("main")),
        (Some("main"), second, Some("main")),
        (Some("topic/one"), topic, Some("topic/one")),
        (Some("refs/heads/topic/one"), topic, Some("topic/one")),
        (Some("v1"), first, None),
        (Some("refs/tags/v1"), first, None),
        (Some(first), first, None),
        (Some(&first[..8]), first, None),
        (Some("HEAD~1"), first, None),
    ] {
        let workspace = checkout(repository, revision).unwrap_or_else(|error| panic!("{revision:?}: {error:?}"));
        assert_eq!(workspace.info.commit.as_deref(), Some(commit), "{revision:?}");
        assert_eq!(workspace.info.branch.as_deref(), branch, "{revision:?}");
        assert!(!workspace.info.dirty);
        let root = workspace.root.clone();
        let (_keep, copy) = unpacked(&workspace);
        assert_eq!(git(&copy, &["status", "--porcelain"]), "", "{revision:?}");
        assert_eq!(git(&copy, &["rev-parse", "HEAD"]), commit);
        assert_eq!(names(&copy), listed_by_git(&copy));
        assert!(!names(&copy).contains(b"untracked".as_slice()));
        assert_eq!(git(&copy, &["describe", first]), "v1");
        assert!(copy.join("src/main.sh").metadata().unwrap().permissions().mode() & 0o100 != 0);
        git(&copy, &["fsck", "--strict"]);
        drop(workspace);
        assert!(!root.exists(), "the checkout is removed with its workspace");
    }
}

#[test]
fn a_checkout_of_a_path_is_the_commit_alone() {
    let (source, first, topic, second) = history();
    let before = tree(source.path());
    assert_revisions(source.path().to_str().unwrap(), &first, &topic, &second);
    assert_revisions(&format!("file://{}", source.path().display()), &first, &topic, &second);
    assert_eq!(tree(source.path()), before);

    let parent = TempDir::new().unwrap();
    git(parent.path(), &["clone", "-q", "--bare", source.path().to_str().unwrap(), "bare.git"]);
    assert_revisions(parent.path().join("bare.git").to_str().unwrap(), &first, &topic, &second);
}

/// `git daemon` on a free port of this machine; ended on drop.
struct Daemon {
    child: std::process::Child,
    url: String,
}

impl Daemon {
    fn over(folder: &Path) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut base = std::ffi::OsString::from("--base-path=");
        base.push(folder);
        let child = command(folder)
            .args(["-c", "uploadpack.allowAnySHA1InWant=true"])
            .args(["daemon", "--reuseaddr", "--listen=127.0.0.1", "--export-all"])
            .arg(format!("--port={port}"))
            .arg(base)
            .arg(folder)
            .spawn()
            .unwrap();
        // Made before the wait, so that it is ended where the wait fails.
        let daemon = Self { child, url: format!("git://127.0.0.1:{port}") };
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return daemon;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("git daemon does not answer");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        // TERM, so that the wrapper `git` takes its daemon with it.
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn a_clone_over_the_network_finds_every_kind_of_revision() {
    let (source, first, topic, second) = history();
    let top = source.path();
    // A commit that no branch or tag leads to, as a pull request's.
    git(top, &["checkout", "-q", "--detach"]);
    let orphan = commit(top, "of a pull request");
    git(top, &["update-ref", "refs/pull/1/head", &orphan]);
    git(top, &["checkout", "-q", "main"]);
    let daemon = Daemon::over(top);
    let url = format!("{}/.git", daemon.url);
    assert_revisions(&url, &first, &topic, &second);
    for revision in [orphan.as_str(), "refs/pull/1/head"] {
        let workspace = checkout(&url, Some(revision)).unwrap();
        assert_eq!(workspace.info.commit.as_deref(), Some(orphan.as_str()));
    }
    let gone = "0123456789012345678901234567890123456789";
    let error = checkout(&url, Some(gone)).unwrap_err();
    assert!(matches!(error, SourceError::RefGone { .. }), "{error:?}");
    let error = checkout(&url, Some("topic/on")).unwrap_err();
    assert_eq!(error.hint().as_deref(), Some("did you mean topic/one?"));
}

#[test]
fn nothing_in_an_address_or_a_revision_is_an_option() {
    let (source, ..) = history();
    let path = source.path().to_str().unwrap();
    let mark = TempDir::new().unwrap();
    let touch = format!("touch {}/hit", mark.path().display());
    for address in [
        format!("--upload-pack={touch}"),
        format!("ext::sh -c {touch}"),
        format!("ssh://-oProxyCommand={touch}/x"),
        format!("-oProxyCommand={touch}:x"),
    ] {
        let error = checkout(&address, None).unwrap_err();
        assert!(matches!(error, SourceError::Address { .. }), "{address}: {error:?}");
    }
    for revision in [format!("--upload-pack={touch}"), "-x".into(), String::new(), "a..b".into(), "a:b".into()] {
        let error = checkout(path, Some(&revision)).unwrap_err();
        assert!(matches!(error, SourceError::Revision { .. }), "{revision}: {error:?}");
    }
    for revision in ["$(touch${IFS}x)", "`x`;x", "v1^{tree}", "gone"] {
        let error = checkout(path, Some(revision)).unwrap_err();
        assert!(matches!(error, SourceError::RefGone { .. }), "{revision}: {error:?}");
    }
    assert!(!mark.path().join("hit").exists());
}

#[test]
fn no_hook_runs_in_a_checkout() {
    let source = repository();
    let mark = TempDir::new().unwrap();
    let hook = source.path().join(".git/hooks/post-checkout");
    write(source.path(), ".git/hooks/post-checkout", &format!("#!/bin/sh\ntouch {}/hit\n", mark.path().display()));
    fs::set_permissions(&hook, PermissionsExt::from_mode(0o755)).unwrap();
    checkout(source.path().to_str().unwrap(), None).unwrap();
    assert!(!mark.path().join("hit").exists());
}

#[test]
fn a_checkout_that_cannot_be_says_why() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().to_str().unwrap();
    assert!(matches!(checkout(path, None), Err(SourceError::NoRepository { .. })));
    git(folder.path(), &["init", "-q"]);
    assert!(matches!(checkout(path, None), Err(SourceError::Empty { .. })));
    let error = checkout("git://127.0.0.1:1/nothing", None).unwrap_err();
    assert!(matches!(error, SourceError::Clone { .. }), "{error:?}");
}

#[test]
fn submodules_of_a_checkout_are_fetched_by_git() {
    let library = repository();
    let daemon = Daemon::over(library.path());
    let source = repository();
    let top = source.path();
    let url = format!("{}/.git", daemon.url);
    git(top, &["submodule", "add", "-q", &url, "vendor/lib"]);
    commit(top, "with submodule");
    let workspace = checkout(top.to_str().unwrap(), None).unwrap();
    assert_eq!(workspace.warnings, Vec::<String>::new());
    let (_keep, copy) = unpacked(&workspace);
    assert_eq!(fs::read_to_string(copy.join("vendor/lib/README")).unwrap(), "hello\n");
    assert_eq!(git(&copy, &["status", "--porcelain"]), "");

    drop(daemon);
    let error = checkout(top.to_str().unwrap(), None).unwrap_err();
    assert!(matches!(error, SourceError::Submodules { .. }), "{error:?}");
}

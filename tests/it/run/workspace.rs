//! The workspace: what a commit of everything would hold, a working git, and a tree of the user's that stays as it was.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use serde_json::json;

use crate::support::{BUSYBOX, NOSETSID, PYTHON, Repo};

/// Tracked, changed, deleted, executable, linked, untracked and ignored files.
fn tree(pipeline: serde_json::Value) -> Repo {
    let repo = Repo::jobs(pipeline)
        .file(".gitignore", "*.log\n/out/\n")
        .file("kept", "old\n")
        .file("deleted", "")
        .file("tool", "#!/bin/sh\necho tool runs\n")
        .file("dir/with space/ünï", "deep\n");
    std::fs::set_permissions(repo.path().join("tool"), std::fs::Permissions::from_mode(0o755)).unwrap();
    symlink("kept", repo.path().join("link")).unwrap();
    let repo = repo.commit().file("kept", "new\n").file("untracked", "").file("noise.log", "").file("out/built", "");
    std::fs::remove_file(repo.path().join("deleted")).unwrap();
    repo
}

const LOOK: &str = "cat kept link 'dir/with space/ünï'; ./tool; readlink link
for f in deleted untracked noise.log out; do [ -e $f ] && echo $f || echo no $f; done";

const SEEN: &str = "new\nnew\ndeep\ntool runs\nkept\nno deleted\nuntracked\nno noise.log\nno out\n";

#[test]
fn a_job_sees_what_a_commit_of_everything_would_hold() {
    let steps = json!([{"run": LOOK}]);
    let repo = tree(json!({"tar": {"image": BUSYBOX, "steps": steps}, "notar": {"image": NOSETSID, "steps": steps}}));
    let ended = repo.json(&[]).run();
    ended.exits(0);
    assert_eq!(ended.said("tar", 1), SEEN);
    assert_eq!(ended.said("notar", 1), SEEN);
}

#[test]
fn git_works_in_a_step() {
    let script = "git rev-parse HEAD; git status --porcelain; git log --format=%s; echo $ARGON_COMMIT $ARGON_BRANCH";
    let repo = tree(json!({"job": {"image": PYTHON, "steps": [{"run": script}]}}));
    let head = repo.git(&["rev-parse", "HEAD"]);
    let ended = repo.json(&[]).run();
    ended.exits(0);
    assert_eq!(ended.said("job", 1), format!("{head}\n D deleted\n M kept\n?? untracked\nall\n{head} main\n"));
}

#[test]
fn a_commit_is_checked_out_clean() {
    let repo = tree(json!({"job": {"image": PYTHON, "steps": [{"run": "cat kept; ls; git status --porcelain"}]}}));
    let ended = repo.json(&["--commit", "HEAD"]).run();
    ended.exits(0);
    assert_eq!(ended.said("job", 1), "old\ndeleted\ndir\nkept\nlink\ntool\n");
}

/// Path, mode, size, time of change and content of all there is.
fn picture(folder: &Path, into: &mut Vec<String>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let meta = path.symlink_metadata().unwrap();
        let content = if meta.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        into.push(format!(
            "{} {:o} {} {}.{} {content:?}",
            path.display(),
            meta.mode(),
            meta.len(),
            meta.mtime(),
            meta.mtime_nsec()
        ));
        if meta.is_dir() {
            picture(&path, into);
        }
    }
}

#[test]
fn the_user_s_tree_is_never_written_to() {
    let script = "rm -rf kept dir; echo junk >junk; git commit -qam x --author 'a <a@b>' || true; git checkout -q -f HEAD; git gc -q";
    let repo = tree(
        json!({"job": {"image": PYTHON, "env": {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}, "steps": [{"run": script}]}}),
    );
    let (mut before, mut after) = (Vec::new(), Vec::new());
    picture(&repo.path(), &mut before);
    repo.plain(&[]).run().exits(0);
    picture(&repo.path(), &mut after);
    assert_eq!(before, after);
}

#[test]
fn two_runs_of_one_repository_at_once_do_not_meet() {
    let repo = Repo::script(BUSYBOX, "[ ! -e mark ]; touch mark; echo in; sleep 0.5; ls mark");
    let mut first = repo.plain(&[]).spawn();
    first.wait_for("\nin\n");
    repo.plain(&[]).run().exits(0);
    first.end().exits(0);
}

#[test]
fn a_repository_behind_ssh_is_cloned_with_the_user_s_own_ssh() {
    let far = Repo::script(BUSYBOX, "cat word").file("word", "from afar\n").commit();
    let near = Repo::script(BUSYBOX, "echo near");
    // Stands for ssh: joins the words behind the host, as ssh does, and runs them on this machine.
    let ssh = "#!/bin/sh\nwhile :; do case $1 in -o|-p|-l) shift 2;; -*) shift;; *) break;; esac; done\nshift\n[ $# -gt 0 ] || exit 0\nexec sh -c \"$*\"\n";
    let near = near.file("bin/ssh", ssh);
    let bin = near.path().join("bin");
    let executable = PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(bin.join("ssh"), executable).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let url = format!("ssh://git@localhost{}", far.path().display());
    near.plain(&["--repo", &url, "--commit", "main"]).env("PATH", &path).run().exits(0).says("from afar");
    // Without it, there is no way there, and the address is named.
    let nowhere = near.plain(&["--repo", &url]).env("PATH", "/nonexistent").run();
    nowhere.exits(3).says(&url);
}

#[test]
fn a_clone_that_hangs_ends_at_ctrl_c() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("git://{}/silent.git", server.local_addr().unwrap());
    let near = Repo::script(BUSYBOX, "echo near");
    let temporary = near.home();
    let mut running = near.plain(&["--repo", &url]).env("TMPDIR", temporary.to_str().unwrap()).spawn();
    let (_held, _) = server.accept().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1300));
    let began = std::time::Instant::now();
    running.signal(rustix::process::Signal::INT);
    running.end().exits(130).says("fetching the repository");
    assert!(began.elapsed() < std::time::Duration::from_secs(4), "{:?}", began.elapsed());
}

#[test]
fn what_the_source_leaves_out_is_said() {
    let repo = Repo::script(BUSYBOX, "ls").file("kept", "");
    std::process::Command::new("mkfifo").arg(repo.path().join("pipe")).status().unwrap();
    repo.plain(&[]).run().exits(0).says("kept").says("warning: ").says("pipe");
}

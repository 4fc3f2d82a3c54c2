//! The kept workspace: what a job sees over a snapshot is what a tar stream would give, and nothing of it is left.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{BUSYBOX, Ended, Engine, PYTHON, Repo};

/// As many files as it takes for a tree to be kept rather than streamed.
const MANY: usize = 420;

/// Prints all that a job can see of its files.
const DUMP: &str = r#"
import hashlib, json, os, stat
for top, folders, files in os.walk(b'.'):
    if top == b'.':
        folders.remove(b'.git')
    for name in folders + files:
        path = os.path.join(top, name)
        s = os.lstat(path)
        kind, extra = stat.S_IFMT(s.st_mode), None
        if stat.S_ISLNK(s.st_mode):
            extra = os.readlink(path).decode('latin-1')
        elif stat.S_ISREG(s.st_mode):
            extra = [s.st_size, int(s.st_mtime), hashlib.sha256(open(path, 'rb').read()).hexdigest()]
        print(json.dumps([path.decode('latin-1'), kind, s.st_mode & 0o7777, s.st_uid, s.st_gid, extra]))
"#;

/// Small numbers that look random, and are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        // xorshift64*: <https://doi.org/10.18637/jss.v008.i14>
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }
}

/// A repository whose job prints what it sees.
fn repository(script: &str, shell: &str) -> Repo {
    let repo = Repo::jobs(json!({"job": {"image": PYTHON, "steps": [{"run": script, "shell": shell}]}}));
    for number in 0..MANY {
        let path = repo.path().join(format!("src/{}/file-{number}", number % 7));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{number}\n").repeat(number % 5)).unwrap();
    }
    repo.commit()
}

fn how(ended: &Ended) -> String {
    let said = ended.all("notice").into_iter().filter_map(|notice| notice["message"].as_str().map(str::to_owned));
    said.filter(|message| message.starts_with("workspace: ")).collect::<Vec<_>>().join("\n")
}

fn sees(repo: &Repo, kept: bool) -> BTreeMap<String, Value> {
    let argon = repo.json(&[]);
    // Without a home there is nowhere to note what is kept.
    let ended = if kept { argon } else { argon.env("XDG_CACHE_HOME", "").env("HOME", "") }.run();
    ended.exits(0);
    assert_eq!(how(&ended).contains("over a snapshot"), kept, "{}", how(&ended));
    let said = ended.said("job", 1);
    let entries = said.lines().map(|line| serde_json::from_str::<Vec<Value>>(line).unwrap());
    entries.map(|entry| (entry[0].as_str().unwrap().to_owned(), Value::from(entry))).collect()
}

fn paths(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() == ".git" || entry.file_name() == ".runnerci.yml" {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

/// One random edit: files, folders and links come, go, change kind, mode and name.
fn edit(root: &Path, chance: &mut Chance) {
    let all = paths(root);
    let any = all[chance.below(all.len())].clone();
    let folder = if any.is_dir() && !any.is_symlink() { any.clone() } else { any.parent().unwrap().to_owned() };
    let names: [&[u8]; 6] = [b"new", b"NEW", "gr\u{fc}n \u{1f680}".as_bytes(), b"two\nlines", b"-dash", b"raw-\xff"];
    let fresh = folder.join(OsStr::from_bytes(names[chance.below(names.len())]));
    let remove = |path: &Path| match path.symlink_metadata() {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    };
    match chance.below(9) {
        0 => remove(&any),
        1 if !fresh.exists() => fs::write(fresh, "new\n").unwrap(),
        2 if any.is_file() && !any.is_symlink() => fs::write(any, format!("{}", chance.below(1000))).unwrap(),
        3 if any.is_file() && !any.is_symlink() => {
            let mode = [0o600, 0o644, 0o755, 0o400][chance.below(4)];
            fs::set_permissions(any, fs::Permissions::from_mode(mode)).unwrap();
        }
        4 => {
            remove(&fresh);
            symlink(["/etc/passwd", "nowhere", ".", "src/0/file-0"][chance.below(4)], fresh).unwrap();
        }
        // A file becomes a folder, and the other way round.
        5 => {
            let was_folder = any.is_dir() && !any.is_symlink();
            remove(&any);
            if was_folder {
                fs::write(any, "was a folder\n").unwrap();
            } else {
                fs::create_dir(&any).unwrap();
                fs::write(any.join("inside"), "").unwrap();
            }
        }
        6 if !fresh.starts_with(&any) && !fresh.exists() => fs::rename(any, fresh).unwrap(),
        7 => {
            remove(&fresh);
            let file = fs::File::create(fresh).unwrap();
            // Sparse: more bytes than blocks.
            file.set_len(3_000_000).unwrap();
        }
        8 if any.is_file() && !any.is_symlink() => {
            let file = fs::File::options().append(true).open(&any).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000))
                .unwrap();
        }
        _ => {}
    }
}

#[test]
fn over_a_snapshot_a_job_sees_what_a_tar_stream_gives() {
    for seed in 1..=4 {
        let mut chance = Chance(seed);
        let repo = repository(DUMP, "python");
        assert_eq!(sees(&repo, true), sees(&repo, false));
        for round in 0..3 {
            for _ in 0..12 {
                edit(&repo.path(), &mut chance);
            }
            let (kept, streamed) = (sees(&repo, true), sees(&repo, false));
            let differs: Vec<_> = kept.iter().filter(|(path, entry)| streamed.get(*path) != Some(*entry)).collect();
            let lost: Vec<_> = streamed.keys().filter(|path| !kept.contains_key(*path)).collect();
            assert!(differs.is_empty() && lost.is_empty(), "seed {seed}, round {round}: {differs:#?} {lost:#?}");
        }
        forget(&repo);
    }
}

/// Removes the snapshots of a repository's home.
fn forget(repo: &Repo) {
    repo.argon(&["clean", "--workspaces"]).run().exits(0);
}

#[test]
fn the_second_run_sends_what_changed_and_git_works_in_both() {
    let script = "git status --porcelain; git describe --always; cat late 2>/dev/null || true";
    let repo = repository(script, "sh");
    let first = repo.json(&[]).run();
    first.exits(0);
    assert!(how(&first).starts_with("workspace: 0 files, 0 bytes over a snapshot of"), "{}", how(&first));
    repo.git(&["tag", "-a", "-m", "x", "v1"]);
    fs::write(repo.path().join("src/0/file-0"), "changed\n").unwrap();
    fs::remove_file(repo.path().join("src/1/file-1")).unwrap();
    fs::write(repo.path().join("late"), "late\n").unwrap();
    let second = repo.json(&[]).run();
    second.exits(0);
    let said = second.said("job", 1);
    for line in [" M src/0/file-0", " D src/1/file-1", "?? late", "late"] {
        assert!(said.contains(line), "{said}");
    }
    assert!(said.contains(&repo.git(&["describe", "--always"])), "{said}");
    let how = how(&second);
    let sent: u64 = how["workspace: ".len()..].split(' ').next().unwrap().parse().unwrap();
    assert!((2..20).contains(&sent), "{how}");
    // And a clean checkout of the same, whose files are all new, is known by their content.
    repo.git(&["commit", "-q", "-a", "-m", "y"]);
    repo.json(&["--commit", "HEAD"]).run().exits(0);
    let again = repo.json(&["--commit", "HEAD"]).run();
    again.exits(0);
    forget(&repo);
}

#[test]
fn jobs_and_runs_side_by_side_share_a_snapshot_and_none_sees_what_another_writes() {
    let one = json!({"image": BUSYBOX, "steps": [
        {"run": "test ! -e mine && echo $ARGON_JOB > mine && rm src/0/file-0 && sleep 1 && test \"$(cat mine)\" = $ARGON_JOB"},
        {"run": "test ! -e src/0/file-0 && test -e src/1/file-1 && ! test -e late"}]});
    let jobs: serde_json::Map<String, Value> = (0..4).map(|number| (format!("job-{number}"), one.clone())).collect();
    let repo = Repo::jobs(Value::Object(jobs));
    for number in 0..MANY {
        fs::create_dir_all(repo.path().join(format!("src/{}", number % 7))).unwrap();
        fs::write(repo.path().join(format!("src/{}/file-{number}", number % 7)), "x").unwrap();
    }
    let repo = repo.commit();
    let mut first = repo.plain(&["-j", "2"]).spawn();
    first.wait_for("▸");
    // An edit made while a run goes on does not reach it.
    fs::write(repo.path().join("late"), "").unwrap();
    let second = repo.plain(&["-j", "2"]).spawn();
    first.end().exits(0);
    second.end().exits(1).says("late");
    forget(&repo);
}

/// FAULTS 1, for volumes.
#[test]
fn what_a_killed_run_leaves_is_swept_and_its_snapshot_is_used_again() {
    let repo = repository("echo up; sleep 60", "sh");
    let mut running = repo.plain(&[]).spawn();
    running.wait_for("up\n");
    running.signal(Signal::KILL);
    running.end();
    repo.argon(&["clean"]).run().exits(0);
    let engine = Engine::shared();
    let owners = engine.docker(&[
        "volume",
        "ls",
        "--filter",
        "label=dev.argon.volume=run",
        "--format",
        "{{.Label \"dev.argon.owner\"}}",
    ]);
    let alive = |owner: &str| owner.split('/').nth(3).is_some_and(|pid| Path::new(&format!("/proc/{pid}")).exists());
    assert!(owners.lines().all(alive), "{owners}");
    let mut running = repo.json(&[]).spawn();
    running.wait_for("\"text\":\"up");
    running.signal(Signal::INT);
    let ended = running.end();
    ended.exits(130);
    assert!(how(&ended).starts_with("workspace: 0 files, 0 bytes over a snapshot of"), "{}", how(&ended));
    forget(&repo);
}

#[test]
fn no_more_snapshots_of_a_tree_are_kept_than_two() {
    let repo = repository("true", "sh");
    let snapshots = || {
        let key = fs::read_dir(repo.home().join("cache/argon/bases")).unwrap().count();
        assert!(key <= 3, "{key}");
        key
    };
    for round in 0..4 {
        for number in 0..MANY {
            fs::write(repo.path().join(format!("src/{}/file-{number}", number % 7)), format!("round {round}\n"))
                .unwrap();
        }
        repo.plain(&[]).run().exits(0);
    }
    assert!(snapshots() <= 3);
    forget(&repo);
    assert_eq!(fs::read_dir(repo.home().join("cache/argon/bases")).unwrap().count(), 0);
}

#[test]
fn an_edit_during_a_run_of_a_small_tree_does_not_reach_it() {
    let wait = "until test -e /tmp/x || [ $((i = i + 1)) -gt 15 ]; do sleep 0.1; done";
    let repo = Repo::jobs(json!({
        "first": {"image": BUSYBOX, "steps": [{"run": format!("echo up; {wait}")}]},
        "second": {"needs": "first", "image": BUSYBOX, "steps": [{"run": "cat note; ! test -e late"}]},
    }))
    .file("note", "before\n");
    let mut running = repo.plain(&[]).spawn();
    running.wait_for("up\n");
    fs::write(repo.path().join("note"), "after\n").unwrap();
    fs::write(repo.path().join("late"), "").unwrap();
    running.end().exits(0).says("before").never_says("after");
}

#[test]
fn a_stop_in_the_midst_of_a_snapshot_leaves_nothing_of_it() {
    let repo = repository("true", "sh");
    // Large enough to be on its way for a while.
    for number in 0..4 {
        fs::write(repo.path().join(format!("large-{number}")), vec![number; 64 << 20]).unwrap();
    }
    for wait in [60, 150, 300] {
        let mut running = repo.plain(&[]).spawn();
        running.wait_for("argon: ");
        std::thread::sleep(std::time::Duration::from_millis(wait));
        running.signal(Signal::INT);
        running.end().exits(130);
        let bases = repo.home().join("cache/argon/bases");
        let kept = fs::read_dir(bases).map_or(0, Iterator::count);
        assert_eq!(kept, 0, "after {wait} ms");
    }
    repo.plain(&[]).run().exits(0);
    forget(&repo);
}

//! The kept workspace: what a job sees over a snapshot is what a tar stream would give, and nothing of it is left.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{BUSYBOX, Ended, Engine, NONROOT, PYTHON, Repo};

/// As many files as it takes for a tree to be kept rather than streamed.
const MANY: usize = 420;

/// Renames folders as a job may, and prints all that it can see of its files then.
const DUMP: &str = r#"
import hashlib, json, os, stat
for top in (b'.', b'src', b'small'):
    if os.path.isdir(top) and not os.path.islink(top):
        folders = sorted(e.path for e in os.scandir(top) if e.is_dir(follow_symlinks=False) and e.name != b'.git')
        if top != b'.' and len(folders) > 1:
            os.rename(folders[0], folders[0] + b'.was')
            os.rename(folders[1], folders[0] + b'.was/moved')
            # Nothing of what was there shines through.
            os.mkdir(folders[1])
            open(folders[1] + b'/fresh', 'w').close()
            os.utime(folders[1] + b'/fresh', (0, 0))
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
    for number in 0..30 {
        let path = repo.path().join(format!("small/{}/file-{number}", number % 10));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{number}\n")).unwrap();
    }
    repo.commit()
}

/// The snapshots that are noted in a repository's home.
fn snapshots(repo: &Repo) -> usize {
    fs::read_dir(repo.home().join("cache/argon/bases")).map_or(0, Iterator::count)
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
        // Not so much that it would be sent as a new snapshot.
        6 if !fresh.starts_with(&any)
            && !fresh.exists()
            && (!any.is_dir() || any.is_symlink() || paths(&any).len() < 20) =>
        {
            fs::rename(any, fresh).unwrap();
        }
        7 => {
            remove(&fresh);
            let file = fs::File::create(fresh).unwrap();
            // Sparse: more bytes than blocks.
            file.set_len(40_000).unwrap();
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
            assert_eq!(snapshots(&repo), 1, "seed {seed}, round {round}: what differs was to be sent as such");
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
fn folders_of_a_snapshot_can_be_renamed() {
    let repo =
        repository("git mv src/1 src/one && git status --porcelain | head -1 && ls -d src/1 2>/dev/null || true", "sh");
    let ran = repo.json(&[]).run();
    ran.exits(0);
    assert!(how(&ran).contains("over a snapshot"), "{}", how(&ran));
    assert_eq!(ran.said("job", 1).trim(), "R  src/1/file-1 -> src/one/file-1");
    forget(&repo);
}

#[test]
fn ten_jobs_and_two_runs_side_by_side_share_a_snapshot_and_none_sees_what_another_writes() {
    let one = json!({"image": BUSYBOX, "steps": [
        {"run": "test ! -e mine && echo $ARGON_JOB > mine && rm src/0/file-0 && sleep 1 && test \"$(cat mine)\" = $ARGON_JOB"},
        {"run": "test ! -e src/0/file-0 && test -e src/1/file-1 && ! test -e late"}]});
    let jobs: serde_json::Map<String, Value> = (0..10).map(|number| (format!("job-{number}"), one.clone())).collect();
    let repo = Repo::jobs(Value::Object(jobs));
    for number in 0..MANY {
        fs::create_dir_all(repo.path().join(format!("src/{}", number % 7))).unwrap();
        fs::write(repo.path().join(format!("src/{}/file-{number}", number % 7)), "x").unwrap();
    }
    let repo = repo.commit();
    let mut first = repo.plain(&["-j", "10"]).spawn();
    first.wait_for("▸");
    // An edit made while a run goes on does not reach it.
    fs::write(repo.path().join("late"), "").unwrap();
    let second = repo.plain(&["-j", "2"]).spawn();
    first.end().exits(0);
    second.end().exits(1).says("late");
    assert_eq!(snapshots(&repo), 1);
    forget(&repo);
}

/// Waits in the container until the test has had its time to edit.
const WAIT: &str = "until [ $((i = i + 1)) -gt 20 ]; do sleep 0.1; done";

#[test]
fn an_edit_during_a_run_of_a_large_tree_reaches_none_of_its_jobs() {
    let look = "cat note; test ! -e late; test -e src/1/file-1";
    let large = |home: bool| {
        let job = |image: &str, user: Option<&str>| {
            let mut job = json!({"image": image, "needs": "first", "steps": [{"run": look}]});
            if let Some(user) = user {
                job["user"] = json!(user);
            }
            job
        };
        let repo = Repo::jobs(json!({
            "first": {"image": BUSYBOX, "steps": [{"run": format!("echo up; {WAIT}; {look}")}]},
            "same": job(BUSYBOX, None),
            "number": job(BUSYBOX, Some("1001:1001")),
            "name": job(NONROOT, None),
        }));
        let repo = (0..MANY).fold(repo, |repo, number| repo.file(&format!("src/{}/file-{number}", number % 7), "x"));
        let repo = repo.file("note", "before\n").commit();
        // The second run has snapshots, which were told to hold most of it.
        for round in 0..2 {
            std::thread::sleep(std::time::Duration::from_millis(1200));
            let run = repo.plain(&["-k", "-v"]);
            let run = if home { run } else { run.env("XDG_CACHE_HOME", "").env("HOME", "") };
            let mut running = run.spawn();
            running.wait_for("up\n");
            fs::write(repo.path().join("note"), "after\n").unwrap();
            fs::write(repo.path().join("late"), "").unwrap();
            fs::remove_file(repo.path().join("src/1/file-1")).unwrap();
            let ended = running.end();
            ended.exits(0).says("before").never_says("after\n");
            assert_eq!(ended.text().contains("over a snapshot"), home, "{}", ended.text());
            assert!(round == 1 || ended.text().matches("before").count() == 4, "{}", ended.text());
            fs::write(repo.path().join("note"), "before\n").unwrap();
            fs::remove_file(repo.path().join("late")).unwrap();
            fs::write(repo.path().join("src/1/file-1"), "x").unwrap();
        }
        if home {
            forget(&repo);
        }
    };
    large(true);
    large(false);
}

#[test]
fn an_edit_while_an_image_is_made_ready_reaches_no_job() {
    let repo = Repo::jobs(json!({"job": {"image": {"build": "ci"}, "steps": [{"run": "cat note"}]}}));
    let repo = (0..MANY).fold(repo, |repo, number| repo.file(&format!("src/{}/file-{number}", number % 7), "x"));
    let unique = std::process::id();
    let repo = repo
        .file("ci/Dockerfile", format!("FROM {BUSYBOX}\nRUN echo edit-{unique} && sleep 2\n"))
        .file("note", "before\n")
        .commit();
    let mut running = repo.plain(&[]).spawn();
    running.wait_for("sleep 2");
    std::thread::sleep(std::time::Duration::from_millis(300));
    fs::write(repo.path().join("note"), "after\n").unwrap();
    running.end().exits(0).says("before").never_says("after\n");
    forget(&repo);
}

#[test]
fn a_job_of_a_user_with_a_name_has_the_snapshot_too() {
    let script = "id -u; stat -c %u:%g src/0/file-0 . ; touch new src/0/new; ls src/1 | wc -l";
    let repo = Repo::jobs(json!({
        "image": {"image": NONROOT, "steps": [{"run": script}]},
        "pipeline": {"image": NONROOT, "user": "dev", "steps": [{"run": script}]},
        "number": {"image": NONROOT, "user": "1000", "steps": [{"run": script}]},
    }));
    let repo =
        (0..MANY).fold(repo, |repo, number| repo.file(&format!("src/{}/file-{number}", number % 7), "x")).commit();
    for round in 0..2 {
        let ran = repo.json(&[]).run();
        ran.exits(0);
        for job in ["image", "pipeline", "number"] {
            let said = ran.said(job, 1);
            assert!(said.starts_with("1000\n1000:") && said.trim_end().ends_with("60"), "{said}");
        }
        let how = how(&ran);
        assert!(how.contains("over a snapshot") && !how.contains("streamed"), "{how}");
        assert!(round == 0 || how.starts_with("workspace: 0 files"), "{how}");
    }
    assert_eq!(snapshots(&repo), 1, "all three are one user");
    forget(&repo);
}

#[test]
fn a_cache_that_names_a_file_is_told_so_and_turns_nothing_off() {
    let one = |path: &str| json!({"image": BUSYBOX, "cache": {"key": "k", "paths": path}, "steps": [{"run": "sleep 1; ls src/1/file-1"}]});
    let repo = Repo::jobs(json!({"file": one("src/0/file-0"), "folder": one("deps")}));
    let repo =
        (0..MANY).fold(repo, |repo, number| repo.file(&format!("src/{}/file-{number}", number % 7), "x")).commit();
    let ran = repo.json(&["-k", "-j", "1"]).run();
    ran.exits(0).says("without its caches: `src/0/file-0` is a file of the source").never_says("lay volumes over");
    assert_eq!(ran.job("folder")["status"], "success");
    assert!(how(&ran).contains("over a snapshot") && !how(&ran).contains("streamed"), "{}", how(&ran));
    assert_eq!(ran.text().matches("without its caches").count(), 1, "the other job has its own");
    repo.argon(&["clean", "--workspaces", "--cache"]).run().exits(0);
}

/// FAULTS 1, for volumes.
#[test]
fn what_a_killed_run_leaves_is_swept_and_its_snapshot_is_used_again() {
    let repo = repository("echo up; sleep 60", "sh");
    let mut running = repo.plain(&[]).spawn();
    running.wait_for("up\n");
    running.signal(Signal::KILL);
    let killed = running.end();
    let engine = Engine::shared();
    let of_run = |volume: &String| volume.ends_with(" run");
    // The next run sweeps, by itself; where another test's has not done so by then.
    let mut running = repo.json(&[]).spawn();
    running.wait_for("\"text\":\"up");
    let began = std::time::Instant::now();
    while engine.made_by(killed.pid).iter().any(of_run) {
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", engine.made_by(killed.pid));
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    running.signal(Signal::INT);
    let ended = running.end();
    ended.exits(130);
    assert_eq!(engine.made_by(ended.pid), Vec::<String>::new());
    assert!(how(&ended).starts_with("workspace: 0 files, 0 bytes over a snapshot of"), "{}", how(&ended));
    forget(&repo);
    assert_eq!(engine.made_by(killed.pid), Vec::<String>::new());
}

#[test]
fn no_more_snapshots_of_a_tree_are_kept_than_two() {
    let repo = repository("true", "sh");
    let engine = Engine::shared();
    let mut pids = Vec::new();
    for round in 0..4 {
        for number in 0..MANY {
            fs::write(repo.path().join(format!("src/{}/file-{number}", number % 7)), format!("round {round}\n"))
                .unwrap();
        }
        let ended = repo.plain(&[]).run();
        ended.exits(0);
        pids.push(ended.pid);
        let volumes: Vec<String> = pids.iter().flat_map(|pid| engine.made_by(*pid)).collect();
        assert_eq!((volumes.len(), snapshots(&repo)), ((round + 1).min(2), (round + 1).min(2)), "{volumes:?}");
    }
    forget(&repo);
    assert_eq!(snapshots(&repo), 0);
    assert!(pids.iter().all(|pid| engine.made_by(*pid).is_empty()));
}

#[test]
fn doctor_tries_whether_snapshots_can_be_kept_and_leaves_nothing_of_it() {
    let repo = Repo::script(BUSYBOX, "true");
    let ended = repo.argon(&["doctor"]).run();
    ended.exits(0).says("large trees are kept as snapshots");
    assert_eq!(Engine::shared().made_by(ended.pid), Vec::<String>::new());
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
        fs::write(repo.path().join(format!("large-{number}")), vec![number; 8 << 20]).unwrap();
    }
    for wait in [0, 40, 150] {
        let mut running = repo.plain(&[]).spawn();
        let began = std::time::Instant::now();
        while running.made().is_empty() {
            assert!(began.elapsed() < std::time::Duration::from_secs(30), "no volume was ever made");
        }
        std::thread::sleep(std::time::Duration::from_millis(wait));
        running.signal(Signal::INT);
        let ended = running.end();
        ended.exits(130);
        assert_eq!(Engine::shared().made_by(ended.pid), Vec::<String>::new(), "after {wait} ms");
        assert_eq!(snapshots(&repo), 0, "after {wait} ms");
    }
    // And while the tree is read.
    let mut running = repo.plain(&[]).spawn();
    running.wait_for("argon: ");
    running.signal(Signal::INT);
    let ended = running.end();
    ended.exits(130);
    assert_eq!(Engine::shared().made_by(ended.pid), Vec::<String>::new());
    repo.plain(&[]).run().exits(0);
    forget(&repo);
}

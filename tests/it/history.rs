//! The history: what is recorded of a run, what `argon runs` and `argon logs` tell of it, and what it survives.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use argon::event::RunId;
use argon::store::StateDir;
use argon::store::history::{Filter, History};
use argon::store::retention::Keep;
use jiff::Timestamp;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{BUSYBOX, Repo};

fn pipeline() -> Repo {
    Repo::new(&format!(
        "
        version: 1
        name: demo
        jobs:
          build:
            image: {BUSYBOX}
            steps:
              - name: compile
                run: echo compiling
              - name: link
                run: echo needle in the hay >&2
          test:
            image: {BUSYBOX}
            needs: build
            steps:
              - name: unit
                run: |
                  echo testing
                  exit ${{CODE:-0}}
        "
    ))
    .commit()
}

fn state(repo: &Repo) -> PathBuf {
    repo.home().join("state/argon")
}

fn read(repo: &Repo, args: &[&str]) -> Value {
    let told = repo.argon(args).without_engine();
    told.exits(0);
    serde_json::from_slice(&told.stdout).unwrap()
}

#[test]
fn a_run_is_recorded_with_its_tree_its_images_its_steps_and_why_it_failed() {
    let repo = pipeline();
    repo.plain(&[]).run().exits(0);
    let repo = repo.file("new.txt", "not committed");
    repo.plain(&["-e", "CODE=3"]).run().exits(1);
    let runs = read(&repo, &["runs", "--json"]);
    let [failed, passed] = runs.as_array().unwrap().as_slice() else { panic!("{runs:#}") };
    let commit = repo.git(&["rev-parse", "HEAD"]);
    assert_eq!(passed["dirty_hash"], Value::Null);
    assert_eq!(failed["dirty_hash"].as_str().unwrap().len(), 64);
    for (run, number, status, dirty) in [(passed, 1, "success", false), (failed, 2, "failure", true)] {
        let told = [&run["number"], &run["status"], &run["dirty"], &run["commit"], &run["branch"], &run["event"]];
        assert_eq!(
            told,
            [&json!(number), &json!(status), &json!(dirty), &json!(commit), &json!("main"), &json!("manual")]
        );
        assert_eq!(run["repository"], json!(repo.path().canonicalize().unwrap()));
        assert!(run["duration_ms"].as_u64().unwrap() > 0, "{run:#}");
    }
    let whole = read(&repo, &["runs", "2", "--json"]);
    let test = &whole["jobs"][1];
    assert_eq!((&test["job"], &test["status"], &test["exit_code"]), (&json!("test"), &json!("failure"), &json!(3)));
    assert_eq!((&test["steps"][0]["message"], &test["needs"]), (&json!("exit code 3"), &json!(["build"])));
    assert!(test["image_id"].as_str().unwrap().starts_with("sha256:"), "{test:#}");
    repo.argon(&["runs"]).without_engine().exits(0).says("test › unit: exit code 3").says("success");
    let by_id = whole["id"].as_str().unwrap().split('-').next_back().unwrap().to_owned();
    repo.argon(&["runs", &by_id]).without_engine().exits(0).says("Run 2  failure").says("exit code 3");
}

#[test]
fn runs_are_found_by_status_branch_repository_and_the_text_of_their_logs() {
    let repo = pipeline();
    repo.plain(&[]).run().exits(0);
    repo.git(&["checkout", "-q", "-b", "other"]);
    repo.plain(&["-e", "CODE=1"]).run().exits(1);
    let numbers = |args: &[&str]| -> Vec<u64> {
        let runs = read(&repo, &[&["runs", "--json"], args].concat());
        runs.as_array().unwrap().iter().map(|run| run["number"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers(&[]), [2, 1]);
    assert_eq!(numbers(&["--status", "failure"]), [2]);
    assert_eq!(numbers(&["--status", "failure", "--status", "success"]), [2, 1]);
    assert_eq!(numbers(&["--branch", "main"]), [1]);
    assert_eq!(numbers(&["--repo", repo.path().to_str().unwrap(), "-n", "1"]), [2]);
    assert_eq!(numbers(&["--repo", "https://example.com/other"]), [] as [u64; 0]);
    assert_eq!(numbers(&["--search", "needle", "--branch", "other"]), [2]);
    assert_eq!(numbers(&["--search", "no such text"]), [] as [u64; 0]);
    repo.argon(&["runs", "--search", "needle"]).without_engine().says("build › link: needle in the hay");
}

#[test]
fn logs_tell_what_the_steps_printed_and_a_name_that_is_wrong_what_was_meant() {
    let repo = pipeline();
    repo.plain(&["-e", "CODE=4"]).run().exits(1);
    let logs = |args: &[&str]| repo.argon(&[&["logs"], args].concat()).without_engine();
    for (locale, ok, bad, inside) in [("C.UTF-8", "✓", "✗", "›"), ("C", "+", "x", ">")] {
        let all = repo.argon(&["logs"]).env("LC_ALL", locale).without_engine();
        all.exits(0);
        let expected = format!(
            "{ok} build {inside} compile\ncompiling\n{ok} build {inside} link\nneedle in the hay\n\
             {bad} test {inside} unit\ntesting\nexit code 4\n"
        );
        assert_eq!(String::from_utf8(all.stdout).unwrap(), expected, "{locale}");
    }
    let events = logs(&["--json"]);
    let lines = String::from_utf8(events.stdout).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["type"], &lines.last().unwrap()["type"]), (&"run.started".into(), &"run.finished".into()));
    for line in &lines {
        // The original's lines.
        assert!(line["level"].is_string() && line["message"].is_string() && line["context"].is_object(), "{line}");
        assert_ne!(line["type"], "log", "output is in the logs");
    }
    logs(&["--state", "elsewhere"]).exits(2).says("no run was recorded yet");
    assert_eq!(logs(&["1", "--job", "build", "--step", "2", "--raw"]).stdout, b"needle in the hay\n");
    logs(&["--failed"]).exits(0).says("testing").never_says("compiling");
    logs(&["--job", "tset"]).exits(2).says("the run has no job `tset`").says("did you mean `test`?");
    logs(&["--job", "build", "--step", "lnik"]).exits(2).says("did you mean `link`?");
    logs(&["7"]).exits(2).says("there is no run 7");
    logs(&["x"]).exits(2).says("`x` names no run");
}

#[test]
fn a_log_holds_every_byte_of_a_step_and_no_secret() {
    let script = r#"printf 'a\0b\377\r\033]0;title\007 no newline'; printf '%s' "$TOKEN""#;
    let step = json!({"name": "step", "run": script, "secrets": ["TOKEN"]});
    let jobs = json!({"job": {"image": BUSYBOX, "steps": [step]}});
    let repo = Repo::new(&json!({"version": 1, "secrets": ["TOKEN"], "jobs": jobs}).to_string());
    repo.plain(&["-s", "TOKEN=hunter2-hunter2"]).run().exits(0);
    let raw = repo.argon(&["logs", "--raw"]).without_engine().stdout;
    assert_eq!(raw, b"a\0b\xff\r\x1b]0;title\x07 no newline***");
    repo.argon(&["logs"]).without_engine().exits(0).never_says("title");
    let mut kept = Vec::new();
    for file in walk(&state(&repo)) {
        kept.extend(fs::read(file).unwrap());
    }
    assert!(memchr::memmem::find(&kept, b"no newline").is_some());
    assert!(memchr::memmem::find(&kept, b"hunter2-hunter2").is_none());
}

fn walk(folder: &std::path::Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn a_killed_run_becomes_interrupted_and_one_that_goes_on_does_not() {
    let repo = Repo::script(BUSYBOX, "echo begun; sleep 60");
    let mut first = repo.plain(&[]).spawn();
    first.wait_for("begun");
    repo.argon(&["runs"]).without_engine().exits(0).says("running");
    first.signal(Signal::KILL);
    first.end();
    repo.argon(&["runs"]).without_engine().exits(0).says("interrupted").never_says("running");
    repo.argon(&["logs"]).without_engine().exits(0).says("begun");
    let whole = read(&repo, &["runs", "1", "--json"]);
    assert_eq!(whole["jobs"][0]["steps"][0]["status"], "interrupted");
}

#[test]
fn logs_follow_a_run_that_goes_on_to_its_end() {
    let repo = Repo::script(BUSYBOX, "echo begun; sleep 1; echo over; exit 5");
    let mut run = repo.plain(&[]).spawn();
    run.wait_for("begun");
    let mut follower = repo.argon(&["logs", "--follow"]).spawn();
    follower.wait_for("begun");
    follower.end().exits(0).says("over").says("exit code 5");
    run.end().exits(1);
}

#[test]
fn a_damaged_database_is_moved_aside_with_a_word_and_the_run_goes_on() {
    let repo = pipeline();
    repo.plain(&[]).run().exits(0);
    let path = state(&repo).join("history.db");
    let mut file = fs::File::options().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(16)).unwrap();
    file.write_all(&[0xa5; 4000]).unwrap();
    drop(file);
    repo.plain(&[]).run().exits(0).says("is damaged").says("it was moved to");
    let moved = fs::read_dir(state(&repo)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(moved.into_iter().any(|name| name.starts_with("history.db.damaged-")));
    assert_eq!(read(&repo, &["runs", "--json"]).as_array().unwrap().len(), 1);
}

#[test]
fn where_nothing_can_be_recorded_the_run_is_what_it_would_have_been() {
    let repo = pipeline();
    fs::create_dir_all(repo.home().join("state")).unwrap();
    fs::write(state(&repo), "a file where the folder should be").unwrap();
    repo.plain(&[]).run().exits(0).says("this run is not recorded").says("XDG_STATE_HOME");
    repo.plain(&["-e", "CODE=3"]).run().exits(1);
}

#[test]
fn argons_side_by_side_record_each_its_own_run() {
    let repo = pipeline();
    let running: Vec<_> = (0..4).map(|_| repo.plain(&[]).spawn()).collect();
    for run in running {
        run.wait().exits(0).never_says("not recorded");
    }
    let runs = read(&repo, &["runs", "--json"]);
    let mut numbers: Vec<u64> = runs.as_array().unwrap().iter().map(|run| run["number"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4]);
}

#[test]
fn without_a_history_the_commands_say_so() {
    let repo = pipeline();
    repo.argon(&["runs"]).without_engine().exits(2).says("no run was recorded yet").says("argon run");
    repo.argon(&["logs"]).without_engine().exits(2).says("no run was recorded yet");
    assert_eq!(read(&repo, &["runs", "--json"]), json!([]));
}

/// FAULTS 6: a process that was stopped for long, and whose run another one was given, does not end that run's record.
#[test]
fn a_run_that_another_process_was_given_is_ended_by_that_one_alone() {
    use argon::event::*;
    use argon::sinks::Sink;
    use argon::store::record::{Recorder, Subject};
    let folder = tempfile::tempdir().unwrap();
    let dir = StateDir::new(folder.path());
    let run = RunId::generate();
    let begin = |owner: &str| {
        let subject = Subject { owner: owner.to_owned(), ..Subject::default() };
        let mut recorder = Recorder::new(History::open(&dir).unwrap().0, subject);
        let event = Event::RunStarted { pipeline: None, source: SourceInfo::default(), jobs: Vec::new() };
        recorder.take(&Envelope { seq: 1, time: Timestamp::now(), run: run.clone(), event }).unwrap();
        recorder
    };
    let finish = |recorder: &mut Recorder, status: Status| {
        let event = Event::RunFinished { result: RunResult { status, cause: None, duration: Duration::ZERO } };
        recorder.take(&Envelope { seq: 2, time: Timestamp::now(), run: run.clone(), event }).unwrap();
        let runs = History::open(&dir).unwrap().0.runs(&Filter::default(), 9).unwrap();
        assert_eq!(runs.len(), 1);
        runs[0].run.phase.word()
    };
    let mut stale = begin("stale");
    let mut fresh = begin("fresh");
    assert_eq!(finish(&mut stale, Status::Cancelled), "running");
    assert_eq!(finish(&mut fresh, Status::Success), "success");
}

/// A state folder with `runs` runs of one log of 1,000 bytes each, a day apart, the last one now.
fn filled(runs: u64) -> (tempfile::TempDir, StateDir) {
    use argon::event::*;
    use argon::sinks::Sink;
    use argon::store::record::{Recorder, Subject};
    let folder = tempfile::tempdir().unwrap();
    let dir = StateDir::new(folder.path().join("argon"));
    for back in (0..runs).rev() {
        let history = History::open(&dir).unwrap().0;
        let mut recorder = Recorder::new(history, Subject::default());
        let run = RunId::generate();
        let time = Timestamp::now() - jiff::SignedDuration::from_hours(24 * i64::try_from(back).unwrap());
        let (job, step) = (JobId::new("job"), StepIndex(0));
        let info = JobInfo {
            id: job.clone(),
            name: None,
            image: "x".into(),
            needs: Vec::new(),
            steps: vec![StepInfo { name: "step".into() }],
        };
        let result = RunResult { status: Status::Success, cause: None, duration: Duration::from_secs(1) };
        let log = Event::Log { job, step, stream: Stream::Stdout, bytes: vec![b'x'; 1000].into() };
        let begun = Event::RunStarted { pipeline: None, source: SourceInfo::default(), jobs: vec![info] };
        for event in [begun, log, Event::RunFinished { result }] {
            recorder.take(&Envelope { seq: 1, time, run: run.clone(), event }).unwrap();
        }
        assert!(recorder.trouble().get().is_none());
    }
    (folder, dir)
}

#[test]
fn what_is_too_old_or_too_much_goes_with_its_logs_and_the_latest_stays() {
    let keep = Keep { runs: 100, age: Duration::from_secs(1000 * 86_400), bytes: 1 << 30, artifacts: 1 << 30 };
    for (keep, left) in [
        (keep, 10),
        (Keep { runs: 3, ..keep }, 3),
        (Keep { bytes: 4500, ..keep }, 4),
        (Keep { age: Duration::from_secs(5 * 86_400 - 3600), ..keep }, 5),
        (Keep { runs: 0, age: Duration::ZERO, bytes: 0, artifacts: 0 }, 1),
    ] {
        let (_folder, dir) = filled(10);
        let history = History::open(&dir).unwrap().0;
        assert_eq!(history.prune(&keep, Timestamp::now()).unwrap(), 10 - left, "{keep:?}");
        let runs = history.runs(&Filter::default(), 100).unwrap();
        assert_eq!(
            runs.iter().map(|found| found.run.number).min(),
            Some(11 - i64::try_from(left).unwrap()),
            "{keep:?}"
        );
        assert_eq!(fs::read_dir(dir.path().join("logs")).unwrap().count(), left, "{keep:?}");
    }
}

/// `argon secret set` once made the folder as any other program would, and the history was laid into it as it was.
#[test]
fn the_state_folder_is_its_owners_alone_whoever_made_it() {
    let repo = Repo::script(BUSYBOX, "echo said > kept");
    let mode = |path: &str| fs::metadata(state(&repo).join(path)).unwrap().permissions().mode() & 0o777;
    fs::create_dir_all(state(&repo)).unwrap();
    fs::set_permissions(state(&repo), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(state(&repo).join("history.db"), "").unwrap();
    fs::set_permissions(state(&repo).join("history.db"), fs::Permissions::from_mode(0o644)).unwrap();
    repo.plain(&[]).run().exits(0);
    assert_eq!((mode(""), mode("history.db")), (0o700, 0o600));
}

/// `argon artifacts` and `argon logs` once took another repository's latest run where this one had none.
#[test]
fn a_repository_without_a_run_is_not_given_anothers() {
    let repo = Repo::script(BUSYBOX, "echo said");
    repo.plain(&[]).run().exits(0);
    let other = Repo::script(BUSYBOX, "true");
    for command in ["logs", "artifacts"] {
        let asked = other.argon(&[command, "--state", state(&repo).to_str().unwrap()]).without_engine();
        asked.exits(2).says("no run of this repository was recorded yet").says("argon runs --all").never_says("said");
        other.argon(&[command, "1", "--state", state(&repo).to_str().unwrap()]).without_engine().exits(0);
    }
}

/// Artifacts of a run, made without one.
fn keeps(dir: &StateDir, run: &RunId, name: &str, bytes: usize, lasts: Option<Duration>) {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes as u64);
    header.set_cksum();
    tar.append_data(&mut header, "file", vec![b'x'; bytes].as_slice()).unwrap();
    let mut begun = dir.artifacts_of(run).begin("job", name, argon::artifact::Limits::default()).unwrap();
    begun.intake.take(tar.into_inner().unwrap().as_slice(), "", &|_| true).unwrap();
    begun.keep(lasts).unwrap().unwrap();
}

#[test]
fn artifacts_go_by_their_own_time_and_by_their_bytes_and_with_what_is_left_of_them() {
    let (_folder, dir) = filled(5);
    let history = History::open(&dir).unwrap().0;
    let keep = Keep { runs: 100, age: Duration::from_secs(1000 * 86_400), bytes: 1 << 30, artifacts: 1 << 30 };
    let runs: Vec<RunId> =
        history.runs(&Filter::default(), 100).unwrap().into_iter().map(|found| found.run.id).collect();
    let folder = |run: &RunId| dir.path().join("artifacts").join(run.as_str());
    let names =
        |run: &RunId| dir.artifacts_of(run).list().unwrap().into_iter().map(|kept| kept.name).collect::<Vec<_>>();
    runs.iter().for_each(|run| keeps(&dir, run, "large", 1 << 20, None));
    keeps(&dir, &runs[0], "short", 10, Some(Duration::from_secs(1)));
    keeps(&dir, &runs[1], "short", 10, Some(Duration::from_secs(3600)));
    // What a killed argon was taking in.
    fs::write(folder(&runs[1]).join(".tmpX"), "half").unwrap();
    // Of a history that was moved aside: old, and just begun.
    let (old, young) = (RunId::from_text("old"), RunId::from_text("young"));
    for run in [&old, &young] {
        keeps(&dir, run, "orphan", 10, None);
    }
    let day = std::time::SystemTime::now() - Duration::from_secs(2 * 86_400);
    fs::File::open(folder(&old)).unwrap().set_modified(day).unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    history.prune(&keep, Timestamp::now()).unwrap();
    assert_eq!(
        (names(&runs[0]), names(&runs[1])),
        (vec!["large".to_owned()], vec!["large".to_owned(), "short".to_owned()])
    );
    assert_eq!(fs::read_dir(folder(&runs[0])).unwrap().count(), 2, "a tar, and its note");
    assert!(!folder(&runs[1]).join(".tmpX").exists() && !folder(&old).exists() && folder(&young).exists());
    // The oldest first; their runs stay, and the latest run has what it has.
    for (limit, left) in [(5 << 19, 2), (0, 1)] {
        history.prune(&Keep { artifacts: limit, ..keep }, Timestamp::now()).unwrap();
        assert_eq!(runs.iter().filter(|run| folder(run).exists()).count(), left, "{limit}");
        assert_eq!(history.runs(&Filter::default(), 100).unwrap().len(), 5);
    }
    dir.artifacts_of(&runs[0]).remove(&dir.artifacts_of(&runs[0]).list().unwrap()[0]).unwrap();
    history.prune(&keep, Timestamp::now()).unwrap();
    assert!(!folder(&runs[0]).exists(), "an empty folder");
}

#[test]
fn a_reader_of_logs_that_goes_away_is_no_failure() {
    let repo = Repo::script(BUSYBOX, "seq 1 200000");
    repo.plain(&[]).run().exits(0);
    let began = Instant::now();
    repo.argon(&["logs"]).read_little().without_engine().exits(0).never_says("panicked");
    assert!(began.elapsed() < Duration::from_secs(20));
}

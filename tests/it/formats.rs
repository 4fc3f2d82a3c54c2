//! The databases that earlier versions wrote: today's code opens each, and finds what is in it. `fixtures/databases/` has them as SQL
//! text, each as it was when its format was new.

use std::path::Path;
use std::time::Duration;

use argon::event::RunId;
use argon::store::StateDir;
use argon::store::access::{Access, TokenHash};
use argon::store::history::{Filter, FoundIn, History, RunName};
use argon::store::queue::{Accepted, Offer, Order, Queue, Trust, Wanted};
use jiff::Timestamp;

/// Every migration that there is, by its file, with the SHA-256 of its text. One that was released never changes: databases that it was
/// applied to would differ from those that it makes. Another change is another migration, with a line here and a fixture.
const MIGRATIONS: &[(&str, &str)] = &[
    ("access-1.sql", "44e627834d1ff514b07f8915efd15c1f3cdbcf5a6ccc6e5c77745fea471b9b6a"),
    ("history-1.sql", "027d8150cf64c0a93a3b9e27245f8608a058afed87b3c9322104b78ba670d608"),
    ("queue-1.sql", "2b726e5d532a0ef60c8b3d8a2cc78c4f39f98af8a577e83c41e7f48dd513840b"),
    ("queue-2.sql", "212cec31c15b5aa75fcbebae58ea648b084c8f6c0e2e657853f8705e469cd078"),
    ("queue-3.sql", "5a5265d5136b612b5639be45134251cefcd030714b55afd73612cf8b489b8bc4"),
    ("queue-4.sql", "a8467c2b15789c45c5e58c3372a69eb293e99cc2953e64316ddd762e3cbd16b1"),
    ("queue-5.sql", "d593383d1515912c2536d6a0f02c28745df0b547b428038a97db9a0d0bf4664a"),
];

fn names(folder: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_migration_that_was_released_is_not_changed_and_each_has_a_fixture() {
    let listed: Vec<&str> = MIGRATIONS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names("src/store/schema"), listed);
    assert_eq!(names("fixtures/databases"), listed);
    for (name, hash) in MIGRATIONS {
        use sha2::Digest;
        let text = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/schema").join(name)).unwrap();
        assert_eq!(hex::encode(sha2::Sha256::digest(text)), *hash, "{name}: write another migration instead");
    }
}

/// A state folder with this database in it.
fn state(fixture: &str) -> (tempfile::TempDir, StateDir) {
    let folder = tempfile::tempdir().unwrap();
    let (name, _) = fixture.rsplit_once('-').unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/databases").join(format!("{fixture}.sql"));
    let db = rusqlite::Connection::open(folder.path().join(format!("{name}.db"))).unwrap();
    db.execute_batch(&std::fs::read_to_string(path).unwrap()).unwrap();
    let dir = StateDir::new(folder.path());
    (folder, dir)
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_010).unwrap()
}

fn again(delivery: &str) -> Offer {
    Offer {
        forge: "github".into(),
        repository: "repo".into(),
        event: "push".into(),
        delivery: Some(delivery.into()),
        body_hash: "another".into(),
        received: now(),
        wanted: Wanted::Run(Order {
            event: "push".into(),
            latest: None,
            trigger: "{}".into(),
            payload: b"{}".to_vec(),
            moved: None,
            trust: Trust::Own,
        }),
    }
}

#[test]
fn a_queue_of_each_format_goes_on_with_all_that_is_in_it() {
    for format in 1..=5 {
        let (_folder, dir) = state(&format!("queue-{format}"));
        let (mut queue, moved) = Queue::open(&dir).unwrap();
        assert_eq!(moved, None, "{format}");
        let entries = queue.entries(9).unwrap();
        let entry = |run: &str| entries.iter().find(|entry| entry.run.as_str() == run);
        let over = entry("run-over").unwrap();
        assert_eq!((over.outcome.as_deref(), over.reason.as_deref()), (Some("failure"), Some("it failed")), "{format}");
        assert_eq!(queue.accept(&[again("d1")]).unwrap(), [Accepted::Again(RunId::from_text("run-waits"))], "{format}");
        let seen = queue.seen("repo").unwrap().unwrap();
        assert_eq!((seen["refs/heads/main"].as_str(), seen["refs/tags/v1"].as_str()), ("aaaaaaaa", "bbbbbbbb"));
        assert_eq!(queue.due(now()).unwrap().len(), usize::from(format >= 2), "{format}");
        assert_eq!(queue.is_paused().unwrap(), format >= 3, "{format}");
        assert_eq!(queue.approve(&RunId::from_text("run-held")).unwrap(), format >= 3, "{format}");
        assert_eq!(queue.untold(9).unwrap().len(), usize::from(format >= 5), "{format}");
        assert_eq!(queue.seen("empty").unwrap().is_some(), format >= 4, "{format}");
        let lease = queue.lease("me", now(), Duration::from_secs(30), 9).unwrap().unwrap();
        let told = (lease.run.as_str(), lease.payload.as_slice(), lease.tries, lease.trust);
        assert_eq!(told, ("run-waits", b"{}".as_slice(), 1, Trust::Own), "{format}");
    }
}

#[test]
fn a_history_of_each_format_tells_all_that_is_in_it() {
    let (_folder, dir) = state("history-1");
    let (history, moved) = History::open(&dir).unwrap();
    assert_eq!(moved, None);
    let run = history.run(&RunName::Number(7)).unwrap().unwrap();
    assert_eq!((run.id.as_str(), run.branch.as_deref(), run.phase.word()), ("0190-over", Some("main"), "failure"));
    assert_eq!((run.dirty_hash.as_deref(), run.log_bytes), (Some("abc"), 42));
    let jobs = history.jobs(&run).unwrap();
    assert_eq!((jobs[0].name.as_str(), jobs[0].image_id.as_deref()), ("test", Some("sha256:abc")));
    assert_eq!((jobs[0].needs.as_slice(), jobs[0].exit_code), (["lint".to_owned()].as_slice(), Some(3)));
    assert_eq!((jobs[0].steps[0].name.as_str(), jobs[0].steps[0].peak_memory), ("unit", Some(1 << 20)));
    let filter = Filter { text: Some("cache was not".into()), ..Filter::default() };
    let found = history.runs(&filter, 9).unwrap();
    assert_eq!(found[0].line.as_ref().unwrap().by, FoundIn::Notice { job: Some("test".into()) });
}

#[test]
fn the_sessions_of_each_format_go_on() {
    let (_folder, dir) = state("access-1");
    let (mut access, moved) = Access::open(&dir).unwrap();
    assert_eq!(moved, None);
    let hash = |text: &str| TokenHash(text.to_owned());
    assert!(access.is_session(&hash("session"), now()).unwrap());
    assert!(access.sign_in(&hash("login"), &hash("another"), now(), Duration::from_secs(60)).unwrap());
}

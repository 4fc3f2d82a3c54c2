//! Branches that move: what is known of them, and which of two pushes is the later one.

use std::collections::BTreeMap;

use super::*;

const MAIN: &str = "refs/heads/main";

/// A push of `main` to a commit, from where it was.
fn push(delivery: &str, before: Option<&str>, commit: &str) -> Offer {
    let mut offer = offer(delivery, &format!("{delivery} {commit}"));
    if let Wanted::Run(order) = &mut offer.wanted {
        order.latest = Some(format!("push {MAIN}"));
        let before = before.map(str::to_owned);
        order.moved = Some(Moved { reference: MAIN.into(), commit: commit.into(), before });
    }
    offer
}

fn polled(delivery: &str, before: Option<&str>, commit: &str) -> Offer {
    Offer { forge: "poll".into(), delivery: None, ..push(delivery, before, commit) }
}

fn one(queue: &mut Queue, offer: Offer) -> Accepted {
    queue.accept(&[offer]).unwrap().remove(0)
}

fn waiting(queue: &Queue) -> Vec<RunId> {
    queue.waiting(9).unwrap().into_iter().map(|waiting| waiting.run).collect()
}

fn refs(all: &[(&str, &str)]) -> BTreeMap<String, String> {
    all.iter().map(|(name, commit)| ((*name).to_owned(), (*commit).to_owned())).collect()
}

#[test]
fn a_repository_that_webhooks_told_of_was_not_looked_at_yet() {
    let (_folder, mut queue) = queue();
    let run = run_of(&one(&mut queue, push("1", None, "a")));
    assert_eq!(queue.seen("repo").unwrap(), None);
    queue.take_note("repo", &refs(&[(MAIN, "a"), ("refs/tags/v1", "t")])).unwrap();
    assert_eq!(queue.seen("repo").unwrap(), Some(refs(&[(MAIN, "a"), ("refs/tags/v1", "t")])));
    assert_eq!(one(&mut queue, push("another id", None, "a")), Accepted::Again(run), "the look took nothing away");
}

#[test]
fn a_repository_that_was_empty_was_looked_at_all_the_same() {
    let (folder, mut queue) = queue();
    queue.take_note("repo", &refs(&[])).unwrap();
    drop(queue);
    let queue = Queue::open(&StateDir::new(folder.path())).unwrap().0;
    assert_eq!(queue.seen("repo").unwrap(), Some(refs(&[])));
    assert_eq!(queue.seen("other").unwrap(), None);
}

#[test]
fn a_delivery_that_was_known_by_a_look_is_known_itself_when_the_branch_went_on() {
    let (_folder, mut queue) = queue();
    let first = run_of(&one(&mut queue, polled("p1", None, "a")));
    assert_eq!(one(&mut queue, push("1", None, "a")), Accepted::Again(first.clone()));
    // What came between is not told by where it began.
    let second = run_of(&one(&mut queue, push("2", None, "b")));
    assert_eq!(one(&mut queue, push("1", None, "a")), Accepted::Again(first));
    assert_eq!(waiting(&queue), [second]);
}

#[test]
fn a_push_that_comes_late_is_superseded_and_supersedes_nothing() {
    let (_folder, mut queue) = queue();
    let second = run_of(&one(&mut queue, push("2", Some("a"), "b")));
    let late = one(&mut queue, push("1", Some("o"), "a"));
    let Accepted::Superseded(first) = &late else { panic!("{late:?}") };
    assert_eq!(waiting(&queue), std::slice::from_ref(&second));
    let entry = queue.entry(first).unwrap().unwrap();
    assert_eq!((entry.outcome.as_deref(), entry.state.as_str()), (Some("superseded"), "done"));
    assert!(entry.reason.unwrap().contains(second.as_str()));
    assert_eq!(one(&mut queue, push("1", Some("o"), "a")), Accepted::Again(first.clone()), "it is known");
    // Also where the newer one began already, and where more came since.
    let third = run_of(&one(&mut queue, push("3", Some("b"), "c")));
    assert_eq!(queue.lease("me", at(0), LASTS, 9).unwrap().unwrap().run, third);
    assert!(matches!(one(&mut queue, push("again", Some("o"), "a")), Accepted::Superseded(_)));
    assert_eq!(waiting(&queue), []);
}

#[test]
fn a_branch_that_is_set_back_is_run_again() {
    let (_folder, mut queue) = queue();
    one(&mut queue, push("1", None, "a"));
    one(&mut queue, push("2", Some("a"), "b"));
    let back = one(&mut queue, push("3", Some("b"), "a"));
    assert!(matches!(back, Accepted::Queued(_)), "{back:?}");
    assert_eq!(waiting(&queue), [run_of(&back)]);
    let forth = one(&mut queue, push("4", Some("a"), "b"));
    assert!(matches!(forth, Accepted::Queued(_)), "{forth:?}");
}

#[test]
fn a_branch_that_was_deleted_and_made_again_at_the_same_commit_is_new() {
    let (_folder, mut queue) = queue();
    let first = run_of(&one(&mut queue, push("1", None, "a")));
    let gone = |delivery: &str, commit: Option<&str>| {
        let wanted = Wanted::Gone { reference: MAIN.into(), commit: commit.map(str::to_owned), why: "gone".into() };
        Offer { wanted, ..offer(delivery, delivery) }
    };
    // One that comes late is of a branch that is elsewhere by now.
    assert_eq!(one(&mut queue, gone("late", Some("o"))), Accepted::Noted);
    assert_eq!(one(&mut queue, push("2", None, "a")), Accepted::Again(first));
    assert_eq!(one(&mut queue, gone("3", Some("a"))), Accepted::Noted);
    let anew = one(&mut queue, push("4", None, "a"));
    assert!(matches!(anew, Accepted::Queued(_)), "{anew:?}");
}

/// Repositories that polling was at before there was a mark for it.
#[test]
fn what_was_looked_at_by_an_earlier_release_is_not_looked_at_for_the_first_time() {
    let folder = tempfile::tempdir().unwrap();
    let dir = StateDir::new(folder.path());
    let db = Connection::open(dir.queue()).unwrap();
    MIGRATIONS[..3].iter().for_each(|sql| db.execute_batch(sql).unwrap());
    db.execute_batch(
        "PRAGMA user_version = 3;
         INSERT INTO seen (repository, reference, commit_id, run) VALUES
         ('noted', 'refs/heads/main', 'a', NULL), ('moved', 'refs/heads/main', 'a', 'r'), ('told', 'refs/heads/main', 'a', 's');
         INSERT INTO deliveries (forge, repository, event, body_hash, received, run) VALUES
         ('poll', 'moved', 'push', 'h', 1, 'r'), ('github', 'told', 'push', 'h', 1, 's');",
    )
    .unwrap();
    drop(db);
    let queue = Queue::open(&dir).unwrap().0;
    let looked = ["noted", "moved", "told"].map(|repository| queue.seen(repository).unwrap().is_some());
    assert_eq!(looked, [true, true, false]);
}

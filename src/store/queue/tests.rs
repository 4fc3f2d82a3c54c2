#![allow(clippy::unwrap_used)]

use super::*;

mod moves;

const LASTS: Duration = Duration::from_secs(30);

fn queue() -> (tempfile::TempDir, Queue) {
    let folder = tempfile::tempdir().unwrap();
    let queue = Queue::open(&StateDir::new(folder.path())).unwrap().0;
    (folder, queue)
}

fn offer(delivery: &str, body: &str) -> Offer {
    Offer {
        forge: "github".into(),
        repository: "repo".into(),
        event: "push".into(),
        delivery: Some(delivery.into()),
        body_hash: body.into(),
        received: at(0),
        wanted: Wanted::Run(Order {
            event: "push".into(),
            latest: None,
            trigger: "{}".into(),
            payload: body.as_bytes().to_vec(),
            moved: None,
            trust: Trust::Own,
        }),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn run_of(accepted: &Accepted) -> RunId {
    match accepted {
        Accepted::Queued(run) | Accepted::Again(run) | Accepted::Superseded(run) => run.clone(),
        Accepted::Noted => panic!("noted"),
    }
}

fn ended(word: &str) -> Outcome {
    Outcome { word: word.into(), reason: None }
}

#[test]
fn a_delivery_that_comes_again_is_the_same_run_also_under_another_id() {
    let (_folder, mut queue) = queue();
    let accepted = queue.accept(&[offer("1", "a"), offer("1", "b"), offer("2", "a"), offer("3", "c")]).unwrap();
    assert!(matches!(accepted[0], Accepted::Queued(_)) && matches!(accepted[3], Accepted::Queued(_)));
    let first = run_of(&accepted[0]);
    assert_eq!(accepted[1..3], [Accepted::Again(first.clone()), Accepted::Again(first)]);
    assert_eq!(queue.depth().unwrap(), Depth { queued: 2, leased: 0 });
}

#[test]
fn what_leads_to_no_run_is_noted_and_keeps_nothing_else_out() {
    let (_folder, mut queue) = queue();
    let ping = Offer { wanted: Wanted::Nothing("a ping".into()), ..offer("1", "a") };
    assert_eq!(queue.accept(&[ping.clone(), ping]).unwrap(), [Accepted::Noted, Accepted::Noted]);
    assert!(matches!(queue.accept(&[offer("1", "a")]).unwrap()[0], Accepted::Queued(_)));
    let ignored: Vec<String> = queue.ignored(9).unwrap().into_iter().map(|ignored| ignored.why).collect();
    assert_eq!(ignored, ["a ping", "a ping"]);
}

#[test]
fn runs_are_leased_in_their_order_and_no_more_than_a_repository_may_have() {
    let (_folder, mut queue) = queue();
    let runs: Vec<RunId> = queue.accept(&[offer("1", "a"), offer("2", "b")]).unwrap().iter().map(run_of).collect();
    let first = queue.lease("me", at(0), LASTS, 1).unwrap().unwrap();
    assert_eq!((&first.run, first.payload.as_slice()), (&runs[0], b"a".as_slice()));
    assert_eq!(queue.lease("me", at(0), LASTS, 1).unwrap(), None);
    assert_eq!(queue.finish(&first, &ended("success"), &[], at(1)).unwrap(), Held::Yes);
    assert_eq!(queue.lease("me", at(1), LASTS, 1).unwrap().unwrap().run, runs[1]);
}

/// FAULTS 6: a holder that was stopped past its lease comes back.
#[test]
fn a_lease_that_ran_out_ends_nothing_any_more() {
    let (_folder, mut queue) = queue();
    queue.accept(&[offer("1", "a")]).unwrap();
    let stale = queue.lease("old", at(0), LASTS, 9).unwrap().unwrap();
    assert_eq!(queue.take_back(at(29), Clock::Steady, |_| false).unwrap(), 0);
    assert_eq!(queue.renew(&stale, at(29), LASTS).unwrap(), Held::Yes);
    assert_eq!(queue.take_back(at(30), Clock::Steady, |_| false).unwrap(), 0, "it was renewed");
    assert_eq!(queue.take_back(at(59), Clock::Steady, |_| false).unwrap(), 1);
    let fresh = queue.lease("new", at(59), LASTS, 9).unwrap().unwrap();
    assert_eq!((&fresh.run, fresh.tries), (&stale.run, 1));
    assert_eq!(queue.renew(&stale, at(60), LASTS).unwrap(), Held::Lost);
    assert_eq!(queue.finish(&stale, &ended("failure"), &[], at(60)).unwrap(), Held::Lost);
    assert_eq!(queue.hand_back(&stale, LASTS, Try::Counts, at(60)).unwrap(), Held::Lost);
    assert_eq!(queue.finish(&fresh, &ended("success"), &[], at(61)).unwrap(), Held::Yes);
    assert_eq!(queue.finish(&fresh, &ended("success"), &[], at(61)).unwrap(), Held::Lost, "once");
    assert_eq!(queue.entries(1).unwrap()[0].outcome.as_deref(), Some("success"));
}

/// FAULTS 27.
#[test]
fn a_run_whose_holder_dies_each_time_is_known_by_its_tries() {
    let (_folder, mut queue) = queue();
    queue.accept(&[offer("1", "poison"), offer("2", "good")]).unwrap();
    for time in 0..MAX_TRIES {
        let lease = queue.lease("dead", at(time.into()), LASTS, 1).unwrap().unwrap();
        assert_eq!((lease.payload.as_slice(), lease.tries), (b"poison".as_slice(), time));
        assert_eq!(queue.take_back(at(time.into()), Clock::Steady, |holder| holder == "dead").unwrap(), 1);
    }
    let poison = queue.lease("me", at(9), LASTS, 1).unwrap().unwrap();
    assert_eq!(poison.tries, MAX_TRIES);
    queue.finish(&poison, &ended("given-up"), &[], at(9)).unwrap();
    assert_eq!(queue.lease("me", at(9), LASTS, 1).unwrap().unwrap().payload, b"good");
}

/// FAULTS 35.
#[test]
fn what_is_to_be_told_waits_until_it_was_heard_and_is_told_once() {
    let (folder, mut queue) = queue();
    queue.accept(&[offer("1", "a")]).unwrap();
    let lease = queue.lease("me", at(0), LASTS, 1).unwrap().unwrap();
    let letter = |part, body: &str| Letter { address: "chat".into(), part, body: body.into() };
    queue.post(&lease.run, &[letter(Part::Begun, "it runs"), letter(Part::Begun, "again")], at(0)).unwrap();
    let due = queue.due(at(0)).unwrap();
    assert_eq!((due.len(), due[0].body.as_str(), due[0].tries), (1, "it runs", 0));
    queue.tried(due[0].id, &Tried::Again(LASTS, "it is down".into()), at(0)).unwrap();
    assert_eq!(queue.due(at(29)).unwrap(), []);
    assert_eq!(queue.due(at(30)).unwrap()[0].tries, 1);
    // The end: in one transaction with the run's own, and it takes the place of a beginning that nobody heard of.
    let over = letter(Part::Ended, "it is over");
    assert_eq!(queue.finish(&lease, &ended("success"), std::slice::from_ref(&over), at(31)).unwrap(), Held::Yes);
    assert_eq!(queue.finish(&lease, &ended("success"), &[over], at(31)).unwrap(), Held::Lost);
    drop(queue);
    let queue = Queue::open(&StateDir::new(folder.path())).unwrap().0;
    let due = queue.due(at(60)).unwrap();
    assert_eq!((due.len(), due[0].body.as_str()), (1, "it is over"));
    queue.tried(due[0].id, &Tried::Sent, at(60)).unwrap();
    assert_eq!(queue.due(at(999)).unwrap(), []);
}

/// FAULTS 33.
#[test]
fn of_many_pushes_to_a_branch_the_latest_is_run_and_the_others_say_so() {
    let (_folder, mut queue) = queue();
    let push = |number: usize| {
        let mut offer = offer(&number.to_string(), &format!("body {number}"));
        if let Wanted::Run(order) = &mut offer.wanted {
            order.latest = Some("push main".into());
        }
        offer
    };
    queue.accept(&[push(0)]).unwrap();
    let running = queue.lease("me", at(0), LASTS, 9).unwrap().unwrap();
    let offers: Vec<Offer> = (1..=50).map(push).collect();
    let last = run_of(queue.accept(&offers).unwrap().last().unwrap());
    assert_eq!(queue.depth().unwrap(), Depth { queued: 1, leased: 1 }, "one that goes on is left alone");
    assert_eq!(queue.lease("me", at(1), LASTS, 9).unwrap().unwrap().run, last);
    let superseded = queue.entries(100).unwrap().into_iter().filter(|entry| entry.state == "done").collect::<Vec<_>>();
    assert_eq!(superseded.len(), 49);
    assert!(superseded.iter().all(|entry| entry.reason.as_deref().unwrap().starts_with("superseded by run ")));
    assert_eq!(queue.finish(&running, &ended("success"), &[], at(2)).unwrap(), Held::Yes);
}

#[test]
fn a_run_that_waits_again_gives_way_to_a_newer_push_and_both_ways_to_end_are_to_be_told() {
    for is_killed in [false, true] {
        let (_folder, mut queue) = queue();
        let push = |number: &str| {
            let mut offer = offer(number, number);
            if let Wanted::Run(order) = &mut offer.wanted {
                order.latest = Some("push main".into());
            }
            offer
        };
        queue.accept(&[push("1")]).unwrap();
        let first = queue.lease("dead", at(0), LASTS, 9).unwrap().unwrap();
        let begun = Letter { address: "forge".into(), part: Part::Begun, body: "pending".into() };
        queue.post(&first.run, std::slice::from_ref(&begun), at(0)).unwrap();
        let second = run_of(&queue.accept(&[push("2")]).unwrap()[0]);
        if is_killed {
            assert_eq!(queue.take_back(at(1), Clock::Steady, |holder| holder == "dead").unwrap(), 1);
        } else {
            assert_eq!(queue.hand_back(&first, LASTS, Try::DoesNotCount, at(1)).unwrap(), Held::Yes);
        }
        let lease = queue.lease("me", at(2), LASTS, 9).unwrap().unwrap();
        assert_eq!(lease.run, second, "and not the older one first");
        let untold = queue.untold(9).unwrap();
        assert_eq!((untold.len(), &untold[0].run, &untold[0].announced), (1, &first.run, &vec![begun]));
        assert_eq!(untold[0].outcome, Outcome::new("superseded", format!("superseded by run {second}: a newer push")));
        queue.told(std::slice::from_ref(&first.run)).unwrap();
        // What ends with a record that is not whole is told later, too; once it has ended.
        queue.tell_later(&lease).unwrap();
        assert_eq!(queue.untold(9).unwrap(), []);
        queue.finish(&lease, &ended("success"), &[], at(3)).unwrap();
        assert_eq!(queue.untold(9).unwrap().len(), 1);
    }
}

#[test]
fn a_concurrency_group_has_one_run_at_once_and_a_newcomer_may_have_it_cancelled() {
    let (_folder, mut queue) = queue();
    queue.accept(&[offer("1", "a"), offer("2", "b")]).unwrap();
    let first = queue.lease("me", at(0), LASTS, 9).unwrap().unwrap();
    let second = queue.lease("me", at(0), LASTS, 9).unwrap().unwrap();
    assert_eq!(queue.join(&first, "deploy", InProgress::Wait, at(1)).unwrap(), Entry::Open);
    assert_eq!(queue.join(&second, "deploy", InProgress::Cancel, at(1)).unwrap(), Entry::Busy);
    assert_eq!(queue.renew(&second, at(1), LASTS).unwrap(), Held::Lost, "it was handed back");
    assert!(matches!(queue.renew(&first, at(1), LASTS).unwrap(), Held::Cancel(_)));
    assert_eq!(queue.lease("me", at(100), LASTS, 9).unwrap(), None, "it waits for the first one's end");
    queue.finish(&first, &ended("cancelled"), &[], at(2)).unwrap();
    let second = queue.lease("me", at(2), LASTS, 9).unwrap().unwrap();
    assert_eq!(second.tries, 0);
    assert_eq!(queue.join(&second, "deploy", InProgress::Wait, at(1)).unwrap(), Entry::Open);
}

/// With one place, or one run a repository, a newcomer is never leased while the other goes on.
#[test]
fn a_newcomer_is_looked_at_without_a_lease_and_may_have_the_run_of_its_group_cancelled() {
    for (others, held) in [(InProgress::Wait, Held::Yes), (InProgress::Cancel, Held::Cancel(String::new()))] {
        let (_folder, mut queue) = queue();
        let offers = [offer("1", "a"), offer("2", "b"), offer("3", "c")];
        let runs: Vec<RunId> = queue.accept(&offers).unwrap().iter().map(run_of).collect();
        let first = queue.lease("me", at(0), LASTS, 1).unwrap().unwrap();
        assert_eq!(queue.newcomer(Place::default(), at(1)).unwrap(), None, "what goes on is of no group");
        assert_eq!(queue.join(&first, "deploy", InProgress::Wait, at(1)).unwrap(), Entry::Open);
        let second = queue.newcomer(Place::default(), at(1)).unwrap().unwrap();
        let third = queue.newcomer(second.place(), at(1)).unwrap().unwrap();
        assert_eq!((&second.run, &third.run), (&runs[1], &runs[2]));
        assert_eq!(queue.newcomer(third.place(), at(1)).unwrap(), None);
        assert_eq!(queue.foresee(&second, "another", others, at(1)).unwrap(), Entry::Open);
        assert_eq!(queue.renew(&first, at(1), LASTS).unwrap(), Held::Yes);
        assert_eq!(
            queue.newcomer(Place::default(), at(1)).unwrap().unwrap().run,
            third.run,
            "it is of no group of theirs"
        );
        assert_eq!(queue.foresee(&third, "deploy", others, at(1)).unwrap(), Entry::Busy);
        match (queue.renew(&first, at(1), LASTS).unwrap(), held) {
            (Held::Yes, Held::Yes) => {}
            (Held::Cancel(why), Held::Cancel(_)) => assert!(why.contains(third.run.as_str()), "{why}"),
            (is, expected) => panic!("{is:?}, not {expected:?}"),
        }
        queue.finish(&first, &ended("cancelled"), &[], at(2)).unwrap();
        assert_eq!(queue.lease("me", at(2), LASTS, 1).unwrap().unwrap().run, second.run, "in their order");
        // One that was leased meanwhile is its holder's to see to.
        assert_eq!(queue.foresee(&second, "deploy", others, at(2)).unwrap(), Entry::Open);
    }
}

#[test]
fn of_the_runs_that_wait_for_a_group_the_newest_is_run() {
    let (_folder, mut queue) = queue();
    queue.accept(&[offer("1", "a"), offer("2", "b"), offer("3", "c")]).unwrap();
    let lease = || queue.lease("me", at(0), LASTS, 9).unwrap().unwrap();
    let (first, second, third) = (lease(), lease(), lease());
    assert_eq!(queue.join(&first, "deploy", InProgress::Wait, at(1)).unwrap(), Entry::Open);
    assert_eq!(queue.join(&second, "deploy", InProgress::Wait, at(1)).unwrap(), Entry::Busy);
    assert_eq!(queue.join(&third, "deploy", InProgress::Wait, at(1)).unwrap(), Entry::Busy);
    queue.finish(&first, &ended("success"), &[], at(2)).unwrap();
    assert_eq!(queue.lease("me", at(2), LASTS, 9).unwrap().unwrap().run, third.run);
    let dropped = &queue.entries(9).unwrap()[1];
    assert_eq!((&dropped.run, dropped.outcome.as_deref()), (&second.run, Some("superseded")));
    assert!(dropped.reason.as_deref().unwrap().contains(third.run.as_str()), "{dropped:?}");
}

#[test]
fn a_forks_run_is_held_until_it_is_approved_and_the_next_one_is_held_again() {
    let (_folder, mut queue) = queue();
    let forked = |number: &str| {
        let mut offer = offer(number, number);
        if let Wanted::Run(order) = &mut offer.wanted {
            (order.trust, order.latest) = (Trust::Fork, Some("pull-request topic".into()));
        }
        offer
    };
    let first = run_of(&queue.accept(&[forked("1")]).unwrap()[0]);
    assert_eq!(queue.lease("me", at(0), LASTS, 9).unwrap(), None);
    assert!(queue.waiting(9).unwrap()[0].is_held);
    let second = run_of(&queue.accept(&[forked("2")]).unwrap()[0]);
    assert!(!queue.approve(&first).unwrap(), "a newer push took its place");
    assert!(queue.approve(&second).unwrap());
    let lease = queue.lease("me", at(1), LASTS, 9).unwrap().unwrap();
    assert_eq!((&lease.run, lease.trust), (&second, Trust::Fork));
    queue.accept(&[forked("3")]).unwrap();
    assert_eq!(queue.lease("me", at(2), LASTS, 9).unwrap(), None, "approved is what was looked at, and nothing else");
    assert_eq!(queue.depth().unwrap(), Depth { queued: 1, leased: 1 });
}

#[test]
fn whose_commits_a_run_was_of_and_whether_it_was_begun_is_known_when_it_is_over() {
    let (_folder, mut queue) = queue();
    let of = |number: &str, trust: Trust| {
        let mut offer = offer(number, number);
        if let Wanted::Run(order) = &mut offer.wanted {
            (order.trust, order.trigger) = (trust, format!("{{\"commitId\":\"c{number}\"}}"));
        }
        offer
    };
    let offers = [of("1", Trust::Fork), of("2", Trust::Fork), of("3", Trust::Own)];
    let runs: Vec<RunId> = queue.accept(&offers).unwrap().iter().map(run_of).collect();
    queue.cancel(&runs[0], "by hand", at(0)).unwrap();
    queue.approve(&runs[1]).unwrap();
    while let Some(lease) = queue.lease("me", at(1), LASTS, 9).unwrap() {
        queue.finish(&lease, &ended("success"), &[], at(2)).unwrap();
    }
    let known = |run: &RunId| queue.origin(run).unwrap().map(|origin| (origin.trust, origin.was_begun));
    let expected = [(Trust::Fork, false), (Trust::Fork, true), (Trust::Own, true)].map(Some);
    assert_eq!([known(&runs[0]), known(&runs[1]), known(&runs[2])], expected);
    assert_eq!(known(&RunId::from_text("unknown")), None);
    let is_forks = |commit: &str| queue.is_of_forks_alone("repo", commit).unwrap();
    assert_eq!([is_forks("c1"), is_forks("c2"), is_forks("c3"), is_forks("c4")], [true, true, false, false]);
    assert!(!queue.is_of_forks_alone("another", "c1").unwrap());
}

#[test]
fn what_is_long_over_is_forgotten_and_what_waits_is_not() {
    let (_folder, mut queue) = queue();
    queue.accept(&[offer("1", "a"), offer("2", "b")]).unwrap();
    let lease = queue.lease("me", at(0), LASTS, 9).unwrap().unwrap();
    queue.finish(&lease, &ended("success"), &[], at(1)).unwrap();
    let age = Duration::from_secs(60);
    assert_eq!(queue.prune(age, at(59)).unwrap(), 0);
    assert_eq!(queue.prune(age, at(62)).unwrap(), 3, "a run, and both deliveries");
    assert_eq!(queue.depth().unwrap(), Depth { queued: 1, leased: 0 });
}

/// A lease must not look at all runs that ever were, nor a delivery at all that ever came.
#[test]
fn what_is_asked_for_each_delivery_is_looked_up_in_an_index() {
    let (_folder, queue) = queue();
    for (sql, index) in [
        ("SELECT id FROM queue WHERE state = 'queued' ORDER BY id LIMIT 1", "queue_by_state"),
        ("SELECT id FROM queue WHERE repository = 'r' AND latest = 'l' AND state = 'queued'", "queue_latest"),
        (
            "SELECT run FROM queue WHERE repository = 'r' AND latest = 'l' AND before_commit = 'c' ORDER BY id DESC LIMIT 1",
            "queue_by_before (repository=? AND latest=? AND before_commit=?)",
        ),
        (
            "UPDATE queue INDEXED BY queue_latest SET state = 'done' WHERE repository = 'r' AND latest = 'l' \
             AND state = 'queued' AND run <> 'x'",
            "queue_latest (repository=? AND latest=?)",
        ),
        (
            "SELECT run FROM queue INDEXED BY queue_untold WHERE untold = 1 AND state = 'done' ORDER BY id",
            "queue_untold",
        ),
        (
            "SELECT note FROM deliveries WHERE note IS NOT NULL ORDER BY received DESC, id DESC LIMIT 9",
            "deliveries_ignored",
        ),
        (
            "SELECT run FROM deliveries WHERE forge = 'f' AND repository = 'r' AND event = 'e' AND delivery = 'd' \
             AND run IS NOT NULL",
            "deliveries_by_id (forge=? AND repository=? AND event=? AND delivery=?)",
        ),
        (
            "SELECT run FROM deliveries WHERE forge = 'f' AND repository = 'r' AND event = 'e' AND body_hash = 'h' \
             AND run IS NOT NULL",
            "deliveries_by_body (forge=? AND repository=? AND event=? AND body_hash=?)",
        ),
    ] {
        let plan: String = queue.db.query_row(&format!("EXPLAIN QUERY PLAN {sql}"), [], |row| row.get(3)).unwrap();
        assert!(plan.contains(index), "{sql}: {plan}");
    }
}

#[test]
fn a_run_is_cancelled_where_it_waits_and_where_it_goes_on() {
    let (_folder, mut queue) = queue();
    let runs: Vec<RunId> = queue.accept(&[offer("1", "a"), offer("2", "b")]).unwrap().iter().map(run_of).collect();
    let lease = queue.lease("me", at(0), LASTS, 9).unwrap().unwrap();
    for run in &runs {
        assert!(queue.cancel(run, "by hand", at(1)).unwrap());
    }
    assert_eq!(queue.renew(&lease, at(1), LASTS).unwrap(), Held::Cancel("by hand".into()));
    assert_eq!(queue.lease("me", at(1), LASTS, 9).unwrap(), None);
    assert!(!queue.cancel(&RunId::from_text("unknown"), "by hand", at(1)).unwrap());
}

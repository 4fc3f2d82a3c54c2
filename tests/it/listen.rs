//! `argon listen`, as a forge and a user meet it: signed deliveries in, runs out, and what it survives.

mod ends;
mod monitors;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use argon::store::StateDir;
use argon::store::queue::{Entered, Queue};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Argon, BUSYBOX, Ended, Repo, Running};
use crate::webhook::{SECRET, signed};

mod check;
mod doors;
mod faults;
mod forks;
mod moves;

/// Nothing here takes longer.
const LATE: Duration = Duration::from_secs(40);

/// A forge's side: a bare repository, and a listener for it.
pub(crate) struct Forge {
    pub(crate) repo: Repo,
    pub(crate) address: SocketAddr,
}

/// What the listener answered.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    /// Null where it is no JSON.
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Forge {
    /// A repository whose `main` has this pipeline.
    pub(crate) fn new(pipeline: &str) -> Self {
        let repo = Repo::new(pipeline).commit();
        repo.git(&["clone", "-q", "--bare", ".", "../app.git"]);
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { repo, address: free.local_addr().unwrap() }
    }

    /// A job that runs this script, for pushes to `main` and `topic/…`.
    pub(crate) fn script(script: &str) -> Self {
        Self::new(
            &json!({"version": 1, "on": {"push": {"branches": ["main", "topic/*"]}},
                "jobs": {"job": {"image": BUSYBOX, "steps": [{"name": "step", "run": script}]}}})
            .to_string(),
        )
    }

    pub(crate) fn bare(&self) -> PathBuf {
        self.repo.beside().join("app.git").canonicalize().unwrap()
    }

    pub(crate) fn commit(&self) -> String {
        self.repo.git(&["rev-parse", "HEAD"])
    }

    pub(crate) fn listener(&self, args: &[&str]) -> Argon {
        let bind = self.address.to_string();
        let bare = self.bare();
        let args = [&["listen", "--repo", bare.to_str().unwrap(), "--bind", &bind], args].concat();
        self.repo.argon(&args).env("ARGON_WEBHOOK_SECRET", SECRET)
    }

    pub(crate) fn listen(&self, args: &[&str]) -> Running {
        let mut running = self.listener(args).spawn();
        running.wait_for("Argon listens for");
        running
    }

    pub(crate) fn state(&self) -> StateDir {
        StateDir::new(self.repo.home().join("state/argon"))
    }

    /// The queue's runs, the first one first.
    pub(crate) fn entries(&self) -> Vec<Entered> {
        let mut entries = Queue::open(&self.state()).unwrap().0.entries(100_000).unwrap();
        entries.reverse();
        entries
    }

    /// Waits until all runs of the queue are over; gives their outcomes, the first one first.
    pub(crate) fn outcomes(&self) -> Vec<String> {
        let began = Instant::now();
        loop {
            let entries = self.entries();
            if entries.iter().all(|entry| entry.state == "done") {
                return entries.into_iter().map(|entry| entry.outcome.unwrap()).collect();
            }
            assert!(began.elapsed() < LATE, "{entries:#?}");
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    pub(crate) fn runs(&self) -> Vec<Value> {
        let told = self.repo.argon(&["runs", "--all", "--json"]).without_engine();
        serde_json::from_slice(&told.stdout).unwrap()
    }

    /// What the steps of the latest run printed.
    pub(crate) fn logs(&self) -> Ended {
        let latest = self.runs().iter().filter_map(|run| run["number"].as_u64()).max().expect("a run");
        self.repo.argon(&["logs", &latest.to_string()]).without_engine()
    }

    /// A delivery, signed.
    pub(crate) fn push(&self, branch: &str, commit: &str, id: &str) -> Answer {
        let body = body(branch, commit);
        self.post("/webhook", &[("x-github-delivery", id)], &body, &signed(SECRET, &body))
    }

    pub(crate) fn post(&self, path: &str, more: &[(&str, &str)], body: &[u8], signature: &str) -> Answer {
        let signature = format!("sha256={signature}");
        let headers =
            [("content-type", "application/json"), ("x-github-event", "push"), ("x-hub-signature-256", &signature)];
        self.request("POST", path, &[&headers, more].concat(), body).unwrap()
    }

    /// One request on a connection of its own; `None` where the listener is not there.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Answer> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(LATE)).unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            head.push_str("host: x\r\n");
        }
        if !headers.iter().any(|(name, _)| *name == "content-length") {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        // A listener that refuses early may not read all of it.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let (head, text) = (head.to_lowercase(), body.to_owned());
        Some(Answer { status, head, body: serde_json::from_str(body).unwrap_or(Value::Null), text })
    }
}

pub(crate) fn body(branch: &str, commit: &str) -> Vec<u8> {
    json!({
        "ref": format!("refs/heads/{branch}"), "before": "0".repeat(40), "after": commit, "created": true,
        "repository": {"full_name": "team/app", "clone_url": "ext::sh -c touch% /tmp/owned"},
        "pusher": {"name": "ada", "email": "ada@example.com"}, "commits": [],
        "head_commit": {"id": commit, "message": "a commit"},
    })
    .to_string()
    .into_bytes()
}

pub(crate) fn end(mut running: Running) -> Ended {
    running.signal(Signal::TERM);
    running.end()
}

#[test]
fn a_signed_push_runs_the_exact_commit_once_and_is_recorded() {
    let forge = Forge::script(
        "echo \"$ARGON_EVENT $ARGON_BRANCH $ARGON_PUSHER_NAME\"; cat version; git rev-parse HEAD || true",
    );
    let first = forge.commit();
    // The branch goes on; what was pushed is what runs.
    forge.repo.git(&["commit", "-q", "--allow-empty", "-m", "later"]);
    forge.repo.git(&["push", "-q", "../app.git", "main"]);
    let running = forge.listen(&[]);
    let answer = forge.push("main", &first, "d1");
    assert_eq!((answer.status, &answer.body["status"]), (202, &json!("queued")));
    let run = answer.body["run"].clone();
    for id in ["d1", "changed"] {
        let again = forge.push("main", &first, id);
        assert_eq!((again.status, &again.body["status"], &again.body["run"]), (200, &json!("known"), &run));
    }
    assert_eq!(forge.outcomes(), ["failure"], "`cat version` fails");
    let runs = forge.runs();
    let told = [&runs[0]["id"], &runs[0]["commit"], &runs[0]["branch"], &runs[0]["event"], &runs[0]["status"]];
    assert_eq!((runs.len(), told), (1, [&run, &json!(first), &json!("main"), &json!("push"), &json!("failure")]));
    forge.logs().says("push main ada");
    end(running).exits(0);
    assert!(!std::path::Path::new("/tmp/owned").exists());
}

#[test]
fn what_on_does_not_want_and_a_commit_that_is_gone_are_recorded_with_the_reason() {
    let forge = Forge::script("true");
    let running = forge.listen(&[]);
    forge.push("other", &forge.commit(), "1");
    forge.push("main", &"1".repeat(40), "2");
    assert_eq!(forge.outcomes(), ["not-triggered", "ref-gone"]);
    let runs = forge.runs();
    assert!(runs[1]["message"].as_str().unwrap().contains("matches none of on.push.branches"), "{runs:#?}");
    assert!(runs[0]["message"].as_str().unwrap().contains("no branch, tag or commit"), "{runs:#?}");
    assert_eq!((&runs[0]["status"], &runs[1]["status"]), (&json!("skipped"), &json!("skipped")));
    end(running).exits(0);
}

#[test]
fn a_pipeline_that_is_not_valid_fails_its_run_with_what_is_wrong() {
    let forge = Forge::new("version: 1\njobs:\n  job: {image: 'x:1', stpes: []}\n");
    let running = forge.listen(&[]);
    forge.push("main", &forge.commit(), "1");
    assert_eq!(forge.outcomes(), ["failure"]);
    assert!(forge.runs()[0]["message"].as_str().unwrap().contains("stpes"), "{:#?}", forge.runs());
    end(running).exits(0);
}

/// FAULTS 30 and 31.
#[test]
fn what_is_no_delivery_is_refused_with_the_right_status() {
    let forge = Forge::script("true");
    let running = forge.listen(&[]);
    let good = body("main", &forge.commit());
    let signature = signed(SECRET, &good);
    let prefixed = format!("sha256={signature}");
    let status = |method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]| {
        forge.request(method, path, headers, body).map(|answer| answer.status)
    };
    let json = ("content-type", "application/json");
    let event = ("x-github-event", "push");
    let sig = ("x-hub-signature-256", prefixed.as_str());
    assert_eq!(status("GET", "/webhook", &[], b""), Some(405));
    assert_eq!(status("POST", "/nothing", &[json, event, sig], &good), Some(404));
    assert_eq!(status("POST", "/webhook", &[json, event], &good), Some(401));
    assert_eq!(status("POST", "/webhook", &[json, event, sig, sig], &good), Some(401));
    assert_eq!(status("POST", "/webhook", &[json, event, ("x-hub-signature", "sha1=00")], &good), Some(401));
    assert_eq!(status("POST", "/webhook", &[json, event, sig], b"{}"), Some(401));
    assert_eq!(status("POST", "/webhook", &[event, sig], &good), Some(415));
    assert_eq!(status("POST", "/webhook", &[json, event, sig, ("content-encoding", "gzip")], &good), Some(415));
    assert_eq!(status("POST", "/webhook", &[json, ("content-length", "31457280")], b"x"), Some(413));
    assert_eq!(
        status("POST", "/webhook", &[json, ("content-length", "5"), ("content-length", "6")], b"{}{}{}"),
        Some(400)
    );
    let deep = "[".repeat(10_000).into_bytes();
    assert_eq!(forge.post("/webhook", &[], &deep, &signed(SECRET, &deep)).status, 400);
    let evil = body("--upload-pack=touch /tmp/owned", &forge.commit());
    assert_eq!(forge.post("/webhook", &[], &evil, &signed(SECRET, &evil)).status, 400);
    assert_eq!(forge.entries(), []);
    // GitHub's own choice, where nobody makes another.
    let form =
        reqwest::Url::parse_with_params("http://x/", [("payload", String::from_utf8(good.clone()).unwrap())]).unwrap();
    let form = form.query().unwrap().as_bytes().to_vec();
    let signed_form = format!("sha256={}", signed(SECRET, &form));
    let kind = ("content-type", "application/x-www-form-urlencoded");
    assert_eq!(status("POST", "/webhook", &[kind, event, ("x-hub-signature-256", &signed_form)], &form), Some(202));
    assert_eq!(forge.outcomes(), ["success"]);
    for (path, id) in [("/api/webhook", "1"), ("/webhook/github", "2")] {
        let body = body(&format!("topic/{id}"), &forge.commit());
        assert_eq!(forge.post(path, &[("x-github-delivery", id)], &body, &signed(SECRET, &body)).status, 202, "{path}");
    }
    let ping = forge.request("POST", "/webhook", &[json, ("x-github-event", "ping"), sig], &good).unwrap();
    assert_eq!((ping.status, &ping.body["status"]), (200, &json!("ignored")));
    assert_eq!(forge.outcomes(), ["success", "success", "success"]);
    assert_eq!(status("GET", "/healthz", &[], b""), Some(200));
    end(running).exits(0);
}

/// FAULTS 5: what goes on may end; what comes is sent away.
#[test]
fn sigterm_lets_a_run_end_and_sends_newcomers_away() {
    let forge = Forge::script("echo begun; sleep 2; echo over");
    let mut running = forge.listen(&["--drain", "20s"]);
    forge.push("main", &forge.commit(), "1");
    running.wait_for_container();
    running.signal(Signal::TERM);
    std::thread::sleep(Duration::from_millis(300));
    let away = forge.push("topic/x", &forge.commit(), "2");
    assert_eq!(away.status, 503);
    assert!(away.head.contains("retry-after: "), "{}", away.head);
    running.end().exits(0);
    assert_eq!(forge.outcomes(), ["success"]);
}

/// FAULTS 5: what takes too long is handed back, and runs when the listener is back.
#[test]
fn a_run_that_outlasts_the_drain_is_handed_back_and_runs_again() {
    let forge = Forge::script("sleep ${NAP:-0}");
    let mut running = forge.listen(&["--drain", "1s", "-e", "NAP=30"]);
    forge.push("main", &forge.commit(), "1");
    running.wait_for_container();
    let began = Instant::now();
    end(running).exits(0);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(forge.entries()[0].state, "queued");
    let running = forge.listen(&[]);
    assert_eq!(forge.outcomes(), ["success"]);
    assert_eq!(forge.runs().len(), 1, "one run, whatever became of its first try");
    end(running).exits(0);
}

/// FAULTS 3 and 27: killed in the middle of a run, again and again.
#[test]
fn a_killed_listener_runs_what_it_began_again_and_gives_up_in_the_end() {
    let forge = Forge::script("sleep ${NAP:-0}");
    killed_at_work(forge.listen(&["-e", "NAP=30"]), &forge);
    let running = forge.listen(&[]);
    assert_eq!(forge.outcomes(), ["success"]);
    end(running).exits(0);

    let poison = Forge::script("sleep 30");
    killed_at_work(poison.listen(&[]), &poison);
    for _ in 1..3 {
        let mut running = poison.listen(&[]);
        running.wait_for_container();
        running.signal(Signal::KILL);
        // Killed between making a container and starting it, it leaves that to the next one's sweep.
        running.wait();
    }
    let running = poison.listen(&[]);
    assert_eq!(poison.outcomes(), ["given-up"]);
    end(running).exits(0);
}

/// Pushes, and kills the listener as soon as it runs that.
fn killed_at_work(mut running: Running, forge: &Forge) {
    forge.push("main", &forge.commit(), "1");
    running.wait_for_container();
    running.signal(Signal::KILL);
    running.wait();
}

/// FAULTS 3 and 4: what was acknowledged is there, whenever the listener is killed, and once.
#[test]
fn no_acknowledged_delivery_is_lost_and_none_is_run_twice_when_the_listener_is_killed_at_random() {
    let forge = Forge::script("true");
    let commit = forge.commit();
    let mut acknowledged = Vec::new();
    let mut ended_once = EndedOnce::default();
    let mut number = 0;
    // More of them by hand: `ARGON_TEST_KILLS=200`.
    let kills = std::env::var("ARGON_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(12u64);
    for round in 0..kills {
        let mut running = forge.listen(&[]);
        let until = Instant::now() + Duration::from_millis(40 + round * 37 % 300);
        let begun = number;
        while Instant::now() < until {
            // With many kills, no more than can be run through afterwards.
            if kills > 12 && number - begun >= 8 {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
            number += 1;
            // `on` does not want these, but for one now and then: the queue is what is tested.
            let branch = if number % 40 == 0 { format!("topic/{number}") } else { format!("other-{number}") };
            let body = body(&branch, &commit);
            let answer =
                forge.post("/webhook", &[("x-github-delivery", &number.to_string())], &body, &signed(SECRET, &body));
            assert_eq!(answer.status, 202, "{answer:?}");
            acknowledged.push(answer.body["run"].as_str().unwrap().to_owned());
        }
        running.signal(Signal::KILL);
        running.wait();
        ended_once.look(&forge);
    }
    let running = forge.listen(&["--runs", "2"]);
    let outcomes = forge.outcomes();
    end(running).exits(0);
    ended_once.look(&forge);
    let mut stored: Vec<String> = forge.entries().iter().map(|entry| entry.run.to_string()).collect();
    stored.sort();
    acknowledged.sort();
    assert!(acknowledged.len() > 40, "only {} deliveries", acknowledged.len());
    assert_eq!(stored, acknowledged);
    let ends = |word: &str| outcomes.iter().filter(|outcome| *outcome == word).count();
    // A run that all of three kills hit is given up, as it should be.
    assert!(ends("given-up") as u64 <= kills / 3, "{}", ends("given-up"));
    let others: Vec<Entered> = forge
        .entries()
        .into_iter()
        .filter(|entry| !matches!(entry.outcome.as_deref(), Some("not-triggered" | "success" | "given-up")))
        .collect();
    assert_eq!(others, []);
    let recorded = forge.repo.argon(&["runs", "--all", "--json", "-n", "100000"]).without_engine();
    let recorded: Vec<Value> = serde_json::from_slice(&recorded.stdout).unwrap();
    assert!(recorded.len() <= acknowledged.len(), "none has two records");
    assert!(recorded.len() + ends("given-up") >= acknowledged.len(), "each has one record");
}

/// When each run began that came to its end, as the history had it after each kill. One that is begun again takes the place of its
/// record, so to count records tells nothing.
#[derive(Default)]
struct EndedOnce(std::collections::HashMap<String, i64>);

impl EndedOnce {
    fn look(&mut self, forge: &Forge) {
        let history = rusqlite::Connection::open(forge.state().path().join("history.db")).unwrap();
        let ended = "SELECT id, started FROM runs WHERE status IN ('success', 'failure', 'error')";
        let mut ended = history.prepare(ended).unwrap();
        let ended = ended.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))).unwrap();
        let ended: std::collections::HashMap<String, i64> = ended.map(Result::unwrap).collect();
        for (run, began) in &self.0 {
            assert_eq!(ended.get(run), Some(began), "{run} had come to its end, and was begun again");
        }
        self.0 = ended;
    }
}

#[test]
fn a_concurrency_group_has_one_run_at_once_and_the_next_begins_when_it_is_over() {
    for (in_progress, first) in [(false, "success"), (true, "cancelled")] {
        let forge = Forge::new(
            &json!({"version": 1, "concurrency": {"group": "deploy", "cancel-in-progress": in_progress},
                "jobs": {"job": {"image": BUSYBOX, "steps": [{"run": "sleep 2"}]}}})
            .to_string(),
        );
        let mut running = forge.listen(&["--runs", "2"]);
        forge.push("main", &forge.commit(), "1");
        running.wait_for_container();
        forge.push("topic/x", &forge.commit(), "2");
        wait(|| forge.entries().len() == 2 && forge.entries()[1].state != "queued");
        assert_eq!(forge.outcomes(), [first, "success"]);
        let runs = forge.runs();
        let at = |run: &Value, key: &str| run[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        assert!(at(&runs[0], "started") >= at(&runs[1], "finished"), "{runs:#?}");
        let waited = at(&runs[0], "started").duration_since(at(&runs[1], "finished"));
        assert!(waited.as_millis() < 1500, "it begins when the other is over: {waited:?}");
        end(running).exits(0).says("waits for another run of its concurrency group");
    }
}

#[test]
fn a_delivery_of_bitbucket_data_center_is_known_by_its_project_and_slug() {
    let forge = Forge::script("true");
    let bind = forge.address.to_string();
    let listen = |repo: &str| {
        let args = ["listen", "--repo", repo, "--bind", &bind];
        let listener = forge.repo.argon(&args).env("ARGON_WEBHOOK_SECRET", SECRET);
        let mut running = listener.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").spawn();
        running.wait_for("Argon listens for");
        running
    };
    let body = std::fs::read(format!("{}/fixtures/events/bitbucket-data-center-push.json", env!("CARGO_MANIFEST_DIR")));
    let body = body.unwrap();
    let signature = format!("sha256={}", signed(SECRET, &body));
    for (repo, status) in [("http://127.0.0.1:9/scm/TEAM/app.git", 202), ("http://127.0.0.1:9/scm/other/app.git", 200)]
    {
        let running = listen(repo);
        let headers = [
            ("content-type", "application/json"),
            ("x-event-key", "repo:refs_changed"),
            ("x-hub-signature", signature.as_str()),
        ];
        assert_eq!(forge.request("POST", "/webhook", &headers, &body).unwrap().status, status, "{repo}");
        end(running).exits(0);
    }
}

/// FAULTS 8.
#[test]
fn without_an_engine_runs_wait_and_do_not_fail() {
    let forge = Forge::script("true");
    let mut running = forge.listener(&[]).env("DOCKER_HOST", "unix:///nonexistent/docker.sock").spawn();
    running.wait_for("Argon listens for");
    assert_eq!(forge.push("main", &forge.commit(), "1").status, 202);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(forge.entries()[0].state, "queued");
    end(running).exits(0).says("there is no engine");
    let running = forge.listen(&[]);
    assert_eq!(forge.outcomes(), ["success"]);
    end(running).exits(0);
}

/// FAULTS 25.
#[test]
fn a_locked_database_is_never_acknowledged_and_what_comes_later_is() {
    let forge = Forge::script("true");
    let running = forge.listen(&[]);
    let lock = rusqlite::Connection::open(forge.state().path().join("queue.db")).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let answer = forge.push("main", &forge.commit(), "1");
    assert_eq!(answer.status, 503, "{answer:?}");
    lock.execute_batch("ROLLBACK").unwrap();
    assert_eq!(forge.push("main", &forge.commit(), "1").status, 202);
    assert_eq!(forge.outcomes(), ["success"]);
    end(running).exits(0);
}

/// A connection that is kept for many requests.
struct Kept {
    address: SocketAddr,
    stream: Option<TcpStream>,
}

impl Kept {
    /// Sends a request; gives the status.
    fn send(&mut self, headers: &[(String, String)], body: &[u8]) -> u16 {
        // A listener that refuses before it has read a body closes the connection behind its answer.
        let address = self.address;
        let stream = self.stream.get_or_insert_with(|| TcpStream::connect(address).unwrap());
        stream.set_read_timeout(Some(LATE)).unwrap();
        let mut head = format!("POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n", body.len());
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        let _ = stream.write_all(&[head.as_bytes(), b"\r\n", body].concat());
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let read = stream.read(&mut piece).unwrap_or(0);
            answer.extend_from_slice(&piece[..read]);
            let text = String::from_utf8_lossy(&answer).to_lowercase();
            let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
            if let (Some((head, rest)), Some(length)) = (text.split_once("\r\n\r\n"), length)
                && rest.len() >= length
            {
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                if head.contains("connection: close") || status != 202 {
                    self.stream = None;
                }
                return status;
            }
            if read == 0 {
                self.stream = None;
                return self.send(headers, body);
            }
        }
    }
}

/// The headers of a push that GitHub signs.
fn headers(id: &str, signature: &str) -> Vec<(String, String)> {
    [
        ("content-type", "application/json"),
        ("x-github-event", "push"),
        ("x-github-delivery", id),
        ("x-hub-signature-256", &format!("sha256={signature}")),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// Does it for each number of a range, on some connections at once.
fn on_connections(address: SocketAddr, numbers: std::ops::Range<usize>, work: impl Fn(&mut Kept, usize) + Sync) {
    const CONNECTIONS: usize = 8;
    std::thread::scope(|scope| {
        for first in 0..CONNECTIONS {
            let (numbers, work) = (numbers.clone(), &work);
            scope.spawn(move || {
                let mut kept = Kept { address, stream: None };
                numbers.skip(first).step_by(CONNECTIONS).for_each(|number| work(&mut kept, number));
            });
        }
    });
}

#[test]
fn of_ten_thousand_forged_deliveries_none_is_run() {
    let forge = Forge::script("true");
    let running = forge.listen(&[]);
    let commit = forge.commit();
    on_connections(forge.address, 0..10_000, |kept, number| {
        let mut body = body("main", &commit);
        let place = number % body.len();
        let mut signature = signed(SECRET, &body).into_bytes();
        let mut event = "x-github-event";
        match number % 5 {
            0 => body[place] ^= 1 << (number % 7),
            1 => signature[number % 64] = if signature[number % 64] == b'0' { b'1' } else { b'0' },
            2 => signature = signed(&format!("a guessed secret {number}"), &body).into_bytes(),
            3 => signature.truncate(number % 64),
            _ => event = ["x-gitlab-event", "x-event-key", "x-nothing"][number % 3],
        }
        let signature = String::from_utf8(signature).unwrap();
        let mut headers = headers(&number.to_string(), &signature);
        headers[1].0 = event.to_owned();
        assert_eq!(kept.send(&headers, &body), 401, "{number}");
    });
    assert_eq!(forge.entries(), []);
    assert_eq!(forge.push("main", &commit, "good").status, 202);
    assert_eq!(forge.outcomes(), ["success"]);
    end(running).exits(0);
}

/// FAULTS 29.
#[test]
fn a_thousand_deliveries_at_once_are_stored_or_sent_away() {
    let forge = Forge::script("true");
    let mut running =
        forge.listener(&["--capacity", "900"]).env("DOCKER_HOST", "unix:///nonexistent/docker.sock").spawn();
    running.wait_for("Argon listens for");
    let commit = forge.commit();
    let taken = std::sync::atomic::AtomicUsize::new(0);
    let began = Instant::now();
    on_connections(forge.address, 0..1000, |kept, number| {
        let body = body(&format!("topic/{number}"), &commit);
        let status = kept.send(&headers(&number.to_string(), &signed(SECRET, &body)), &body);
        assert!(matches!(status, 202 | 503), "{status}");
        taken.fetch_add(usize::from(status == 202), std::sync::atomic::Ordering::Relaxed);
    });
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(forge.entries().len(), taken.into_inner(), "what was acknowledged is stored, and nothing else");
    end(running).exits(0);
}

/// A disk of its own, of this size; it goes with the test.
struct Disk(PathBuf);

impl Disk {
    fn of(size: &str, folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        let size = format!("size={size}");
        let mounted =
            std::process::Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&folder).status();
        assert!(mounted.unwrap().success(), "mounting takes root");
        Self(folder)
    }

    /// Takes all that is left of it; gives the file that does.
    fn fill(&self) -> PathBuf {
        let filler = self.0.join("filler");
        // Ends where the disk does.
        let _ = std::fs::write(&filler, vec![0; 8 << 20]);
        filler
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// FAULTS 12.
#[test]
fn a_full_disk_is_never_acknowledged_harms_no_database_and_mends_by_itself() {
    let forge = Forge::script("true");
    let disk = Disk::of("3M", forge.repo.home().join("state"));
    let running = forge.listen(&[]);
    assert_eq!(forge.push("main", &forge.commit(), "before").status, 202);
    assert_eq!(forge.outcomes(), ["success"]);
    let filler = disk.fill();
    // What is left in the log of the database takes some.
    let statuses: Vec<u16> = (0..400)
        .map(|number| forge.push(&format!("topic/{number}"), &forge.commit(), &format!("full {number}")).status)
        .collect();
    assert!(statuses.iter().all(|status| matches!(status, 202 | 503)), "{statuses:?}");
    assert_eq!(statuses.last(), Some(&503), "{statuses:?}");
    std::fs::remove_file(&filler).unwrap();
    wait(|| forge.push("topic/after", &forge.commit(), "after").status == 202);
    let acknowledged = statuses.iter().filter(|status| **status == 202).count() + 2;
    wait(|| forge.entries().iter().all(|entry| entry.state == "done"));
    assert_eq!(forge.entries().len(), acknowledged);
    assert_eq!(forge.outcomes().last().map(String::as_str), Some("success"));
    end(running).exits(0).never_says("damaged");
}

/// FAULTS 32.
#[test]
fn slow_connections_are_closed_and_keep_nobody_else_out() {
    // Both sides are of one machine here, and the usual limit of open files is 1,024.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    // Not the most that may be had: programs that close every file they could have take seconds with a billion.
    let enough = limit.current.map_or(8192, |current| current.max(8192));
    let enough = rustix::process::Rlimit { current: Some(enough), ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, enough).unwrap();
    let forge = Forge::script("true");
    let running = forge.listen(&[]);
    let slow: Vec<TcpStream> = (0..1000)
        .map(|number| {
            let mut stream = TcpStream::connect(forge.address).unwrap();
            let begun: &[u8] = match number % 3 {
                0 => b"POST /webhook HTTP/1.1\r\nhost: x\r\n",
                1 => b"POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
                _ => b"",
            };
            stream.write_all(begun).unwrap();
            stream
        })
        .collect();
    let began = Instant::now();
    for number in 0..20 {
        let sent = Instant::now();
        assert_eq!(forge.push(&format!("other-{number}"), &forge.commit(), &number.to_string()).status, 202);
        assert!(sent.elapsed() < Duration::from_secs(2), "{:?}", sent.elapsed());
    }
    for mut stream in slow {
        stream.set_read_timeout(Some(LATE)).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    end(running).exits(0);
}

#[test]
fn a_full_queue_says_when_to_come_again() {
    let forge = Forge::script("true");
    let mut running =
        forge.listener(&["--capacity", "2"]).env("DOCKER_HOST", "unix:///nonexistent/docker.sock").spawn();
    running.wait_for("Argon listens for");
    let statuses: Vec<u16> = (0..5)
        .map(|number| forge.push(&format!("topic/{number}"), &forge.commit(), &number.to_string()).status)
        .collect();
    assert_eq!(statuses[..2], [202, 202]);
    assert_eq!(statuses[4], 503, "{statuses:?}");
    end(running).exits(0);
}

#[test]
fn an_address_that_is_taken_is_told_with_what_to_do() {
    let forge = Forge::script("true");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = taken.local_addr().unwrap().to_string();
    let told = forge.repo.argon(&["listen", "--repo", ".", "--bind", &bind]).without_engine();
    told.exits(3).says("cannot listen on").says("another argon");
}

#[test]
fn polling_runs_what_moved_also_while_nobody_listened_and_once_with_a_webhook() {
    let forge = Forge::script("true");
    let pushed = |branch: &str| {
        forge.repo.git(&["commit", "-q", "--allow-empty", "-m", branch]);
        forge.repo.git(&["push", "-q", "../app.git", &format!("HEAD:refs/heads/{branch}")]);
        forge.commit()
    };
    let poll = ["--poll", "1s"];
    let running = forge.listen(&poll);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(forge.entries(), [], "the first look runs nothing");
    let commit = pushed("main");
    wait(|| forge.entries().len() == 1);
    assert_eq!(forge.outcomes(), ["success"]);
    let known = forge.push("main", &commit, "1");
    assert_eq!((known.status, &known.body["status"]), (200, &json!("known")));
    end(running).exits(0);
    let missed = pushed("topic/a");
    forge.repo.git(&["push", "-q", "../app.git", "HEAD:refs/heads/other"]);
    let running = forge.listen(&poll);
    wait(|| forge.entries().len() == 3);
    let mut outcomes = forge.outcomes();
    outcomes.sort();
    assert_eq!(outcomes, ["not-triggered", "success", "success"]);
    assert!(forge.runs().iter().any(|run| run["commit"] == json!(missed) && run["branch"] == "topic/a"));
    // The other way round: the webhook comes first.
    forge.repo.git(&["commit", "-q", "--allow-empty", "-m", "by webhook"]);
    assert_eq!(forge.push("main", &forge.commit(), "2").status, 202);
    forge.repo.git(&["push", "-q", "../app.git", "main"]);
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(forge.entries().len(), 4);
    end(running).exits(0);
}

#[track_caller]
pub(crate) fn wait(mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < LATE);
        std::thread::sleep(Duration::from_millis(30));
    }
}

#[test]
fn a_person_starts_a_run_of_any_revision_and_only_with_the_secret() {
    let forge = Forge::script("echo \"$ARGON_EVENT of $ARGON_BRANCH\"");
    forge.repo.git(&["push", "-q", "../app.git", "HEAD:refs/heads/side"]);
    let url = format!("http://{}", forge.address);
    let trigger = |secret: &str, more: &[&str]| {
        let args = [&["trigger", "--url", &url], more].concat();
        forge.repo.argon(&args).env("ARGON_WEBHOOK_SECRET", secret).without_engine()
    };
    trigger(SECRET, &[]).exits(3).says("no listener answers at").says("argon listen");
    let running = forge.listen(&[]);
    trigger("quite another secret", &[]).exits(2).says("does not know this secret");
    trigger(SECRET, &["side"]).exits(0).says("queued");
    trigger(SECRET, &["nowhere"]).exits(0);
    assert_eq!(forge.outcomes(), ["success", "ref-gone"]);
    forge.repo.argon(&["logs", "1"]).without_engine().says("manual of side");
    // A request that was overheard is worth nothing: it is known.
    let body = json!({"revision": null, "nonce": "once", "time": jiff::Timestamp::now().as_second()}).to_string();
    let signature = format!("sha256={}", signed(SECRET, body.as_bytes()));
    let ask = |body: &str, signature: &str| {
        let headers = [("content-type", "application/json"), ("x-argon-signature-256", signature)];
        forge.request("POST", "/api/trigger", &headers, body.as_bytes()).unwrap()
    };
    assert_eq!((ask(&body, &signature).status, ask(&body, &signature).status), (202, 200));
    let old = json!({"revision": null, "nonce": "later", "time": 1_700_000_000}).to_string();
    assert_eq!(ask(&old, &format!("sha256={}", signed(SECRET, old.as_bytes()))).status, 401);
    assert_eq!(ask(&body, "sha256=00").status, 401);
    assert_eq!(forge.outcomes(), ["success", "ref-gone", "success"]);
    end(running).exits(0);
}

/// Whoever pushes may have no right to read the disk of the machine that runs it.
#[test]
fn a_pipeline_includes_nothing_from_the_listeners_own_disk() {
    let private = Repo::new("version: 1").file("jobs.yml", "jobs: {job: {image: x, steps: [{run: 'true'}]}}").commit();
    let commit = private.git(&["rev-parse", "HEAD"]);
    let include = json!([{"git": private.path(), "commit": commit, "file": "jobs.yml"}]);
    let forge = Forge::new(&json!({"version": 1, "include": include, "on": {"push": {}}}).to_string());
    // The control: its own user may.
    forge.repo.argon(&["list"]).without_engine().exits(0).says("job");
    let running = forge.listen(&[]);
    forge.push("main", &forge.commit(), "1");
    assert_eq!(forge.outcomes(), ["failure"]);
    let runs = forge.runs();
    assert!(runs[0]["message"].as_str().unwrap().contains("on the disk of the machine"), "{runs:#?}");
    end(running).exits(0);
}

/// FAULTS 24: the clock of a listener that runs is set forward and back by a day.
#[test]
fn a_clock_that_jumps_by_a_day_runs_each_slot_once_and_keeps_leases_and_durations() {
    // Half a day from now, so that no minute of this test is a slot by itself.
    let hour = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).hour();
    let forge = Forge::new(
        &json!({"version": 1, "on": {"push": {"branches": ["main"]}, "schedule": [{"cron": format!("0 {} * * *", (hour + 12) % 24)}]},
            "jobs": {"job": {"image": BUSYBOX, "steps": [{"run": "[ \"$ARGON_EVENT\" = schedule ] || sleep 5"}]}}})
        .to_string(),
    );
    let clock = forge.repo.beside().join("clock");
    std::fs::write(&clock, "+0").unwrap();
    let set = |offset: &str| {
        std::fs::write(&clock, offset).unwrap();
        // The listener looks at its clock every 5 s.
        std::thread::sleep(Duration::from_secs(7));
    };
    let mut running = forge
        .listener(&["--runs", "2"])
        .env("LD_PRELOAD", faketime().to_str().unwrap())
        .env("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap())
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DONT_FAKE_MONOTONIC", "1")
        .spawn();
    running.wait_for("Argon listens for");
    forge.push("main", &forge.commit(), "1");
    running.wait_for_container();
    set("+1d");
    assert_eq!(forge.outcomes(), ["success", "success"], "the push, whose lease seemed to have run out, and the slot");
    set("+0");
    set("+1d");
    assert_eq!(forge.outcomes().len(), 2, "the same slot again");
    end(running).exits(0).never_says("lease was lost");
    let runs = forge.runs();
    let events: Vec<&Value> = runs.iter().map(|run| &run["event"]).collect();
    assert_eq!(events.len(), 2, "{events:?}");
    let pushed = runs.iter().find(|run| run["event"] == "push").unwrap();
    let lasted = pushed["duration_ms"].as_f64().unwrap();
    assert!((4_000.0..20_000.0).contains(&lasted), "it took {lasted} ms");
}

/// What moves a process's clock.
fn faketime() -> PathBuf {
    let found = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
        .map(|machine| PathBuf::from(format!("/usr/lib/{machine}/faketime/libfaketimeMT.so.1")))
        .into_iter()
        .find(|path| path.exists());
    found.expect("libfaketime is missing: dev/faketime installs it")
}

//! Branches that move, as deliveries and looks at the repository tell of it: each move is one run, and the latest wins.

use super::*;

/// Nobody can run anything here: what is queued stays queued.
const NO_ENGINE: &str = "unix:///nonexistent/docker.sock";

fn queues(forge: &Forge, args: &[&str]) -> Running {
    let mut running = forge.listener(args).env("DOCKER_HOST", NO_ENGINE).spawn();
    running.wait_for("Argon listens for");
    running
}

/// A push of `main`, as GitHub tells of it.
fn told(before: &str, after: &str) -> Vec<u8> {
    let time = jiff::Timestamp::now().to_string();
    json!({"ref": "refs/heads/main", "before": before, "after": after, "repository": {"pushed_at": time}, "commits": []})
        .to_string()
        .into_bytes()
}

fn deliver(forge: &Forge, id: &str, body: &[u8]) -> (u16, String) {
    let answer = forge.post("/webhook", &[("x-github-delivery", id)], body, &signed(SECRET, body));
    (answer.status, answer.body["status"].as_str().unwrap_or_default().to_owned())
}

fn commit(forge: &Forge, message: &str) -> String {
    forge.repo.git(&["commit", "-q", "--allow-empty", "-m", message]);
    forge.commit()
}

const NONE: &str = "0000000000000000000000000000000000000000";

#[test]
fn polling_that_begins_after_webhooks_runs_what_moves_from_then_on_and_nothing_else() {
    let forge = Forge::script("true");
    forge.repo.git(&["push", "-q", "../app.git", "HEAD:refs/heads/old", "HEAD:refs/tags/v1"]);
    let running = queues(&forge, &[]);
    assert_eq!(forge.push("main", &forge.commit(), "1").status, 202);
    end(running).exits(0);
    let running = queues(&forge, &["--poll", "1s"]);
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(forge.entries().len(), 1, "what was there before is not run");
    commit(&forge, "next");
    forge.repo.git(&["push", "-q", "../app.git", "HEAD:refs/heads/topic/a"]);
    wait(|| forge.entries().len() == 2);
    end(running).exits(0);
}

#[test]
fn the_first_push_to_a_repository_that_was_empty_is_run() {
    let forge = Forge::script("true");
    let bare = forge.bare();
    std::fs::remove_dir_all(&bare).unwrap();
    forge.repo.git(&["init", "-q", "--bare", "-b", "main", bare.to_str().unwrap()]);
    let running = queues(&forge, &["--poll", "1s"]);
    std::thread::sleep(Duration::from_millis(1500));
    forge.repo.git(&["push", "-q", "../app.git", "main"]);
    wait(|| forge.entries().len() == 1);
    end(running).exits(0);
}

#[test]
fn a_delivery_that_comes_late_or_again_takes_nothing_from_what_was_pushed_after_it() {
    let forge = Forge::script("true");
    let running = queues(&forge, &[]);
    let (a, b) = (commit(&forge, "a"), commit(&forge, "b"));
    let (first, second) = (told(NONE, &a), told(&a, &b));
    assert_eq!(deliver(&forge, "2", &second), (202, "queued".into()));
    // The forge was told 503 the first time, and tries again.
    assert_eq!(deliver(&forge, "1", &first), (200, "superseded".into()));
    assert_eq!(deliver(&forge, "1", &first), (200, "known".into()));
    let entries = forge.entries();
    let states: Vec<&str> = entries.iter().map(|entry| entry.state.as_str()).collect();
    assert_eq!(states, ["queued", "done"]);
    assert!(entries[1].reason.as_deref().unwrap().contains(entries[0].run.as_str()), "{entries:#?}");
    end(running).exits(0);
}

#[test]
fn a_branch_that_was_deleted_and_made_again_at_the_same_commit_is_run_again() {
    let forge = Forge::script("true");
    let running = queues(&forge, &[]);
    let a = commit(&forge, "a");
    assert_eq!(deliver(&forge, "1", &told(NONE, &a)), (202, "queued".into()));
    assert_eq!(deliver(&forge, "2", &told(NONE, &a)), (200, "known".into()), "the control");
    assert_eq!(deliver(&forge, "3", &told(&a, NONE)), (200, "ignored".into()));
    assert_eq!(deliver(&forge, "4", &told(NONE, &a)), (202, "queued".into()));
    end(running).exits(0);
}

/// Bitbucket has one word for new commits and for another title.
#[test]
fn a_pull_request_at_bitbucket_that_is_edited_runs_the_same_commit_once() {
    let forge = Forge::script("true");
    let running = queues(&forge, &[]);
    let event = std::fs::read(format!("{}/fixtures/events/bitbucket-pull-request.json", env!("CARGO_MANIFEST_DIR")));
    let event: Value = serde_json::from_slice(&event.unwrap()).unwrap();
    let send = |key: &str, id: &str, event: &Value| {
        let body = event.to_string().into_bytes();
        let signature = format!("sha256={}", signed(SECRET, &body));
        let headers = [
            ("content-type", "application/json"),
            ("x-event-key", key),
            ("x-request-uuid", id),
            ("x-hub-signature", signature.as_str()),
        ];
        forge.request("POST", "/webhook", &headers, &body).unwrap().body["status"].clone()
    };
    assert_eq!(send("pullrequest:created", "1", &event), "queued");
    let mut edited = event;
    edited["pullrequest"]["title"] = json!("Another title");
    assert_eq!(send("pullrequest:updated", "2", &edited), "known");
    edited["pullrequest"]["source"]["commit"]["hash"] = json!("0123456789ab");
    assert_eq!(send("pullrequest:updated", "3", &edited), "queued", "a new commit");
    edited["pullrequest"]["destination"]["branch"]["name"] = json!("release");
    assert_eq!(send("pullrequest:updated", "4", &edited), "queued", "another target");
    end(running).exits(0);
}

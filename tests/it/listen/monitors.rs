//! What those see that watch over a listener: `/readyz`, `/metrics`, and its own log.

use serde_json::{Value, json};

use super::{Answer, Disk, Forge, end, wait};

fn get(forge: &Forge, path: &str) -> Answer {
    forge.request("GET", path, &[], b"").unwrap()
}

/// Says why `/readyz` is not ready; `None` where it is.
fn unready(forge: &Forge) -> Option<String> {
    let answer = get(forge, "/readyz");
    match answer.status {
        200 => {
            assert_eq!(answer.body["status"], json!("ready"));
            None
        }
        status => {
            assert_eq!((status, &answer.body["status"]), (503, &json!("not-ready")), "{answer:?}");
            assert!(answer.head.contains("retry-after: "), "{}", answer.head);
            Some(answer.body["message"].as_str().unwrap().to_owned())
        }
    }
}

/// It said `ready` while it sent every delivery away.
#[test]
fn a_listener_whose_queue_is_full_is_not_ready() {
    let forge = Forge::script("true");
    let no_engine = |capacity: &str| {
        let listener = forge.listener(&["--capacity", capacity]);
        let mut running = listener.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").spawn();
        running.wait_for("Argon listens for");
        running
    };
    let running = no_engine("2");
    for number in 0..2 {
        assert_eq!(unready(&forge), None);
        assert_eq!(forge.push(&format!("topic/{number}"), &forge.commit(), &number.to_string()).status, 202);
    }
    wait(|| unready(&forge).is_some());
    assert!(unready(&forge).unwrap().contains("2 runs wait"), "{:?}", unready(&forge));
    assert_eq!(forge.push("topic/more", &forge.commit(), "more").status, 503);
    end(running).exits(0);
    let running = no_engine("3");
    assert_eq!(unready(&forge), None);
    end(running).exits(0);
}

#[test]
fn a_listener_whose_queue_cannot_be_written_is_not_ready_until_it_can_be() {
    let forge = Forge::script("true");
    let disk = Disk::of("3M", forge.repo.home().join("state"));
    let running = forge.listen(&[]);
    assert_eq!(unready(&forge), None);
    let lock = rusqlite::Connection::open(forge.state().path().join("queue.db")).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    wait(|| unready(&forge).is_some());
    let said = unready(&forge).unwrap();
    assert!(said.contains("cannot be written") && !said.contains("queue.db"), "{said}");
    lock.execute_batch("ROLLBACK").unwrap();
    drop(lock);
    wait(|| unready(&forge).is_none());
    let filler = disk.fill();
    // What is left in the log of the database takes some.
    for number in 0..400 {
        forge.push(&format!("other-{number}"), &forge.commit(), &number.to_string());
    }
    wait(|| unready(&forge).is_some());
    std::fs::remove_file(&filler).unwrap();
    wait(|| unready(&forge).is_none());
    end(running).exits(0);
}

#[test]
fn metrics_are_in_the_format_of_prometheus_and_count_what_was_run() {
    let forge = Forge::script("true");
    let running = forge.listen(&[]);
    forge.push("main", &forge.commit(), "1");
    forge.push("other", &forge.commit(), "2");
    assert_eq!(forge.outcomes(), ["success", "not-triggered"]);
    let answer = get(&forge, "/metrics");
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    let mut samples: Vec<&str> = answer.text.lines().filter(|line| !line.starts_with('#')).collect();
    samples.sort_unstable();
    assert_eq!(
        samples,
        [
            "argon_history_runs{status=\"skipped\"} 1",
            "argon_history_runs{status=\"success\"} 1",
            "argon_outbox_waiting 0",
            "argon_queue_runs{state=\"queued\"} 0",
            "argon_queue_runs{state=\"running\"} 0",
        ]
    );
    for name in ["argon_history_runs", "argon_outbox_waiting", "argon_queue_runs"] {
        assert!(answer.text.contains(&format!("# HELP {name} ")), "{}", answer.text);
        assert!(answer.text.contains(&format!("# TYPE {name} gauge\n")), "{}", answer.text);
    }
    assert!(answer.text.ends_with('\n'));
    end(running).exits(0);
}

#[test]
fn the_log_in_json_is_one_object_a_line_with_the_run_that_it_is_about() {
    let forge = Forge::script("true");
    let running = forge.listen(&["--log-json"]);
    let run = forge.push("main", &forge.commit(), "1").body["run"].clone();
    assert_eq!(forge.outcomes(), ["success"]);
    let ended = end(running);
    ended.exits(0);
    let told = String::from_utf8(ended.stderr).unwrap();
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        assert!(line["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{line}");
        assert!(["INFO", "WARN", "ERROR"].contains(&line["level"].as_str().unwrap()), "{line}");
        assert!(line["message"].is_string(), "{line}");
    }
    let of_run: Vec<&str> =
        lines.iter().filter(|line| line["run"] == run).filter_map(|line| line["message"].as_str()).collect();
    assert_eq!(of_run, ["a run was queued", "begins", "is over"]);
    assert!(lines.iter().any(|line| line["message"] == "is over" && line["outcome"] == "success"), "{told}");
}

//! FAULTS of the queue, of HTTP and of hostile content, as they meet a listener that runs.

use super::*;

/// A push of a branch, as GitHub tells of it, with what its commit and its pusher say.
fn push(branch: &str, before: &str, after: &str, message: &str, pusher: &str) -> Vec<u8> {
    json!({
        "ref": format!("refs/heads/{branch}"), "before": before, "after": after, "commits": [],
        "repository": {"full_name": "team/app"}, "pusher": {"name": pusher, "email": "ada@example.com"},
        "head_commit": {"id": after, "message": message},
    })
    .to_string()
    .into_bytes()
}

fn deliver(forge: &Forge, id: &str, body: &[u8]) -> Answer {
    forge.post("/webhook", &[("x-github-delivery", id)], body, &signed(SECRET, body))
}

/// A listener that can run nothing: what is accepted waits for the next one.
fn accepts(forge: &Forge, args: &[&str]) -> Running {
    let mut running = forge.listener(args).env("DOCKER_HOST", "unix:///nonexistent/docker.sock").spawn();
    running.wait_for("Argon listens for");
    running
}

/// FAULTS 25.
#[test]
fn a_database_that_is_locked_for_half_a_minute_is_never_acknowledged_and_a_run_ends_once() {
    let forge = Forge::script("echo begun; sleep 6");
    let mut running = forge.listen(&[]);
    assert_eq!(forge.push("main", &forge.commit(), "1").status, 202);
    running.wait_for_container();
    let lock = rusqlite::Connection::open(forge.state().path().join("queue.db")).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = Instant::now();
    let mut number = 0;
    while began.elapsed() < Duration::from_secs(30) {
        number += 1;
        let answer = forge.push(&format!("topic/{number}"), &forge.commit(), &format!("locked {number}"));
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.head.contains("retry-after: "), "{}", answer.head);
    }
    lock.execute_batch("ROLLBACK").unwrap();
    drop(lock);
    wait(|| forge.push("topic/after", &forge.commit(), "after").status == 202);
    assert_eq!(forge.outcomes(), ["success", "success"], "none of those that were sent away is there");
    let runs = forge.runs();
    assert_eq!(runs.len(), 2, "{runs:#?}");
    end(running).exits(0).never_says("lease was lost").never_says("damaged");
}

/// FAULTS 26: a byte that was flipped.
#[test]
fn a_damaged_queue_is_moved_aside_when_the_listener_begins_and_it_says_so() {
    let forge = Forge::script("true");
    let running = accepts(&forge, &[]);
    for number in 0..200 {
        assert_eq!(forge.push(&format!("topic/{number}"), &forge.commit(), &number.to_string()).status, 202);
    }
    end(running).exits(0);
    // Whoever closes it last writes its log back.
    assert_eq!(forge.entries().len(), 200);
    let path = forge.state().path().join("queue.db");
    let mut bytes = std::fs::read(&path).unwrap();
    assert!(bytes.len() > 3 * 4096, "its log was written back");
    bytes[2 * 4096..2 * 4096 + 64].iter_mut().for_each(|byte| *byte ^= 0xff);
    std::fs::write(&path, &bytes).unwrap();
    let running = accepts(&forge, &[]);
    assert_eq!(forge.push("main", &forge.commit(), "anew").status, 202);
    assert_eq!(forge.entries().len(), 1);
    let aside = std::fs::read_dir(forge.state().path()).unwrap().map(|entry| entry.unwrap().path());
    let aside: Vec<PathBuf> = aside.filter(|path| path.to_string_lossy().contains("queue.db.damaged-")).collect();
    assert_eq!(std::fs::read(&aside[0]).unwrap(), bytes, "what is left of it is kept as it was");
    end(running).exits(0).says("queue.db").says("is damaged").says("was moved to");
}

/// FAULTS 26: a write-ahead log that lost its end. SQLite goes by its checksums, so what is left is whole, up to a point in time.
#[test]
fn a_queue_whose_log_lost_its_end_goes_on_from_what_is_whole() {
    let forge = Forge::script("true");
    let mut running = accepts(&forge, &[]);
    let runs: Vec<String> = (0..30)
        .map(|number| {
            let answer = forge.push(&format!("topic/{number}"), &forge.commit(), &number.to_string());
            answer.body["run"].as_str().unwrap().to_owned()
        })
        .collect();
    running.signal(Signal::KILL);
    running.wait();
    let log = forge.state().path().join("queue.db-wal");
    let length = log.metadata().unwrap().len();
    std::fs::File::options().write(true).open(&log).unwrap().set_len(length / 2 + 100).unwrap();
    let running = accepts(&forge, &[]);
    let left: Vec<String> = forge.entries().iter().map(|entry| entry.run.to_string()).collect();
    assert!(left.len() < runs.len(), "something was cut off");
    assert_eq!(left, runs[..left.len()], "the beginning is there, in its order");
    // What was lost is taken when it comes again, and nothing else.
    for (number, run) in runs.iter().enumerate() {
        let again = forge.push(&format!("topic/{number}"), &forge.commit(), &number.to_string());
        let is_left = left.contains(run);
        assert_eq!(again.status, if is_left { 200 } else { 202 }, "{number}");
    }
    assert_eq!(forge.entries().len(), runs.len());
    end(running).exits(0);
}

/// Sends bytes as they are; gives the status of the answer.
fn raw(forge: &Forge, pieces: impl IntoIterator<Item = Vec<u8>>) -> Option<u16> {
    let mut stream = TcpStream::connect(forge.address).unwrap();
    stream.set_read_timeout(Some(LATE)).unwrap();
    for piece in pieces {
        // Who is refused early need not be heard to the end.
        if stream.write_all(&piece).is_err() {
            break;
        }
    }
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let mut piece = [0; 1024];
    while let Ok(read) = stream.read(&mut piece)
        && read > 0
    {
        answer.extend_from_slice(&piece[..read]);
    }
    String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
}

/// FAULTS 31: what really comes, not what is announced.
#[test]
fn a_body_that_ends_early_or_never_is_refused_by_what_comes() {
    let forge = Forge::script("true");
    let running = accepts(&forge, &[]);
    let good = body("main", &forge.commit());
    let head = |length: &str| {
        let signature = signed(SECRET, &good);
        format!(
            "POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nx-github-event: push\r\n\
             x-hub-signature-256: sha256={signature}\r\n{length}\r\n\r\n"
        )
        .into_bytes()
    };
    let sized = |bytes: usize| head(&format!("content-length: {bytes}"));
    assert_eq!(raw(&forge, [sized(good.len()), good[..good.len() / 2].to_vec()]), Some(400));
    const MB: usize = 1024 * 1024;
    let thirty = std::iter::once(sized(30 * MB)).chain((0..30).map(|_| vec![b' '; MB]));
    assert_eq!(raw(&forge, thirty), Some(413));
    let chunk = || [format!("{MB:x}\r\n").into_bytes(), vec![b' '; MB], b"\r\n".to_vec()].concat();
    let chunks = (0..30).map(|_| chunk()).chain([b"0\r\n\r\n".to_vec()]);
    assert_eq!(raw(&forge, std::iter::once(head("transfer-encoding: chunked")).chain(chunks)), Some(413));
    let cut = [head("transfer-encoding: chunked"), format!("{:x}\r\n", good.len()).into_bytes(), good[..9].to_vec()];
    assert_eq!(raw(&forge, cut), Some(400));
    assert_eq!(forge.entries(), []);
    assert_eq!(deliver(&forge, "1", &good).status, 202, "the control");
    end(running).exits(0);
}

/// FAULTS 33.
#[test]
fn of_fifty_pushes_to_a_branch_the_latest_is_run_and_each_other_says_which_took_its_place() {
    let forge = Forge::script("sleep 3");
    let mut running = forge.listen(&[]);
    let commit = forge.commit();
    let mut before = "0".repeat(40);
    let mut pushed = Vec::new();
    for number in 0..50 {
        // Only the first and the last are there: none of the others may even be looked for.
        let after = if matches!(number, 0 | 49) { commit.clone() } else { format!("{number:040x}") };
        let answer = deliver(&forge, &number.to_string(), &push("main", &before, &after, "m", "ada"));
        assert_eq!(answer.status, 202, "{answer:?}");
        pushed.push(answer.body["run"].as_str().unwrap().to_owned());
        if number == 0 {
            running.wait_for_container();
        }
        before = after;
    }
    let outcomes = forge.outcomes();
    assert_eq!((outcomes[0].as_str(), outcomes[49].as_str()), ("success", "success"));
    for (number, entry) in forge.entries().iter().enumerate().take(49).skip(1) {
        assert_eq!(entry.outcome.as_deref(), Some("superseded"));
        assert!(entry.reason.as_deref().unwrap().contains(&pushed[number + 1]), "{entry:?}");
    }
    end(running).exits(0);
}

/// FAULTS 34.
#[test]
fn what_was_pushed_is_run_though_its_branch_was_forced_elsewhere_or_deleted_and_else_it_is_gone() {
    let forge = Forge::script("echo \"$ARGON_COMMIT\"; cat version");
    let git = |args: &[&str]| forge.repo.git(args);
    let commit = |version: &str| {
        std::fs::write(forge.repo.path().join("version"), format!("{version}\n")).unwrap();
        git(&["add", "-A"]);
        git(&["commit", "-q", "-m", version]);
        forge.commit()
    };
    let running = accepts(&forge, &[]);
    let main = forge.commit();
    let mut pushed = Vec::new();
    for (branch, version) in [("topic/forced", "of-forced"), ("topic/deleted", "of-deleted"), ("topic/lost", "of-lost")]
    {
        git(&["checkout", "-q", "-B", branch, &main]);
        let after = commit(version);
        git(&["push", "-q", "../app.git", &format!("HEAD:{branch}")]);
        let body = push(branch, &"0".repeat(40), &after, version, "ada");
        assert_eq!(deliver(&forge, version, &body).status, 202);
        pushed.push(after);
    }
    end(running).exits(0);
    // Between being accepted and being fetched.
    git(&["checkout", "-q", "-B", "topic/forced", &main]);
    commit("forced");
    git(&["push", "-q", "--force", "../app.git", "HEAD:topic/forced"]);
    git(&["push", "-q", "../app.git", ":topic/deleted", ":topic/lost"]);
    // Of the last one nothing is left at the server.
    let object = forge.bare().join("objects").join(&pushed[2][..2]).join(&pushed[2][2..]);
    std::fs::remove_file(object).unwrap();
    let running = forge.listen(&[]);
    assert_eq!(forge.outcomes(), ["success", "success", "ref-gone"], "{:#?}", forge.runs());
    let mut runs = forge.runs();
    runs.reverse();
    for (run, commit) in runs.iter().zip(&pushed) {
        assert_eq!(run["commit"], json!(commit), "{run:#}");
    }
    forge.repo.argon(&["logs", "1"]).without_engine().says("of-forced").says(&pushed[0]);
    forge.repo.argon(&["logs", "2"]).without_engine().says("of-deleted").says(&pushed[1]);
    end(running).exits(0);
}

/// FAULTS 36.
#[test]
fn what_a_shell_would_take_for_commands_in_names_and_messages_is_text() {
    let script = "printf '%s\\n' \"message: $ARGON_COMMIT_MESSAGE\" \"pusher: $ARGON_PUSHER_NAME\" \"branch: $ARGON_BRANCH\"; \
                  if ls -a | grep owned; then exit 9; fi";
    let forge = Forge::script(script);
    let running = forge.listen(&[]);
    let commit = forge.commit();
    let evil = "$(touch owned-1) `touch owned-2`; touch owned-3 | tee owned-4 && touch owned-5 > owned-6 'it''s' \"q\" \\ %s %n $IFS !! *";
    let branch = "topic/$(touch${IFS}owned-7);touch${IFS}owned-8&|`x`'\"%s";
    let answer = deliver(&forge, "1", &push(branch, &"0".repeat(40), &commit, evil, evil));
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(forge.outcomes(), ["success"], "{:#?}", forge.runs());
    let logs = forge.repo.argon(&["logs", "1"]).without_engine();
    logs.says(&format!("message: {evil}")).says(&format!("pusher: {evil}")).says(&format!("branch: {branch}"));
    // Nor where the listener itself is: its folder, and where it cloned to.
    for folder in [forge.repo.path(), forge.bare(), forge.repo.home(), forge.repo.beside().to_owned()] {
        let owned = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(!owned.into_iter().any(|name| name.to_string_lossy().contains("owned")), "{folder:?}");
    }
    end(running).exits(0);
}

/// FAULTS 20: what a step or a pipeline writes does not drive the terminal that a listener logs to.
#[test]
fn no_code_for_a_terminal_reaches_the_listeners_own_log() {
    let nasty = "\u{1b}]0;title\u{7}\u{1b}[2J\u{1b}]52;c;b3duZWQ=\u{7}";
    let pipeline =
        |steps: Value| json!({"version": 1, "jobs": {"job": {"image": BUSYBOX, "steps": steps}}}).to_string();
    let forge = Forge::new(&pipeline(json!([{
        "name": format!("step {nasty}"),
        "run": "printf '\\033]0;title\\007\\033[2J\\033]52;c;b3duZWQ=\\007\\r\\033[31mred'; exit 3",
    }])));
    let listener = forge.listener(&[]).env("RUST_LOG", "debug");
    let mut running = listener.spawn();
    running.wait_for("Argon listens for");
    let first = deliver(&forge, "1", &push("main", &"0".repeat(40), &forge.commit(), nasty, nasty));
    assert_eq!(first.status, 202);
    assert_eq!(forge.outcomes(), ["failure"]);
    // One that is not valid, with such a name for what is wrong in it.
    let broken = json!({"version": 1, "jobs": {"job": {"image": BUSYBOX, format!("key {nasty}"): 1}}}).to_string();
    std::fs::write(forge.repo.path().join(".runnerci.yml"), broken).unwrap();
    forge.repo.git(&["commit", "-q", "-a", "-m", "broken"]);
    forge.repo.git(&["push", "-q", "../app.git", "main"]);
    deliver(&forge, "2", &push("main", &"0".repeat(40), &forge.commit(), nasty, nasty));
    assert_eq!(forge.outcomes(), ["failure", "failure"]);
    let ended = end(running);
    ended.exits(0).says("is over");
    for (name, bytes) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
        let text = String::from_utf8_lossy(bytes);
        let code = text.chars().find(|c| c.is_control() && *c != '\n' && *c != '\t');
        assert_eq!(code, None, "{name}: {text:?}");
    }
}

/// FAULTS 23: on its way to people and to a browser a secret is masked, as it is and encoded.
#[test]
fn a_secret_reaches_neither_who_is_told_nor_a_browser() {
    use crate::notify::web::{Web, answer};
    use base64::Engine as _;
    let secret = "correct-horse-battery-staple";
    let encoded = base64::prelude::BASE64_STANDARD.encode(secret);
    let script =
        "echo \"plain $KEY\"; printf %s \"$KEY\" | base64; printf 'cor'; sleep 0.2; echo \"${KEY#cor}\"; exit 3";
    let forge = Forge::new(
        &json!({"version": 1, "secrets": ["KEY"], "jobs": {"job": {"image": BUSYBOX, "steps": [
            {"name": "leak", "secrets": ["KEY"], "run": script}]}}})
        .to_string(),
    );
    let chat = Web::start(answer(200, "", ""));
    let file = forge.repo.beside().join("listen.toml");
    let config = format!(
        "bind = \"{}\"\n[[repository]]\nurl = {:?}\nsecrets = {{ KEY = {{ env = \"THE_KEY\" }} }}\n\
         [[notify]]\ntype = \"webhook\"\nurl = \"{}\"\nsecret = {{ env = \"ARGON_WEBHOOK_SECRET\" }}\nwhen = \"always\"\n",
        forge.address,
        forge.bare(),
        chat.url("/told")
    );
    std::fs::write(&file, config).unwrap();
    let listener = forge.repo.argon(&["listen", "--config", file.to_str().unwrap()]);
    let mut running = listener.env("ARGON_WEBHOOK_SECRET", SECRET).env("THE_KEY", secret).spawn();
    running.wait_for("/login/");
    wait(|| running.printed().split("/login/").nth(1).is_some_and(|rest| rest.contains('\n')));
    let printed = running.printed();
    let login = printed.split("/login/").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let pushed = deliver(&forge, "1", &push("main", &"0".repeat(40), &forge.commit(), "m", "ada"));
    let run = pushed.body["run"].as_str().unwrap().to_owned();
    let get = |path: &str, cookie: &str| {
        let mut stream = TcpStream::connect(forge.address).unwrap();
        let (host, path) = (forge.address, path.to_owned());
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\ncookie: {cookie}\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    let signed_in = get(&format!("/login/{login}"), "");
    let cookie = signed_in.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    // While it goes on, and when it is over.
    wait(|| get(&format!("/runs/{run}"), &cookie).contains("leak"));
    let live = get(&format!("/runs/{run}/live?job=0&step=0"), &cookie);
    assert_eq!(forge.outcomes(), ["failure"]);
    let pages =
        ["", "/log/0/0", "/log/0/0/lines", "/log/0/0/raw"].map(|page| get(&format!("/runs/{run}{page}"), &cookie));
    wait(|| !chat.all().is_empty());
    let told = chat.posted().json().to_string();
    end(running).exits(0);
    assert!(told.contains("plain ***"), "the lines are there: {told}");
    assert!(live.contains("event: end") && live.contains("plain ***"), "{live}");
    for (name, text) in [
        ("notification", &told),
        ("live", &live),
        ("page", &pages[0]),
        ("log", &pages[1]),
        ("lines", &pages[2]),
        ("raw", &pages[3]),
    ] {
        for form in [secret, &encoded, "horse-battery"] {
            assert!(!text.contains(form), "{name} has `{form}`: {text}");
        }
    }
}

/// A slot of a schedule that the queue has no room for is queued once it has.
#[test]
fn a_moment_of_a_schedule_that_is_refused_is_queued_when_there_is_room() {
    let forge = Forge::new(
        &json!({"version": 1, "on": {"push": {}, "schedule": [{"cron": "31 10 7 3 *"}]},
            "jobs": {"job": {"image": BUSYBOX, "steps": [{"run": "true"}]}}})
        .to_string(),
    );
    let mut running = forge
        .listener(&["--capacity", "1"])
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .env("LD_PRELOAD", faketime().to_str().unwrap())
        .env("FAKETIME", "@2027-03-07 10:30:50")
        .env("TZ", "UTC")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DONT_FAKE_MONOTONIC", "1")
        .spawn();
    running.wait_for("Argon listens for");
    let pushed = forge.push("main", &forge.commit(), "1");
    assert_eq!(pushed.status, 202);
    std::thread::sleep(Duration::from_secs(14));
    assert_eq!(forge.entries().len(), 1);
    let run = argon::event::RunId::from_text(pushed.body["run"].as_str().unwrap());
    assert!(Queue::open(&forge.state()).unwrap().0.cancel(&run, "by hand", jiff::Timestamp::now()).unwrap());
    wait(|| forge.entries().len() == 2);
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(forge.entries().len(), 2, "once");
    end(running).exits(0).says("could not be queued; it is tried again");
}

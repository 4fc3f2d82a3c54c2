//! `listen.toml`: several repositories, and whom a listener tells what, until they heard it.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use argon::store::queue::Queue;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::listen::{Forge, body, end, wait};
use crate::notify::smtp::{self, Encryption, Smtp};
use crate::notify::web::{Manner, Web, answer};
use crate::support::{Argon, BUSYBOX, Running};
use crate::webhook::{SECRET, signed};

const TOKEN: &str = "a token of the tests";

impl Forge {
    /// Writes a file beside the repository that only its owner can read.
    fn private(&self, name: &str, text: &str) -> PathBuf {
        let path = self.repo.beside().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// `[[repository]]` of this one, with these lines.
    fn table(&self, more: &str) -> String {
        format!("[[repository]]\nurl = {:?}\n{more}\n", self.bare())
    }

    fn configured(&self, config: &str) -> Argon {
        let path = self.private("listen.toml", config);
        let bind = self.address.to_string();
        let argon = self.repo.argon(&["listen", "--config", path.to_str().unwrap(), "--bind", &bind]);
        argon.env("ARGON_WEBHOOK_SECRET", SECRET).env("FORGE_TOKEN", TOKEN)
    }

    fn listen_with(&self, config: &str) -> Running {
        let mut running = self.configured(config).spawn();
        running.wait_for("Argon listens for");
        running
    }
}

fn bodies(web: &Web) -> Vec<Value> {
    web.all().iter().map(crate::notify::web::Posted::json).collect()
}

#[test]
fn how_a_run_ends_is_told_by_mail_by_webhook_and_at_the_forge() {
    let forge = Forge::script("echo compiling; echo 'no such symbol' >&2; exit 4");
    let mails = Smtp::start(Encryption::Never, smtp::Manner::Takes);
    let (hook, api) = (Web::start(answer(200, "", "ok")), Web::start(answer(201, "", "{}")));
    let mail = format!(
        "[[notify]]\ntype = \"email\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n\
         from = \"ci@example.com\"\nto = [\"ada@example.com\"]\n",
        mails.port
    );
    let config = format!(
        "url = \"https://ci.example.com/\"\n{}{mail}[[notify]]\ntype = \"webhook\"\nurl = \"{}\"\n\
         secret = {{ env = \"ARGON_WEBHOOK_SECRET\" }}\nbranches = [\"topic/*\"]\nwhen = \"always\"\n",
        forge.table(&format!(
            "status = {{ forge = \"gitea\", api = \"{}\", project = \"team/app\", token = {{ env = \"FORGE_TOKEN\" }} }}",
            api.url("/api/v1")
        )),
        hook.url("/hook"),
    );
    let running = forge.listen_with(&config);
    let run = forge.push("main", &forge.commit(), "1").body["run"].as_str().unwrap().to_owned();
    wait(|| mails.mails().len() == 1 && api.all().len() == 2);
    let mail = &mails.mails()[0].text;
    for said in
        ["failed: job on main", "exit code 4", "no such symbol", "ada", &format!("https://ci.example.com/runs/{run}")]
    {
        assert!(mail.contains(said), "{said}: {mail}");
    }
    let told = api.all();
    assert!(told[0].line.contains(&format!("/api/v1/repos/team/app/statuses/{}", forge.commit())), "{}", told[0].line);
    assert_eq!(told[0].headers["authorization"], format!("token {TOKEN}"));
    let states: Vec<Value> = bodies(&api).iter().map(|body| body["state"].clone()).collect();
    assert_eq!(states, [json!("pending"), json!("failure")]);
    assert_eq!(bodies(&api)[1]["target_url"], json!(format!("https://ci.example.com/runs/{run}")));
    assert_eq!(hook.all().len(), 0, "main is none of its branches");
    forge.push("topic/x", &forge.commit(), "2");
    wait(|| hook.all().len() == 1);
    let posted = hook.posted();
    assert_eq!(posted.headers["x-argon-signature-256"], format!("sha256={}", signed(SECRET, &posted.body)));
    assert_eq!((&posted.json()["status"], &posted.json()["branch"]), (&json!("failure"), &json!("topic/x")));
    end(running).exits(0).never_says(TOKEN);
}

#[test]
fn each_forge_is_told_how_a_run_ends_in_its_own_form() {
    let forge = Forge::script("exit 4");
    for (name, path, (header, value), states) in [
        ("github", "/api/repos/team/app/statuses/COMMIT", ("authorization", "Bearer "), ["pending", "failure"]),
        ("gitlab", "/api/projects/team%2Fapp/statuses/COMMIT", ("private-token", ""), ["running", "failed"]),
        (
            "bitbucket",
            "/api/repositories/team/app/commit/COMMIT/statuses/build",
            ("authorization", "Bearer "),
            ["INPROGRESS", "FAILED"],
        ),
        (
            "bitbucket-data-center",
            "/api/projects/team/repos/app/commits/COMMIT/builds",
            ("authorization", "Bearer "),
            ["INPROGRESS", "FAILED"],
        ),
    ] {
        let api = Web::start(answer(201, "", "{}"));
        let table = forge.table(&format!(
            "status = {{ forge = \"{name}\", api = \"{}\", project = \"team/app\", token = {{ env = \"FORGE_TOKEN\" }} }}",
            api.url("/api")
        ));
        let running = forge.listen_with(&format!("url = \"https://ci.example.com/\"\n{table}"));
        forge.push(&format!("topic/{name}"), &forge.commit(), name);
        wait(|| api.all().len() == 2);
        let path = path.replace("COMMIT", &forge.commit());
        for (told, state) in api.all().iter().zip(states) {
            assert!(told.line.starts_with(&format!("POST {path} ")), "{name}: {}", told.line);
            assert_eq!(told.headers[header], format!("{value}{TOKEN}"), "{name}");
            assert_eq!(told.json()["state"], json!(state), "{name}");
        }
        end(running).exits(0).never_says(TOKEN);
    }
}

/// FAULTS 35.
#[test]
fn what_nobody_heard_is_told_after_a_kill_and_changes_no_run() {
    let forge = Forge::script("true");
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let config = format!(
        "{}[[notify]]\ntype = \"slack\"\nwhen = \"always\"\nurl = \"http://127.0.0.1:{port}/hook\"\n",
        forge.table("")
    );
    let mut running = forge.listen_with(&config);
    forge.push("main", &forge.commit(), "1");
    assert_eq!(forge.outcomes(), ["success"]);
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    wait(|| Queue::open(&forge.state()).unwrap().0.due(later).unwrap().iter().any(|letter| letter.tries > 0));
    running.signal(Signal::KILL);
    running.wait();
    let hook = Web::start_at(port, answer(200, "", "ok"));
    let running = forge.listen_with(&config);
    wait(|| hook.all().len() == 1);
    assert!(bodies(&hook)[0]["text"].as_str().unwrap().contains("main"), "{:?}", bodies(&hook));
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(hook.all().len(), 1, "once");
    end(running).exits(0);
}

/// FAULTS 35: one that takes a message and never answers holds up itself alone.
#[test]
fn a_channel_that_hangs_holds_up_no_other() {
    let forge = Forge::script("true");
    let (stuck, hook) = (Web::start(Manner::Hangs), Web::start(answer(200, "", "ok")));
    let rule = |web: &Web| format!("[[notify]]\ntype = \"slack\"\nwhen = \"always\"\nurl = \"{}\"\n", web.url("/hook"));
    let running = forge.listen_with(&format!("{}{}{}", forge.table(""), rule(&stuck), rule(&hook)));
    let began = std::time::Instant::now();
    for number in 0..3 {
        forge.push(&format!("topic/{number}"), &forge.commit(), &number.to_string());
        wait(|| hook.all().len() == number + 1);
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "a try may take 30 s: {:?}", began.elapsed());
    assert_eq!(stuck.all().len(), 1, "the next one waits for its turn");
    end(running).exits(0);
}

#[test]
fn of_several_repositories_the_one_that_is_named_runs_and_only_with_its_own_secret() {
    let (forge, other) = (Forge::script("true"), Forge::script("true"));
    let secret = "quite another secret";
    let file = forge.private("other-secret", secret);
    let config = format!(
        "runs = 2\n{}{}",
        forge.table("name = \"team/app\""),
        other.table(&format!("name = \"team/other\"\nwebhook-secret = {{ file = {file:?} }}"))
    );
    let running = forge.listen_with(&config);
    let push = |name: &str, commit: &str, secret: &str| {
        let mut body: Value = serde_json::from_slice(&body("main", commit)).unwrap();
        body["repository"] = json!({"full_name": name});
        let body = body.to_string().into_bytes();
        let answer = forge.post("/webhook", &[], &body, &signed(secret, &body));
        (answer.status, answer.body["status"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(push("team/app", &forge.commit(), SECRET), (202, "queued".into()));
    assert_eq!(push("team/other", &other.commit(), secret), (202, "queued".into()));
    assert_eq!(push("team/other", &other.commit(), SECRET), (200, "ignored".into()), "another's secret");
    assert_eq!(push("team/third", &other.commit(), SECRET), (200, "ignored".into()));
    assert_eq!(push("team/app", &forge.commit(), "a secret of nobody").0, 401);
    assert_eq!(forge.outcomes(), ["success", "success"]);
    let mut repositories: Vec<String> =
        forge.runs().iter().map(|run| run["repository"].as_str().unwrap().to_owned()).collect();
    repositories.sort();
    let mut expected = [forge.bare(), other.bare()].map(|path| path.display().to_string());
    expected.sort();
    assert_eq!(repositories, expected);
    let url = format!("http://{}", forge.address);
    let trigger = |more: &[&str]| {
        let args = [&["trigger", "--url", &url], more].concat();
        forge.repo.argon(&args).env("ARGON_WEBHOOK_SECRET", SECRET).without_engine()
    };
    trigger(&["--repo", "team/app"]).exits(0);
    trigger(&["--repo", "team/other"]).exits(3).says("name the repository");
    end(running).exits(0);
}

#[test]
fn each_branch_of_a_push_of_bitbucket_is_a_run_and_its_badge_may_be_seen_by_everybody() {
    let forge = Forge::script("true");
    let running = forge.listen_with(&format!("public-badges = true\n{}", forge.table("name = \"team/app\"")));
    let change = |branch: &str| json!({"new": {"type": "branch", "name": branch, "target": {"hash": forge.commit(), "message": "m"}}, "old": null});
    let body = json!({
        "actor": {"display_name": "Ada"}, "repository": {"full_name": "team/app"},
        "push": {"changes": [change("main"), change("topic/a"), change("other")]},
    });
    let body = body.to_string().into_bytes();
    let signature = format!("sha256={}", signed(SECRET, &body));
    let headers = [
        ("content-type", "application/json"),
        ("x-event-key", "repo:push"),
        ("x-request-uuid", "1"),
        ("x-hub-signature", &*signature),
    ];
    let deliver = || forge.request("POST", "/webhook", &headers, &body).unwrap().status;
    assert_eq!(deliver(), 202);
    assert_eq!(deliver(), 200, "it is known");
    let mut outcomes = forge.outcomes();
    outcomes.sort();
    assert_eq!(outcomes, ["not-triggered", "success", "success"]);
    let host = forge.address.to_string();
    let get = |path: &str| forge.request("GET", path, &[("host", &host)], b"").unwrap();
    assert_eq!(get("/badge/app.svg?branch=main").status, 200);
    assert_eq!(get("/runs").status, 401);
    end(running).exits(0);
}

#[test]
fn the_history_is_kept_as_the_configuration_says() {
    let forge = Forge::script("true");
    let config = format!("{}[keep]\nruns = 2\n", forge.table(""));
    let running = forge.listen_with(&config);
    for number in 0..4 {
        forge.push(&format!("topic/{number}"), &forge.commit(), &number.to_string());
    }
    forge.outcomes();
    assert_eq!(forge.runs().len(), 4, "it is tidied up at the start, and hourly");
    end(running).exits(0);
    let running = forge.listen_with(&config);
    wait(|| forge.runs().len() == 2);
    end(running).exits(0);
}

#[test]
fn a_run_reaches_neither_this_machine_nor_its_network_where_that_can_be_seen_to() {
    // Stands for a service of this machine; it answers on the bridge's own address, too.
    let service = Web::start_on([0, 0, 0, 0], answer(200, "", "a service of this machine"));
    let forge = Forge::script(&format!(
        "here=$(ip route | awk '/default/ {{ print $3 }}'); echo from $here; \
         printf 'POST / HTTP/1.0\\r\\ncontent-length: 0\\r\\n\\r\\n' | nc -w 3 $here {} || echo refused",
        service.port
    ));
    let shown = |args: &[&str]| {
        let running = forge.listen(args);
        forge.push(&format!("topic/{}", args.len()), &forge.commit(), &args.len().to_string());
        forge.outcomes();
        let logs = forge.logs();
        let told = end(running);
        told.exits(0);
        let warned = String::from_utf8_lossy(&told.stderr).contains("containers reach this machine");
        (String::from_utf8(logs.stdout).unwrap(), warned)
    };
    let (log, warned) = shown(&[]);
    // Without the right to set the packet filter it is open, and says so.
    assert_eq!(log.contains("refused"), !warned, "{log}");
    assert_eq!(log.contains("a service of this machine"), warned, "{log}");
    let (log, warned) = shown(&["--egress", "all"]);
    assert!(log.contains("a service of this machine") && !warned, "{log}");
}

#[test]
fn a_configuration_that_is_wrong_is_told_with_the_place() {
    let forge = Forge::script("true");
    let check = |config: &str, said: &[&str]| {
        let told = forge.configured(config).args(&["--check"]).without_engine();
        told.exits(2);
        said.iter().for_each(|said| {
            told.says(said);
        });
    };
    let table = forge.table("");
    check("", &["no repository to listen for", "[[repository]]"]);
    check(&format!("{table}{table}"), &["stands there twice"]);
    check(&format!("bnid = \"127.0.0.1:1\"\n{table}"), &["line 1", "unknown field `bnid`"]);
    check(&format!("poll = \"often\"\n{table}"), &["line 1", "often"]);
    check(&format!("{table}[keep]\nyears = 1\n"), &["unknown field `years`"]);
    check(&format!("runs = 0\n{table}"), &["`runs` is at least 1"]);
    check(&forge.table("webhook-secret = { env = \"NO_SUCH\" }"), &["no variable `NO_SUCH`"]);
    check(&forge.table("webhook-secret = \"a secret in the open\""), &["a secret is not written here"]);
    check(&forge.table("env = { \"A-B\" = \"1\" }"), &["`A-B` is not a name"]);
    check(
        &forge.table("status = { forge = \"github\", token = { env = \"FORGE_TOKEN\" } }"),
        &["no address at a forge"],
    );
    check(&forge.table("status = { forge = \"svn\", token = { env = \"FORGE_TOKEN\" } }"), &["unknown variant `svn`"]);
    check(&format!("{table}[[notify]]\ntype = \"slack\"\nurl = {{ env = \"NO_SUCH\" }}"), &["no variable `NO_SUCH`"]);
    let missing = forge.repo.argon(&["listen", "--config", "nowhere.toml"]).without_engine();
    missing.exits(2).says("cannot read `nowhere.toml`");
}

#[test]
fn a_job_with_services_reaches_those_and_no_more_of_the_local_network_than_others() {
    let service = Web::start_on([0, 0, 0, 0], answer(200, "", "a service of this machine"));
    let script = format!(
        "wget -qO- http://web/index.html; here=$(ip route | awk '/default/ {{ print $3 }}'); \
         printf 'POST / HTTP/1.0\\r\\ncontent-length: 0\\r\\n\\r\\n' | nc -w 3 $here {} || echo refused",
        service.port
    );
    let forge = Forge::new(
        &json!({"version": 1, "jobs": {"job": {"image": BUSYBOX, "steps": [{"run": script}], "services": {"web": {
            "image": BUSYBOX, "ready": {"port": 80}, "command": ["sh", "-c", "echo served > index.html; exec httpd -f -p 80"]}}}}})
        .to_string(),
    );
    let running = forge.listen(&[]);
    forge.push("main", &forge.commit(), "1");
    assert_eq!(forge.outcomes(), ["success"]);
    let log = String::from_utf8(forge.logs().stdout).unwrap();
    let told = end(running);
    let warned = String::from_utf8_lossy(&told.stderr).contains("containers reach this machine");
    assert!(log.contains("served"), "{log}");
    assert_eq!(log.contains("refused"), !warned, "{log}");
}

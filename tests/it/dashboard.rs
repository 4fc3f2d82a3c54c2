//! The dashboard, in a real browser and by hand-made requests: what it shows, live too, and whom it lets in.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::listen::{Forge, end, wait};
use crate::notify::smtp::{self, Encryption, Smtp};
use crate::notify::web::{Web, answer};
use crate::support::{Argon, BUSYBOX, Browser, Repo, Running};
use crate::webhook::SECRET;

/// A dashboard of its own, and a link into it.
fn ui(repo: &Repo) -> (Running, String) {
    let mut running = repo.argon(&["ui", "--no-open"]).spawn();
    let link = printed(&mut running, "http://");
    (running, link)
}

/// The first word with this beginning that argon printed.
pub(crate) fn printed(running: &mut Running, begins: &str) -> String {
    running.wait_for(begins);
    wait(|| running.printed().contains('\n'));
    let printed = running.printed();
    printed.split_whitespace().find(|word| word.starts_with(begins)).unwrap().to_owned()
}

/// Where it is, without what signs in.
fn base(link: &str) -> String {
    link.split("/login/").next().unwrap().to_owned()
}

/// A request of curl's kind: the status, the head in lower case, and the body.
fn ask(base: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String, String) {
    use std::io::{Read, Write};
    let address = base.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "host") {
        head.push_str(&format!("host: {address}\r\n"));
    }
    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.to_owned())
}

fn pipeline() -> Repo {
    let script = "printf '\\033[1;31mred\\033[0m <script>document.title=1</script>\\033]0;title\\007\\n'; seq 1 60; \
                  echo 'no such symbol'; exit 3";
    Repo::jobs(json!({
        "lint": {"image": BUSYBOX, "steps": [{"name": "style", "run": "echo clean"}]},
        "test": {"image": BUSYBOX, "needs": ["lint"], "steps": [{"name": "unit", "run": script}]},
        "ship": {"image": BUSYBOX, "needs": ["test"], "steps": [{"name": "send", "run": "true"}]},
    }))
    .commit()
}

#[test]
fn the_runs_of_this_machine_are_shown_with_what_failed_on_top() {
    let repo = pipeline();
    repo.plain(&[]).run().exits(1);
    repo.plain(&["--only", "lint"]).run().exits(0);
    let (running, link) = ui(&repo);
    let mut browser = Browser::start();
    browser.open(&link);
    browser.wait("!!document.querySelector('.runs')");
    let text = browser.text();
    for said in ["Latest runs", "test › unit: exit code 3", "#1", "#2", "success", "failure"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    browser.picture("overview");
    browser.dark(true);
    browser.picture("overview-dark");
    browser.size(390, 800);
    browser.picture("overview-phone");
    assert_eq!(browser.ask("document.documentElement.scrollWidth <= 390"), json!(true), "it fits a phone");
    browser.size(1200, 900);
    browser.dark(false);
    browser.open(&format!("{}/runs/1", base(&link)));
    let text = browser.text();
    for said in ["test › unit", "no such symbol", "needs test, which failed"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert_eq!(browser.ask("document.querySelectorAll('.graph .node').length"), json!(3));
    browser.picture("failed-run");
    // The log of a step: in the page, with its colours.
    browser.click("#job-2 summary");
    browser.wait("document.querySelector('#job-2 .log')?.innerText.includes('no such symbol') ?? false");
    browser.ask("document.querySelector('#job-2 .log').scrollTop = 0");
    browser.wait("[...document.querySelectorAll('#job-2 .line .b.f1')].some((piece) => piece.textContent === 'red')");
    browser.picture("failed-run-log");
    browser.size(390, 800);
    browser.picture("failed-run-phone");
    assert_eq!(browser.ask("document.documentElement.scrollWidth <= 390"), json!(true), "it fits a phone");
    browser.size(1200, 900);
    // Without the script: a page of its own.
    browser.open(&format!("{}/runs/1/log/2/0?from=0", base(&link)));
    assert!(browser.text().contains("red <script>document.title=1</script>"), "{}", browser.text());
    assert_eq!(browser.ask("document.querySelector('.line .b.f1').textContent"), json!("red"));
    // Search, with the keyboard.
    browser.open(&format!("{}/runs", base(&link)));
    browser.key("/");
    for letter in "such symbol".chars() {
        browser.key(&letter.to_string());
    }
    assert_eq!(browser.ask("document.activeElement.value"), json!("such symbol"));
    browser.ask("document.activeElement.form.submit()");
    browser.wait("location.search.includes('such+symbol') && document.readyState === 'complete'");
    let text = browser.text();
    assert!(text.contains("test › unit: no such symbol") && !text.contains("#2"), "{text}");
    browser.picture("search");
    browser.open(&format!("{}/trends?repository={}", base(&link), repo.path().display()));
    assert!(browser.text().contains("compile") || browser.text().contains("style"), "{}", browser.text());
    browser.picture("trends");
    assert_eq!(browser.complaints, [] as [String; 0]);
    end(running).exits(0);
}

#[test]
fn nobody_is_let_in_without_a_link_and_a_link_is_good_once() {
    let repo = pipeline();
    let (running, link) = ui(&repo);
    let (base, path) = (base(&link), format!("/login/{}", link.split("/login/").nth(1).unwrap()));
    let get = |path: &str, headers: &[(&str, &str)]| ask(&base, "GET", path, headers, "");
    for page in ["/", "/runs", "/runs/1", "/runs/1/live", "/runs/1/log/0/0/raw", "/trends", "/badge/app.svg"] {
        assert_eq!(get(page, &[]).0, 401, "{page}");
    }
    assert_eq!(get("/", &[("host", "evil.example")]).0, 421, "a name that is made to lead here");
    let (status, head, _) = get(&path, &[]);
    assert_eq!(status, 303);
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    for flag in ["httponly", "samesite=strict", "path=/"] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    let cookie = cookie.split(';').next().unwrap().to_owned();
    assert_eq!(get(&path, &[]).0, 403, "it is used up");
    let signed_in = [("cookie", cookie.as_str())];
    let (status, head, page) = get("/", &signed_in);
    assert_eq!(status, 200);
    for header in
        ["content-security-policy: default-src 'none'", "x-content-type-options: nosniff", "cache-control: no-store"]
    {
        assert!(head.contains(header), "{head}");
    }
    assert!(!head.contains("unsafe"), "{head}");
    // A link elsewhere brings no cookie along: the page asks once more, from here.
    let (status, _, again) = get("/runs/1?a=%22%3E%3Cscript%3E", &[("sec-fetch-site", "cross-site")]);
    assert_eq!(status, 200);
    assert!(again.contains("http-equiv=\"refresh\"") && !again.contains("<script>\""), "{again}");
    // A change: of our own origin, with the form's token.
    let token = page.split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let form = ("content-type", "application/x-www-form-urlencoded");
    let change = |headers: &[(&str, &str)], token: &str| {
        ask(&base, "POST", "/logout", &[&[form, signed_in[0]], headers].concat(), &format!("token={token}")).0
    };
    assert_eq!(change(&[], &token), 403, "no origin");
    assert_eq!(change(&[("origin", "http://evil.example")], &token), 403);
    assert_eq!(change(&[("origin", "null")], &token), 403);
    assert_eq!(change(&[("origin", &base)], "0000"), 403);
    assert_eq!(get("/", &signed_in).0, 200);
    assert_eq!(change(&[("origin", &base)], &token), 303);
    assert_eq!(get("/", &signed_in).0, 401, "signed out");
    let statuses: Vec<u16> = (0..25).map(|number| get(&format!("/login/{number}"), &[]).0).collect();
    assert_eq!((statuses[0], statuses[24]), (403, 429), "guessing is slow");
    // Nothing on the disk signs anybody in.
    let stored = std::fs::read(repo.home().join("state/argon/access.db")).unwrap();
    let (login, session) = (link.split("/login/").nth(1).unwrap(), cookie.split('=').nth(1).unwrap());
    for secret in [login, session] {
        assert!(!stored.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()));
    }
    end(running).exits(0);
}

#[test]
fn the_page_of_a_run_shows_tries() {
    let repo = Repo::jobs(json!({"job": {"image": BUSYBOX, "steps": [{"name": "unit", "run": "exit 3", "retry": 1}]}}));
    repo.plain(&[]).run().exits(1);
    let (running, link) = ui(&repo);
    let base = base(&link);
    let (_, head, _) = ask(&base, "GET", &format!("/login/{}", link.split("/login/").nth(1).unwrap()), &[], "");
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap().split(';').next().unwrap();
    let page = ask(&base, "GET", "/runs/1", &[("cookie", cookie)], "").2;
    assert!(page.contains("unit: try 1 of 2 failed: exit code 3"), "{page}");
    end(running).exits(0);
}

/// An artifact is named by what it is, and not by its place among those that were there when the page was made.
#[test]
fn the_page_of_a_run_hands_its_artifacts_out() {
    let repo = Repo::jobs(json!({"pack": {"image": BUSYBOX, "steps": [{"run": "echo one > one; echo two > two"}],
        "artifacts": [{"name": "a<b>", "paths": "one", "expire": "8s"}, {"name": "second", "paths": "two"}]}}));
    repo.plain(&[]).run().exits(0);
    let kept = std::time::Instant::now();
    let (running, link) = ui(&repo);
    let base = base(&link);
    let (_, head, _) = ask(&base, "GET", &format!("/login/{}", link.split("/login/").nth(1).unwrap()), &[], "");
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap().split(';').next().unwrap();
    let get = |path: &str| ask(&base, "GET", path, &[("cookie", cookie)], "");
    let page = get("/runs/1").2;
    assert!(page.contains("second</a>") && page.contains("1 file") && page.contains("of pack"), "{page}");
    assert!(!page.contains("a<b>"), "{page}");
    let links: Vec<&str> = page.split("/artifacts/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let [first, second] = links[..] else { panic!("{links:?}") };
    let (status, head, tar) = get(&format!("/runs/1/artifacts/{first}"));
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/x-tar") && head.contains("filename=\"run-1-a-b-.tar\""), "{head}");
    assert!(tar.contains("one\0") && tar.contains("one\n"));
    assert_eq!(ask(&base, "GET", &format!("/runs/1/artifacts/{second}"), &[], "").0, 401, "not signed in");
    std::thread::sleep(Duration::from_secs(9).saturating_sub(kept.elapsed()));
    assert_eq!(get(&format!("/runs/1/artifacts/{first}")).0, 404, "its time is over");
    assert!(get(&format!("/runs/1/artifacts/{second}")).2.contains("two\n"), "and the other is still the other");
    for strange in ["0", "..%2f..%2fhistory.db", "x"] {
        assert_eq!(get(&format!("/runs/1/artifacts/{strange}")).0, 404, "{strange}");
    }
    end(running).exits(0);
}

#[test]
fn a_dashboard_for_others_needs_tls() {
    let forge = Forge::script("true");
    let listen = |args: &[&str]| {
        let args = [&["listen", "--repo", ".", "--bind", "0.0.0.0:0", "--check"], args].concat();
        forge.repo.argon(&args).without_engine()
    };
    listen(&[]).exits(2).says("without TLS").says("--no-dashboard");
    listen(&["--url", "http://ci.example.com"]).exits(2).says("without TLS");
    listen(&["--url", "https://ci.example.com"]).exits(0);
    listen(&["--no-dashboard"]).exits(0);
    forge.repo.argon(&["ui", "--bind", "0.0.0.0:0"]).without_engine().exits(2).says("without TLS");
}

/// A log of 100 MB: any place of it is there at once, and the page holds what is seen of it alone.
#[test]
fn a_log_of_a_hundred_megabytes_scrolls() {
    let line = "x".repeat(92);
    let script = format!("awk 'BEGIN {{ for (i = 1; i <= 1000000; i++) printf \"%07d {line}\\n\", i }}'");
    let repo = Repo::script(BUSYBOX, &script).commit();
    repo.plain(&["-q"]).run().exits(0);
    let (running, link) = ui(&repo);
    let mut browser = Browser::start();
    browser.open(&link);
    browser.open(&format!("{}/runs/1", base(&link)));
    browser.click(".step summary");
    browser.wait("document.querySelector('.log')?.innerText.includes('1000000') ?? false");
    for part in [0.0, 0.5, 0.123, 0.987] {
        browser.ask(&format!(
            "(() => {{ const log = document.querySelector('.log'); log.scrollTop = log.scrollHeight * {part}; }})()"
        ));
        // Each line tells its own number: what is shown is what belongs there.
        browser.wait(&format!(
            "(() => {{ const rows = [...document.querySelectorAll('.log .line')]; \
             return rows.length > 10 && rows.length < 100 \
             && Math.abs(Number(rows[0].children[0].textContent) / 1e6 - {part}) < 0.01 \
             && rows.every((row) => row.children[1] \
             && Number(row.children[0].textContent) === parseInt(row.children[1].textContent, 10)); }})()"
        ));
    }
    browser.picture("long-log");
    end(running).exits(0);
}

/// Serves bare repositories, as a forge does.
struct GitDaemon {
    child: Child,
    url: String,
}

impl GitDaemon {
    fn start(folder: &Path) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let child = Command::new("git")
            .args(["daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1", "--enable=receive-pack"])
            .args([&format!("--port={port}"), &format!("--base-path={}", folder.display())])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { child, url: format!("git://127.0.0.1:{port}") }
    }
}

impl Drop for GitDaemon {
    fn drop(&mut self) {
        // `git` waits for `git-daemon`, which would outlive it.
        let _ = Command::new("pkill").args(["-P", &self.child.id().to_string()]).status();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The whole way: a push to a served repository, its signed delivery, the run live in a browser, the mail, the status at the forge,
/// and all of it in the history after a restart.
#[test]
fn from_a_push_to_a_mail_with_the_run_live_in_a_browser() {
    let forge =
        Forge::script("for i in 1 2 3 4 5 6; do echo \"tick $i\"; sleep 0.5; done; echo 'no such symbol'; exit 3");
    let daemon = GitDaemon::start(forge.repo.beside());
    let url = format!("{}/app.git", daemon.url);
    forge.repo.git(&["commit", "-q", "--allow-empty", "-m", "break it"]);
    forge.repo.git(&["push", "-q", &url, "HEAD:refs/heads/main"]);
    let mails = Smtp::start(Encryption::Never, smtp::Manner::Takes);
    let api = Web::start(answer(201, "", "{}"));
    let here = format!("http://{}", forge.address);
    let config = format!(
        "bind = \"{}\"\nurl = \"{here}\"\n[[repository]]\nurl = \"{url}\"\nname = \"team/app\"\n\
         status = {{ forge = \"github\", api = \"{}\", token = {{ env = \"FORGE_TOKEN\" }}, project = \"team/app\" }}\n\
         [[notify]]\ntype = \"email\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"ci@example.com\"\n\
         to = [\"ada@example.com\"]\n",
        forge.address,
        api.url("/api"),
        mails.port
    );
    let file = forge.repo.beside().join("listen.toml");
    std::fs::write(&file, config).unwrap();
    let listener = || -> Argon {
        let argon = forge.repo.argon(&["listen", "--config", file.to_str().unwrap()]);
        argon.env("ARGON_WEBHOOK_SECRET", SECRET).env("FORGE_TOKEN", "a token")
    };
    let mut running = listener().spawn();
    running.wait_for("Argon listens for");
    let link = printed(&mut running, &format!("{here}/login/"));
    let mut browser = Browser::start();
    browser.open(&link);
    browser.wait("document.body.innerText.includes('No run yet')");
    let run = forge.push("main", &forge.commit(), "1").body["run"].as_str().unwrap().to_owned();
    browser.open(&format!("{here}/runs/{run}"));
    // Its log opens by itself, and grows.
    browser.wait("document.querySelector('.log')?.innerText.includes('tick 2') ?? false");
    assert_eq!(browser.ask("document.querySelector('#run .status').innerText"), json!("running"));
    browser.picture("live-run");
    browser.wait("document.querySelector('.log')?.innerText.includes('tick 4') ?? false");
    // Its end comes by itself, too.
    browser.wait("document.querySelector('.failed')?.innerText.includes('no such symbol') ?? false");
    assert_eq!(browser.ask("document.querySelector('#run .status').innerText"), json!("failure"));
    wait(|| mails.mails().len() == 1 && api.all().len() == 2);
    let mail = mails.mails()[0].text.replace("=\r\n", "");
    assert!(mail.contains("no such symbol") && mail.contains(&format!("{here}/runs/{run}")), "{mail}");
    let states: Vec<Value> = api.all().iter().map(|posted| posted.json()["state"].clone()).collect();
    assert_eq!(states, [json!("pending"), json!("failure")]);
    assert_eq!(browser.complaints, [] as [String; 0]);
    browser.open("about:blank");
    running.signal(Signal::KILL);
    running.wait();
    let running = {
        let mut running = listener().spawn();
        running.wait_for("Argon listens for");
        running
    };
    browser.open(&format!("{here}/"));
    browser.wait("document.body.innerText.includes('job › step: exit code 3')");
    // Once more, by the button, which makes a run of the same commit.
    browser.open(&format!("{here}/runs/{run}"));
    browser.click("form[action$='/again'] button");
    browser.wait(&format!("location.pathname.startsWith('/runs/') && !location.pathname.includes('{run}')"));
    wait(|| forge.entries().len() == 2 && forge.entries()[1].state == "leased");
    browser.wait("!!document.querySelector('form[action$=\"/cancel\"] button') && 'live' in document.querySelector('#run').dataset");
    browser.click("form[action$='/cancel'] button");
    assert_eq!(forge.outcomes(), ["failure", "cancelled"]);
    let runs = forge.runs();
    assert_eq!((&runs[0]["commit"], &runs[0]["branch"]), (&runs[1]["commit"], &json!("main")));
    assert_eq!(runs[0]["message"], json!("it was cancelled on the dashboard"));
    // Paused, nothing begins, also after a restart.
    browser.open(&format!("{here}/"));
    browser.click("form[action='/pause'] button");
    browser.wait("document.body.innerText.includes('Paused')");
    forge.push("topic/x", &forge.commit(), "2");
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(forge.entries()[2].state, "queued");
    browser.open(&format!("{here}/"));
    assert!(browser.text().contains("Waiting"), "{}", browser.text());
    browser.picture("waiting");
    browser.click("form[action='/resume'] button");
    assert_eq!(forge.outcomes()[2], "failure");
    assert_eq!(browser.complaints, [] as [String; 0]);
    end(running).exits(0);
}

/// A pull request of somebody's fork, of which the forge keeps the commit, with a pipeline file of its own; the listener has heard of it.
struct Forked {
    forge: Forge,
    running: Running,
    link: String,
    commit: String,
}

impl Forked {
    fn pull_request() -> Self {
        let forge = Forge::new(
            &json!({"version": 1, "on": {"pull-request": {}}, "secrets": ["KEY"], "jobs": {"job": {"image": BUSYBOX, "steps": [
                {"name": "with", "if": "secrets.KEY", "run": "echo it has the secret", "secrets": ["KEY"]},
                {"name": "built", "run": "cat built"},
            ]}}})
            .to_string(),
        );
        let git = |args: &[&str]| forge.repo.git(args);
        git(&["checkout", "-q", "-b", "fork"]);
        std::fs::write(forge.repo.path().join("built"), "by the fork\n").unwrap();
        let evil =
            json!({"version": 1, "jobs": {"job": {"image": BUSYBOX, "steps": [{"run": "echo by its own file"}]}}});
        std::fs::write(forge.repo.path().join(".runnerci.yml"), evil.to_string()).unwrap();
        git(&["add", "-A"]);
        git(&["commit", "-q", "-m", "improve it"]);
        git(&["push", "-q", "../app.git", "HEAD:refs/pull/1/head"]);
        let here = format!("http://{}", forge.address);
        let file = forge.repo.beside().join("listen.toml");
        let config = format!(
            "bind = \"{}\"\n[[repository]]\nurl = {:?}\nname = \"team/app\"\nforks = \"approve\"\n\
             secrets = {{ KEY = {{ env = \"ARGON_WEBHOOK_SECRET\" }} }}\n",
            forge.address,
            forge.bare()
        );
        std::fs::write(&file, config).unwrap();
        let listener = forge.repo.argon(&["listen", "--config", file.to_str().unwrap()]);
        let mut running = listener.env("ARGON_WEBHOOK_SECRET", SECRET).spawn();
        let link = printed(&mut running, &format!("{here}/login/"));
        let commit = forge.commit();
        let body = json!({
            "action": "opened", "number": 1, "repository": {"full_name": "team/app"}, "sender": {"login": "mallory"},
            "pull_request": {"title": "improve it", "number": 1,
                "head": {"ref": "fork", "sha": commit, "repo": {"full_name": "mallory/app"}},
                "base": {"ref": "main", "sha": forge.repo.git(&["rev-parse", "main"]), "repo": {"full_name": "team/app"}}},
        });
        let body = body.to_string().into_bytes();
        let signature = format!("sha256={}", crate::webhook::signed(SECRET, &body));
        let headers = [
            ("content-type", "application/json"),
            ("x-github-event", "pull_request"),
            ("x-hub-signature-256", &*signature),
        ];
        let answer = forge.request("POST", "/webhook", &headers, &body).unwrap();
        assert_eq!(answer.status, 202, "{answer:?}");
        Self { forge, running, link, commit }
    }

    /// What the steps of a run printed: those of the base branch's file, without secrets.
    fn is_run_as_a_forks(&self, run: &str) {
        let told = self.forge.repo.argon(&["logs", run]).without_engine();
        told.says("by the fork").never_says("by its own file").never_says("it has the secret");
    }
}

#[test]
fn a_forks_commit_runs_once_it_is_approved_by_the_base_branchs_file_and_without_secrets() {
    let forked = Forked::pull_request();
    let forge = &forked.forge;
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(forge.entries()[0].state, "held");
    let mut browser = Browser::start();
    browser.open(&forked.link);
    browser.wait("document.body.innerText.includes('held')");
    browser.click(".runs a");
    browser.wait("document.body.innerText.includes('whose owner may be anybody')");
    browser.picture("approval");
    browser.click("form[action$='/approve'] button");
    assert_eq!(forge.outcomes(), ["success"], "{:#?}", forge.runs());
    forked.is_run_as_a_forks("1");
    end(forked.running).exits(0);
}

/// Somebody who has signed in, without a browser.
pub(crate) struct Session {
    base: String,
    cookie: String,
    token: String,
}

impl Session {
    pub(crate) fn of(link: &str) -> Self {
        let base = base(link);
        let (_, head, _) = ask(&base, "GET", &format!("/login/{}", link.split("/login/").nth(1).unwrap()), &[], "");
        let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        let mut session = Self { base, cookie: cookie.split(';').next().unwrap().to_owned(), token: String::new() };
        let page = session.get("/").1;
        session.token = page.split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        session
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let (status, _, page) = ask(&self.base, "GET", path, &[("cookie", &self.cookie)], "");
        (status, page)
    }

    /// Presses a button; gives the status, and where it leads or what is said.
    pub(crate) fn press(&self, path: &str, fields: &str) -> (u16, String) {
        let form = ("content-type", "application/x-www-form-urlencoded");
        let headers = [form, ("cookie", self.cookie.as_str()), ("origin", self.base.as_str())];
        let (status, head, page) = ask(&self.base, "POST", path, &headers, &format!("token={}&{fields}", self.token));
        let to = head.lines().find_map(|line| line.strip_prefix("location: ")).map(str::to_owned);
        (status, to.unwrap_or(page))
    }
}

/// "Run again" once made a run of the repository's own of it: the fork's file with the repository's secrets.
#[test]
fn a_forks_run_that_is_run_again_stays_a_forks_run() {
    let forked = Forked::pull_request();
    let forge = &forked.forge;
    let session = Session::of(&forked.link);
    let run = forge.entries()[0].run.to_string();
    assert_eq!(session.press(&format!("/runs/{run}/approve"), "").0, 303);
    assert_eq!(forge.outcomes(), ["success"], "{:#?}", forge.runs());
    assert!(session.get("/runs/1").1.contains("/again\""));
    // Its commit was approved: it is not held again.
    for (again, number) in [("/runs/1/again", "2"), ("/runs/2/again", "3")] {
        let (status, to) = session.press(again, "");
        assert_eq!((status, to.starts_with("/runs/")), (303, true), "{to}");
        assert!(forge.outcomes().iter().all(|outcome| outcome == "success"), "{:#?}", forge.runs());
        forked.is_run_as_a_forks(number);
        assert_eq!(forge.runs()[0]["event"], json!("pull-request"));
    }
    // By hand neither, by whatever name.
    let commit = &forked.commit;
    session.press("/trigger", &format!("repository={}&revision={commit}", forge.bare().display()));
    let url = format!("http://{}", forge.address);
    for revision in [commit.as_str(), "refs/pull/1/head"] {
        let trigger = forge.repo.argon(&["trigger", "--url", &url, revision]);
        trigger.env("ARGON_WEBHOOK_SECRET", SECRET).without_engine().exits(0);
    }
    let outcomes = forge.outcomes();
    assert_eq!(outcomes[..4], ["success", "success", "success", "error"], "{:#?}", forge.runs());
    assert!(outcomes[4..].iter().all(|outcome| ["error", "ref-gone"].contains(&outcome.as_str())), "{outcomes:?}");
    // The control: once it was merged, it is the repository's own.
    forge.repo.git(&["push", "-q", "../app.git", "HEAD:refs/heads/main"]);
    forge.push("main", commit, "merged");
    forge.outcomes();
    let trigger = forge.repo.argon(&["trigger", "--url", &url, commit]).env("ARGON_WEBHOOK_SECRET", SECRET);
    trigger.without_engine().exits(0);
    assert_eq!(forge.outcomes().last().map(String::as_str), Some("success"), "{:#?}", forge.runs());
    end(forked.running).exits(0);
}

/// Where the listener does not know whose commits a run was of, there is no button, and no way around it.
#[test]
fn a_run_of_unknown_trust_is_not_run_again() {
    let forge = Forge::script("true");
    // A person's own run of the same repository: the listener has never seen it.
    let bare = forge.bare();
    forge.repo.argon(&["run", "--repo", bare.to_str().unwrap()]).run().exits(0);
    let mut running = forge.listen(&[]);
    let session = Session::of(&printed(&mut running, &format!("http://{}/login/", forge.address)));
    assert!(!session.get("/runs/1").1.contains("/again\""));
    let (status, said) = session.press("/runs/1/again", "");
    assert_eq!((status, said.contains("does not know whose commits")), (409, true), "{said}");
    assert_eq!(forge.entries(), []);
    end(running).exits(0);
}

/// A provider of accounts: it asks nobody, and says who somebody is.
struct Accounts {
    port: u16,
}

impl Accounts {
    fn start(user: Value) -> Self {
        use std::io::{BufRead, BufReader, Read, Write};
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                let (mut line, mut head, mut length) = (String::new(), Vec::new(), 0);
                while lines.read_line(&mut line).unwrap_or(0) > 2 {
                    if let Some(said) = line.to_lowercase().strip_prefix("content-length: ") {
                        length = said.trim().parse().unwrap();
                    }
                    head.push(std::mem::take(&mut line));
                }
                let mut body = vec![0; length];
                lines.read_exact(&mut body).unwrap();
                let body = String::from_utf8(body).unwrap();
                let Some(address) = head.first().and_then(|line| line.split(' ').nth(1)) else { continue };
                let url = reqwest::Url::parse(&format!("http://127.0.0.1:{port}{address}")).unwrap();
                let given: std::collections::HashMap<String, String> = url.query_pairs().into_owned().collect();
                let here = format!("http://127.0.0.1:{port}");
                let answer = match url.path() {
                    "/.well-known/openid-configuration" => json!({
                        "issuer": here, "authorization_endpoint": format!("{here}/authorize"),
                        "token_endpoint": format!("{here}/token"), "userinfo_endpoint": format!("{here}/userinfo"),
                    }),
                    // Those of OpenID Connect, and of a GitHub Enterprise Server.
                    "/authorize" | "/login/oauth/authorize" => {
                        assert_eq!((&*given["response_type"], &*given["code_challenge_method"]), ("code", "S256"));
                        let back = format!("{}?code=c0de&state={}", given["redirect_uri"], given["state"]);
                        let _ = write!(
                            stream,
                            "HTTP/1.1 302 x\r\nlocation: {back}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
                        );
                        continue;
                    }
                    "/token" | "/login/oauth/access_token" => {
                        assert!(
                            body.contains("code=c0de")
                                && body.contains("code_verifier=")
                                && body.contains("client_secret=")
                        );
                        json!({"access_token": "t0ken", "token_type": "Bearer"})
                    }
                    "/userinfo" | "/api/v3/user" => {
                        assert!(head.iter().any(|line| line.to_lowercase().starts_with("authorization: bearer t0ken")));
                        user.clone()
                    }
                    other => panic!("{other}"),
                };
                let text = answer.to_string();
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 x\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{text}",
                    text.len()
                );
            }
        });
        Self { port }
    }
}

#[test]
fn an_account_elsewhere_lets_in_those_on_the_list_alone() {
    let forge = Forge::script("true");
    for (kind, user, is_let_in) in [
        ("oidc", json!({"sub": "1", "email": "Ada@example.com", "email_verified": true}), true),
        ("oidc", json!({"sub": "1", "email": "ada@example.com", "email_verified": false}), false),
        ("github", json!({"id": 1, "login": "ada", "email": "eve@example.com"}), true),
        ("github", json!({"id": 2, "login": "eve", "name": "ada", "email": "ada@example.com"}), false),
        (
            "oidc",
            json!({"sub": "1", "email": "eve@example.com", "email_verified": true, "preferred_username": "ada@example.com"}),
            false,
        ),
    ] {
        let accounts = Accounts::start(user.clone());
        let here = format!("http://{}", forge.address);
        let file = forge.repo.beside().join("listen.toml");
        let config = format!(
            "bind = \"{}\"\n[[sign-in]]\ntype = \"{kind}\"\nissuer = \"http://127.0.0.1:{}\"\nclient-id = \"argon\"\n\
             client-secret = {{ env = \"ARGON_WEBHOOK_SECRET\" }}\nusers = [\"ada@example.com\", \"ada\"]\n[[repository]]\nurl = {:?}\n",
            forge.address,
            accounts.port,
            forge.bare()
        );
        std::fs::write(&file, config).unwrap();
        let listener = forge.repo.argon(&["listen", "--config", file.to_str().unwrap()]);
        let mut running = listener.env("ARGON_WEBHOOK_SECRET", SECRET).spawn();
        running.wait_for("Argon listens for");
        let mut browser = Browser::start();
        browser.open(&format!("{here}/runs"));
        browser.wait("document.body.innerText.includes('Sign in with 127.0.0.1')");
        browser.picture("sign-in");
        browser.click(".button");
        if is_let_in {
            browser.wait("document.body.innerText.includes('No run yet')");
        } else {
            browser.wait("document.body.innerText.includes('is not on the list')");
        }
        // A way that this browser did not begin leads nowhere.
        let (status, _, page) =
            ask(&here, "GET", "/sign-in/back?code=c0de&state=guessed", &[("cookie", "argon_signing=guessed")], "");
        assert_eq!(status, 403);
        assert!(page.contains("was not begun here"), "{page}");
        end(running).exits(0);
    }
}

/// FAULTS 21: a hundred browsers that take the stream and read nothing of it.
#[test]
fn browsers_that_are_stuck_hold_nothing_up_and_nothing_is_lost() {
    use std::io::Write;
    let script = "i=0; while [ $i -lt 100000 ]; do echo \"line $i\"; i=$((i+1)); done; sleep 1; echo over";
    let repo = Repo::script(BUSYBOX, script).commit();
    let (running, link) = ui(&repo);
    let base = base(&link);
    let (_, head, _) = ask(&base, "GET", &format!("/login/{}", link.split("/login/").nth(1).unwrap()), &[], "");
    let cookie =
        head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap().split(';').next().unwrap().to_owned();
    let going = repo.plain(&["-q"]).spawn();
    wait(|| ask(&base, "GET", "/runs/1", &[("cookie", &cookie)], "").0 == 200);
    let address = base.trim_start_matches("http://").to_owned();
    let stuck: Vec<std::net::TcpStream> = (0..100)
        .map(|_| {
            let mut stream = std::net::TcpStream::connect(&address).unwrap();
            let request =
                format!("GET /runs/1/live?job=0&step=0 HTTP/1.1\r\nhost: {address}\r\ncookie: {cookie}\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    let ended = going.end();
    ended.exits(0);
    assert!(ended.took < Duration::from_secs(30), "{:?}", ended.took);
    let lines = |from: usize| {
        let path = format!("/runs/1/log/0/0/lines?from={from}&count=2");
        let (status, _, body) = ask(&base, "GET", &path, &[("cookie", &cookie)], "");
        assert_eq!(status, 200);
        serde_json::from_str::<Value>(&body).unwrap()
    };
    let whole = lines(99_999);
    assert_eq!(whole["total"], json!(100_001));
    assert_eq!(whole["lines"], json!([[["", "line 99999"]], [["", "over"]]]), "one that fell behind asks by number");
    drop(stuck);
    end(running).exits(0);
}

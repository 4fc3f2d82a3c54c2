//! Notifications: what each channel says, and what it makes of servers that are down, slow or in a bad mood.

pub(crate) mod smtp;
pub(crate) mod web;

use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use argon::event::{RunId, Status};
use argon::listen::notify::{
    Cause, Channel, Client, FailedJob, Report, Rule, SendError, When, client, send, send_within,
};
use argon::trigger::EventKind;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::webhook::signed;
use smtp::{Encryption, Smtp, fixture};
use web::{Web, answer};

const PASSWORD: &str = "correct horse battery";

// --- What is told --------------------------------------------------------------------------------------------------

fn job(name: &str, output: &[&str]) -> FailedJob {
    FailedJob {
        job: name.to_owned(),
        step: Some("unit tests".to_owned()),
        exit_code: Some(1),
        cause: "exit code 1".to_owned(),
        output: output.iter().map(|line| (*line).to_owned()).collect(),
    }
}

fn failed() -> Report {
    Report {
        run: RunId::from_text("0199a5d2-7b1c-7000-8000-000000000001"),
        number: 12,
        repository: "app".to_owned(),
        event: EventKind::Push,
        branch: Some("main".to_owned()),
        tag: None,
        commit: Some("a1b2c3d4e5f6a7b8c9d0a1b2c3d4e5f6a7b8c9d0".to_owned()),
        short_commit: Some("a1b2c3d".to_owned()),
        message: Some("Fix the parser\n\nIt was wrong.".to_owned()),
        pusher_name: Some("Ada Lovelace".to_owned()),
        pusher_email: Some("ada@example.com".to_owned()),
        status: Status::Failure,
        previous: Some(Status::Success),
        duration: Duration::from_millis(72_340),
        url: Some("https://ci.example/runs/12?tab=log&job=1".to_owned()),
        failed: vec![job("test (3.12)", &["test parser ... FAILED", "", "    assertion failed: a < b && b > c"])],
        reason: None,
    }
}

fn fixed() -> Report {
    Report { status: Status::Success, previous: Some(Status::Failure), failed: Vec::new(), ..failed() }
}

/// Nothing ran: the machinery failed, on schedule, and little is known.
fn error() -> Report {
    Report {
        status: Status::Error,
        event: EventKind::Schedule,
        branch: None,
        tag: Some("v1.0".to_owned()),
        message: None,
        pusher_name: None,
        pusher_email: None,
        url: None,
        failed: Vec::new(),
        reason: Some("The repository could not be cloned: no such host".to_owned()),
        ..failed()
    }
}

/// All that a stranger who may push can write.
fn hostile() -> Report {
    let bad = "\u{1b}[31m<b>x</b>\u{1b}[0m & `y` *z* @everyone <!channel> [l](http://evil.example) é\r\nBcc: evil@example.com";
    Report {
        repository: bad.to_owned(),
        branch: Some(bad.to_owned()),
        message: Some(bad.to_owned()),
        pusher_name: Some(bad.to_owned()),
        pusher_email: Some("a@b.example>\r\nBcc: evil@example.com".to_owned()),
        url: Some("javascript:alert(1)".to_owned()),
        failed: vec![FailedJob {
            job: bad.to_owned(),
            step: Some(bad.to_owned()),
            exit_code: Some(137),
            cause: format!("out of memory: {bad}"),
            output: vec![
                bad.to_owned(),
                "```".to_owned(),
                "</pre><script>alert(1)</script>".to_owned(),
                ".".to_owned(),
            ],
        }],
        ..failed()
    }
}

/// More of everything than any service takes.
fn large() -> Report {
    let text = "<&😀\\*".repeat(1_000);
    let output: Vec<&str> = std::iter::repeat_n(text.as_str(), 30).collect();
    Report {
        repository: text.clone(),
        message: Some(text.clone()),
        pusher_name: Some(text.clone()),
        reason: Some(text.clone()),
        failed: (0..60).map(|_| job(&text, &output)).collect(),
        ..failed()
    }
}

fn reports() -> [(&'static str, Report); 4] {
    [("failed", failed()), ("fixed", fixed()), ("error", error()), ("hostile", hostile())]
}

// --- Channels ------------------------------------------------------------------------------------------------------

#[derive(Debug, Deserialize)]
struct Config {
    notify: Vec<Rule>,
}

fn parse(table: &str) -> Result<Vec<Rule>, toml::de::Error> {
    toml::from_str::<Config>(&format!("[[notify]]\n{table}")).map(|config| config.notify)
}

fn channel(table: &str) -> Channel {
    parse(table).unwrap().remove(0).channel().clone()
}

fn posting(kind: &str, url: &str) -> Channel {
    channel(&format!("type = \"{kind}\"\nurl = \"{url}\""))
}

/// A file that only its owner can read.
fn private(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    writeln!(file, "{text}").unwrap();
    file
}

fn mail(port: u16, more: &str) -> Channel {
    channel(&format!(
        "type = \"email\"\nhost = \"127.0.0.1\"\nport = {port}\nfrom = \"Argon <ci@example.com>\"\n\
         to = [\"ada@example.com\", '\"Bob, the builder\" <bob@example.com>']\n{more}"
    ))
}

fn trusting(tls: &str) -> String {
    format!("tls = \"{tls}\"\nca = \"{}\"", fixture("ca.pem").display())
}

fn http() -> Client {
    client().unwrap()
}

/// The message without what is another at each attempt.
fn steady(message: &str) -> String {
    let boundary = message.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap();
    let message = message.replace(boundary, "BOUNDARY");
    // The time, and the channel's digits, which stand for its port.
    let lines = message.lines().map(|line| match line.split_once(": ") {
        Some(("Date", _)) => "Date: DATE".to_owned(),
        Some(("Message-ID", id)) => {
            let (run, rest) = id.split_once('.').unwrap();
            format!("Message-ID: {run}.CHANNEL@{}", rest.split_once('@').unwrap().1)
        }
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

// --- Messages ------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn emails_say_what_happened() {
    for (name, report) in reports() {
        let server = Smtp::start(Encryption::Never, smtp::Manner::Takes);
        send(&mail(server.port, "tls = \"none\""), &report, &http()).await.unwrap();
        let mail = server.mail();
        assert_eq!(mail.from, "MAIL FROM:<ci@example.com>");
        assert_eq!(mail.to, ["RCPT TO:<ada@example.com>", "RCPT TO:<bob@example.com>"]);
        assert_eq!(mail.login, None);
        insta::assert_snapshot!(format!("notify_email_{name}"), steady(&mail.text));
    }
}

#[tokio::test]
async fn services_are_told_in_their_own_form() {
    for kind in ["slack", "discord", "webhook"] {
        for (name, report) in reports() {
            let server = Web::start(answer(204, "", ""));
            send(&posting(kind, &server.url("/services/secret-path")), &report, &http()).await.unwrap();
            let posted = server.posted();
            assert_eq!(posted.line, "POST /services/secret-path HTTP/1.1");
            assert_eq!(posted.headers["content-type"], "application/json");
            assert!(posted.headers["user-agent"].starts_with("argon/"), "{:?}", posted.headers);
            let text = serde_json::to_string_pretty(&posted.json()).unwrap();
            insta::assert_snapshot!(format!("notify_{kind}_{name}"), text);
        }
    }
}

#[tokio::test]
async fn a_webhooks_body_is_signed_and_each_attempt_has_one_name() {
    let key = "a secret that is long enough";
    let file = private(key);
    let server = Web::start(answer(200, "", "ok"));
    let url = server.url("/");
    let channel = channel(&format!("type = \"webhook\"\nurl = \"{url}\"\nsecret = {{ file = {:?} }}", file.path()));
    for report in [failed(), failed(), Report { run: RunId::from_text("another\r\nx: y"), ..failed() }] {
        send(&channel, &report, &http()).await.unwrap();
    }
    let posted = server.all();
    for one in &posted {
        assert_eq!(one.headers["x-argon-signature-256"], format!("sha256={}", signed(key, &one.body)));
        assert!(!one.headers.contains_key("x"), "{:?}", one.headers);
    }
    let names: Vec<&str> = posted.iter().map(|one| one.headers["x-argon-delivery"].as_str()).collect();
    assert_eq!(names[0], names[1]);
    assert!(names[0].starts_with("0199a5d2-7b1c-7000-8000-000000000001."), "{names:?}");
    assert!(names[2].starts_with("anotherxy."), "{names:?}");
    let unsigned = Web::start(answer(200, "", ""));
    send(&posting("webhook", &unsigned.url("/")), &failed(), &http()).await.unwrap();
    assert!(!unsigned.posted().headers.contains_key("x-argon-signature-256"));
}

/// Every text in a JSON value, with its key.
fn texts<'a>(value: &'a Value, key: &'a str, found: &mut Vec<(&'a str, &'a str)>) {
    match value {
        Value::String(text) => found.push((key, text)),
        Value::Array(values) => values.iter().for_each(|value| texts(value, key, found)),
        Value::Object(values) => values.iter().for_each(|(key, value)| texts(value, key, found)),
        _ => {}
    }
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

#[tokio::test]
async fn no_message_is_larger_than_its_service_takes() {
    let server = Web::start(answer(200, "", ""));
    for kind in ["slack", "discord", "webhook"] {
        send(&posting(kind, &server.url("/")), &large(), &http()).await.unwrap();
    }
    let posted = server.all();
    let slack = posted[0].json();
    assert!(slack["blocks"].as_array().unwrap().len() <= 50);
    assert!(units(slack["blocks"][0]["text"]["text"].as_str().unwrap()) <= 150);
    let mut found = Vec::new();
    texts(&slack, "", &mut found);
    assert!(found.iter().all(|(_, text)| units(text) <= 3000));
    assert!(found.iter().any(|(_, text)| *text == "45 more jobs failed."), "{found:#?}");
    let discord = &posted[1].json()["embeds"][0];
    let (title, description) = (discord["title"].as_str().unwrap(), discord["description"].as_str().unwrap());
    assert!(units(title) <= 256 && units(description) <= 4096, "{} {}", units(title), units(description));
    assert!(description.ends_with("more jobs failed."), "{description}");
    let told = posted[2].json()["failed"].as_array().unwrap().clone();
    assert_eq!(told.len(), 50);
    assert_eq!(told[0]["output"].as_array().unwrap().len(), 20);
    let mail_server = Smtp::start(Encryption::Never, smtp::Manner::Takes);
    send(&mail(mail_server.port, "tls = \"none\""), &large(), &http()).await.unwrap();
    let text = mail_server.mail().text;
    assert!(text.lines().all(|line| line.len() <= 998), "RFC 5322, 2.1.1");
    assert!(text.len() < 1024 * 1024, "{}", text.len());
}

#[test]
fn a_report_waits_as_json() {
    for (_, report) in reports() {
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report, "{text}");
    }
    // From an older Argon, and from a newer one.
    let least = json!({"run": "r", "number": 1, "repository": "app", "event": "pull-request", "status": "error",
        "duration_ms": 5, "something": {"new": true}});
    let read: Report = serde_json::from_value(least).unwrap();
    assert_eq!((read.event, read.status, read.previous), (EventKind::PullRequest, Status::Error, None));
    let wrong =
        json!({"run": "r", "number": 1, "repository": "app", "event": "push", "status": "fine", "duration_ms": 5});
    let error = serde_json::from_value::<Report>(wrong).unwrap_err();
    assert_eq!(error.to_string(), "`fine` is none of its words");
}

// --- Rules ---------------------------------------------------------------------------------------------------------

#[test]
fn rules_say_what_is_wanted() {
    use Status::{Cancelled, Error, Failure, Skipped, Success};
    let wanted = |when, status, previous| {
        let rule = Rule::new::<&str>(Channel::Desktop, when, &[]).unwrap();
        rule.wants(&Report { status, previous, ..failed() })
    };
    for (status, previous, failure, change) in [
        (Success, None, false, false),
        (Success, Some(Success), false, false),
        (Success, Some(Failure), false, true),
        (Success, Some(Error), false, true),
        (Failure, None, true, true),
        (Failure, Some(Success), true, true),
        (Failure, Some(Failure), true, false),
        (Failure, Some(Error), true, false),
        (Error, Some(Success), true, true),
        (Error, Some(Failure), true, false),
        (Cancelled, Some(Success), false, false),
        (Cancelled, Some(Failure), false, false),
        (Skipped, Some(Failure), false, false),
        (Failure, Some(Cancelled), true, true),
    ] {
        assert_eq!(wanted(When::Failure, status, previous), failure, "failure: {status} after {previous:?}");
        assert_eq!(wanted(When::Change, status, previous), change, "change: {status} after {previous:?}");
        assert!(wanted(When::Always, status, previous), "always: {status} after {previous:?}");
    }
}

#[test]
fn rules_are_for_branches() {
    for (branches, branch, wanted) in [
        (&[][..], Some("main"), true),
        (&[], None, true),
        (&["main"], Some("main"), true),
        (&["main"], Some("maintenance"), false),
        (&["main"], None, false),
        (&["release/*", "!release/old"], Some("release/1"), true),
        (&["release/*", "!release/old"], Some("release/old"), false),
        (&["!topic/**"], Some("main"), true),
        (&["!topic/**"], Some("topic/a/b"), false),
    ] {
        let rule = Rule::new(Channel::Desktop, When::Always, branches).unwrap();
        let report = Report { branch: branch.map(str::to_owned), ..failed() };
        assert_eq!(rule.wants(&report), wanted, "{branches:?} {branch:?}");
    }
}

#[test]
fn what_a_configuration_says_is_taken_as_it_is_meant() {
    for (table, shown) in [
        ("type = \"desktop\"", "desktop"),
        ("type = \"desktop\"\nwhen = \"always\"\nbranches = [\"main\"]", "desktop"),
        ("type = \"slack\"\nurl = \"https://hooks.slack.com/services/T0/B0/secret\"", "slack by hooks.slack.com"),
        ("type = \"slack\"\nurl = { env = \"SLACK_URL\" }", "slack by the secret in the variable `SLACK_URL`"),
        (
            "type = \"discord\"\nurl = { file = \"/etc/argon/discord\" }",
            "discord by the secret in `/etc/argon/discord`",
        ),
        ("type = \"webhook\"\nurl = \"http://user:pw@[::1]:80/x?token=y\"\nsecret = { env = \"S\" }", "webhook [::1]"),
        (
            "type = \"email\"\nhost = \"smtp.example.com\"\nfrom = \"ci@example.com\"\nto = [\"a@example.com\"]",
            "email by smtp.example.com:587 to a@example.com",
        ),
        (
            "type = \"email\"\nhost = \"h\"\ntls = \"implicit\"\nuser = \"u\"\npassword = { env = \"P\" }\n\
             from = \"A <ci@example.com>\"\nto = [\"a@example.com\", \"B <b@example.com>\"]",
            "email by h:465 to a@example.com, b@example.com",
        ),
        (
            "type = \"email\"\nhost = \"localhost\"\ntls = \"none\"\nuser = \"u\"\npassword = { env = \"P\" }\n\
             from = \"ci@example.com\"\nto = [\"a@example.com\"]",
            "email by localhost:25 to a@example.com",
        ),
    ] {
        let rule = parse(table).unwrap().remove(0);
        assert_eq!(rule.channel().to_string(), shown, "{table}");
        let debug = format!("{rule:?}");
        assert!(!debug.contains("services") && !debug.contains("pw") && !debug.contains("token"), "{debug}");
    }
}

#[test]
fn what_is_wrong_with_a_configuration_is_said() {
    let email = "type = \"email\"\nfrom = \"ci@example.com\"\n";
    let cases = [
        "when = \"always\"".to_owned(),
        "type = \"pigeon\"".to_owned(),
        "type = \"desktop\"\nbranch = [\"main\"]".to_owned(),
        "type = \"desktop\"\nwhen = \"sometimes\"".to_owned(),
        "type = \"desktop\"\nbranches = [\"[\"]".to_owned(),
        "type = \"slack\"".to_owned(),
        "type = \"slack\"\nurl = \"hooks.slack.com/services/T0/B0/secret\"".to_owned(),
        "type = \"slack\"\nurl = \"ftp://example.com/secret\"".to_owned(),
        "type = \"slack\"\nurl = { variable = \"X\" }".to_owned(),
        "type = \"webhook\"\nurl = \"https://example.com/\"\nsecret = \"in the open\"".to_owned(),
        format!("{email}host = \"h\""),
        format!("{email}host = \"h\"\nto = []"),
        format!("{email}host = \"h\"\nto = [\"a@example.com\\r\\nBcc: b@example.com\"]"),
        format!("{email}host = \"h\"\nto = [\"nobody\"]"),
        format!("{email}host = \"h/x\"\nto = [\"a@example.com\"]"),
        format!("{email}host = \"h\"\nto = [\"a@example.com\"]\ntls = \"maybe\""),
        format!("{email}host = \"h\"\nto = [\"a@example.com\"]\nuser = \"u\""),
        format!("{email}host = \"h\"\nto = [\"a@example.com\"]\nuser = \"u\"\npassword = \"in the open\""),
        format!(
            "{email}host = \"h\"\nto = [\"a@example.com\"]\ntls = \"none\"\nuser = \"u\"\npassword = {{ env = \"P\" }}"
        ),
    ];
    let said = cases.iter().map(|table| {
        let error = parse(table).unwrap_err();
        format!("{table}\n=> {}\n", error.message())
    });
    let said = said.collect::<Vec<_>>().join("\n");
    assert!(!said.lines().any(|line| line.starts_with("=>") && line.contains("secret\"")), "{said}");
    insta::assert_snapshot!("notify_wrong_configurations", said);
}

// --- Servers in a bad mood -----------------------------------------------------------------------------------------

fn again(error: &SendError) -> Option<Option<Duration>> {
    match error {
        SendError::Retry { after, .. } => Some(*after),
        SendError::Permanent { .. } => None,
    }
}

#[tokio::test]
async fn answers_say_whether_to_try_again() {
    let seconds = |seconds| Some(Some(Duration::from_secs(seconds)));
    let echo = "no hook at /services/T000/B000/verysecret\u{1b}[31m, sorry";
    for (status, headers, body, expected, said) in [
        (429, "retry-after: 7\r\n", "slow down", seconds(7), "answered 429: slow down"),
        (429, "", "", Some(None), "answered 429"),
        (429, "retry-after: soon\r\n", "", Some(None), "answered 429"),
        (503, "retry-after: 99999999\r\n", "", seconds(86_400), "answered 503"),
        (500, "", "oops", Some(None), "answered 500: oops"),
        (400, "", "invalid_blocks", None, "answered 400: invalid_blocks"),
        (404, "retry-after: 7\r\n", echo, None, "answered 404: no hook at …, sorry"),
        (
            302,
            "location: http://127.0.0.1:1/elsewhere\r\n",
            "",
            None,
            "answered 302: a redirect, which is not followed: give the address that it leads to",
        ),
    ] {
        let server = Web::start(answer(status, headers, body));
        let channel = posting("slack", &server.url("/services/T000/B000/verysecret"));
        let error = send(&channel, &failed(), &http()).await.unwrap_err();
        assert_eq!(again(&error), expected, "{error:?}");
        assert_eq!(error.to_string(), format!("127.0.0.1:{} {said}", server.port));
        assert!(!format!("{error:?}").contains("verysecret"), "{error:?}");
        assert_eq!(server.all().len(), 1);
    }
}

#[tokio::test]
async fn servers_may_be_down_or_silent_or_talk_without_end() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let down = posting("discord", &format!("http://127.0.0.1:{free}/api/webhooks/1/verysecret"));
    let error = send(&down, &failed(), &http()).await.unwrap_err();
    assert_eq!(again(&error), Some(None), "{error:?}");
    assert!(error.to_string().starts_with(&format!("cannot talk with 127.0.0.1:{free}: ")), "{error}");
    assert!(error.to_string().contains("refused") && !format!("{error:?}").contains("verysecret"), "{error:?}");

    let began = Instant::now();
    let silent = Web::start(web::Manner::Hangs);
    let channel = posting("webhook", &silent.url("/verysecret"));
    let error = send_within(&channel, &failed(), &http(), Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(again(&error), Some(None), "{error:?}");
    assert_eq!(error.to_string(), format!("webhook 127.0.0.1:{}: not done within 300ms", silent.port));

    let gone = Web::start(web::Manner::HangsUp);
    let error = send(&posting("webhook", &gone.url("/verysecret")), &failed(), &http()).await.unwrap_err();
    assert_eq!(again(&error), Some(None), "{error:?}");

    let loud = Web::start(web::Manner::Babbles);
    let error = send(&posting("webhook", &loud.url("/")), &failed(), &http()).await.unwrap_err();
    assert_eq!(again(&error), Some(None), "{error:?}");
    assert!(error.to_string().len() < 300, "{error}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn mail_servers_say_whether_to_try_again() {
    use smtp::Manner::{HangsUp, Says, Takes};
    let file = private(PASSWORD);
    let login = format!("tls = \"none\"\nuser = \"ci\"\npassword = {{ file = {:?} }}", file.path());
    for (manner, passes, said) in [
        (Says("MAIL", "421 4.3.2 closing"), true, "answered 421: 4.3.2 closing"),
        (Says("RCPT", "450 4.2.1 try again"), true, "answered 450: 4.2.1 try again"),
        (Says("RCPT", "550 5.1.1 no such user"), false, "answered 550: 5.1.1 no such user"),
        (Says("DATA", "451 greylisted"), true, "answered 451: greylisted"),
        (Says(".", "552 too large"), false, "answered 552: too large"),
        (Says(".", "452 disk full"), true, "answered 452: disk full"),
        (
            Says("AUTH", "535 5.7.8 ci/correct horse battery is not known"),
            false,
            "answered 535: 5.7.8 ci/… is not known",
        ),
        (HangsUp("RCPT"), true, ""),
        (Takes, true, ""),
    ] {
        let server = Smtp::start(Encryption::Never, manner);
        let sent = send(&mail(server.port, &login), &failed(), &http()).await;
        if manner == Takes {
            sent.unwrap();
            assert_eq!(server.mail().login.as_deref(), Some("\0ci\0correct horse battery"));
            continue;
        }
        let error = sent.unwrap_err();
        assert_eq!(again(&error).is_some(), passes, "{manner:?}: {error:?}");
        assert!(error.to_string().ends_with(said), "{manner:?}: {error}");
        assert!(error.to_string().contains(&format!("127.0.0.1:{}", server.port)), "{error}");
        assert!(!format!("{error:?}").contains("horse"), "{error:?}");
        assert!(server.mails().is_empty());
    }
}

#[tokio::test]
async fn mail_servers_may_be_down_or_silent() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = send(&mail(free, "tls = \"none\""), &failed(), &http()).await.unwrap_err();
    assert_eq!(again(&error), Some(None), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
    let silent = Smtp::start(Encryption::Never, smtp::Manner::Hangs);
    let channel = mail(silent.port, "tls = \"none\"");
    let error = send_within(&channel, &failed(), &http(), Duration::from_millis(300)).await.unwrap_err();
    assert!(matches!(&error, SendError::Retry { after: None, cause: Cause::TimedOut { .. } }), "{error:?}");
}

#[tokio::test]
async fn a_mail_that_was_taken_is_sent_whatever_the_server_does_then() {
    for manner in [smtp::Manner::HangsAt("QUIT"), smtp::Manner::HangsUp("QUIT"), smtp::Manner::Says("QUIT", "500 no")] {
        let server = Smtp::start(Encryption::Never, manner);
        let channel = mail(server.port, "tls = \"none\"");
        send_within(&channel, &failed(), &http(), Duration::from_secs(10)).await.unwrap();
        assert_eq!(server.mails().len(), 1, "{manner:?}");
    }
    // Nobody can tell: it is sent again, and recognised.
    let server = Smtp::start(Encryption::Never, smtp::Manner::HangsAt("."));
    let channel = mail(server.port, "tls = \"none\"");
    let error = send_within(&channel, &failed(), &http(), Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(again(&error), Some(None), "{error:?}");
}

#[tokio::test]
async fn a_mail_is_recognised_when_it_comes_again() {
    let server = Smtp::start(Encryption::Never, smtp::Manner::Takes);
    let channel = mail(server.port, "tls = \"none\"");
    for report in [failed(), failed(), Report { run: RunId::from_text("another"), ..failed() }] {
        send(&channel, &report, &http()).await.unwrap();
    }
    let ids: Vec<String> = server
        .mails()
        .iter()
        .map(|mail| {
            let line = mail.text.lines().find(|line| line.starts_with("Message-ID: ")).unwrap();
            line.to_owned()
        })
        .collect();
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2]);
    assert!(ids[0].ends_with("@example.com>"), "{ids:?}");
}

// --- TLS -----------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn mail_goes_by_tls_where_it_should_or_not_at_all() {
    let file = private(PASSWORD);
    let login = format!("user = \"ci\"\npassword = {{ file = {:?} }}", file.path());
    let untrusted = |tls: &str| format!("tls = \"{tls}\"");
    for (encryption, more, expected) in [
        (Encryption::StartTls, trusting("starttls"), Ok(["EHLO", "STARTTLS", "EHLO (tls)", "AUTH (tls)"])),
        (Encryption::AtOnce, trusting("implicit"), Ok(["EHLO (tls)", "AUTH (tls)", "MAIL (tls)", "RCPT (tls)"])),
        // Nobody knows who that is.
        (Encryption::StartTls, untrusted("starttls"), Err("may pass")),
        (Encryption::AtOnce, untrusted("implicit"), Err("may pass")),
        // Somebody in between took the offer away.
        (Encryption::Never, trusting("starttls"), Err("stays")),
    ] {
        let server = Smtp::start(encryption, smtp::Manner::Takes);
        let sent = send(&mail(server.port, &format!("{more}\n{login}")), &failed(), &http()).await;
        match expected {
            Ok(heard) => {
                sent.unwrap();
                assert_eq!(server.heard()[..4], heard);
                assert_eq!(server.mail().login.as_deref(), Some("\0ci\0correct horse battery"));
            }
            Err(kind) => {
                let error = sent.unwrap_err();
                assert_eq!(again(&error).is_some(), kind == "may pass", "{error:?}");
                assert!(server.mails().is_empty());
                let heard = server.heard();
                assert!(heard.iter().all(|word| word == "EHLO" || word == "STARTTLS" || word == "QUIT"), "{heard:?}");
            }
        }
    }
}

// --- Secrets -------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn secrets_that_are_not_there_are_told_before_and_when_sending() {
    use std::os::unix::fs::PermissionsExt;
    let open = private("https://hooks.example/verysecret");
    std::fs::set_permissions(open.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let (empty, short, folder) = (private(""), private("short"), tempfile::tempdir().unwrap());
    let no_address = private("hooks.example/verysecret");
    let no_certificate = private("nothing");
    let from = |path: &std::path::Path| format!("type = \"slack\"\nurl = {{ file = {path:?} }}");
    let email = "type = \"email\"\nhost = \"127.0.0.1\"\nport = 1\nfrom = \"a@example.com\"\nto = [\"b@example.com\"]";
    for (table, passes, said) in [
        (
            "type = \"slack\"\nurl = { env = \"ARGON_NO_SUCH\" }".to_owned(),
            false,
            "the environment has no variable `ARGON_NO_SUCH`",
        ),
        (
            "type = \"slack\"\nurl = { file = \"/no/such\" }".to_owned(),
            true,
            "cannot read the secret in `/no/such`: No such file or directory (os error 2)",
        ),
        (from(open.path()), false, "others can read it (`chmod 600` keeps it)"),
        (from(empty.path()), false, "it is empty"),
        (from(folder.path()), false, "it is no plain file"),
        (from(no_address.path()), false, "is not usable: it is no address"),
        (
            format!("type = \"webhook\"\nurl = \"http://127.0.0.1:1\"\nsecret = {{ file = {:?} }}", short.path()),
            false,
            "it has less than 16 bytes",
        ),
        (format!("{email}\nca = {:?}", no_certificate.path()), false, "it has no certificate in it"),
        (
            format!("{email}\nuser = \"u\"\npassword = {{ env = \"ARGON_NO_SUCH\" }}"),
            false,
            "the environment has no variable `ARGON_NO_SUCH`",
        ),
    ] {
        let channel = channel(&table);
        let checked = channel.check().await.unwrap_err();
        assert!(checked.to_string().ends_with(said), "{checked}");
        let error = send(&channel, &failed(), &http()).await.unwrap_err();
        assert!(error.to_string().ends_with(said), "{error}");
        assert_eq!(again(&error).is_some(), passes, "{error:?}");
        assert!(!format!("{checked:?}{error:?}").contains("verysecret"), "{error:?}");
    }
    let good = private("  https://hooks.example/verysecret ");
    channel(&from(good.path())).check().await.unwrap();
}

// --- A mail server that somebody else wrote ------------------------------------------------------------------------

/// Run by `dev/check-mail`, which starts the server and looks at what it got.
#[tokio::test]
#[ignore = "needs the server of dev/check-mail"]
async fn another_mail_server_takes_it() {
    let port: u16 = std::env::var("ARGON_TEST_SMTP_PORT").unwrap().parse().unwrap();
    let file = private(PASSWORD);
    let login = format!("{}\nuser = \"ci\"\npassword = {{ file = {:?} }}", trusting("starttls"), file.path());
    for (_, report) in reports() {
        send(&mail(port, &login), &report, &http()).await.unwrap();
    }
    let wrong = private("wrong");
    let login = format!("{}\nuser = \"ci\"\npassword = {{ file = {:?} }}", trusting("starttls"), wrong.path());
    let error = send(&mail(port, &login), &failed(), &http()).await.unwrap_err();
    assert!(matches!(&error, SendError::Permanent { cause: Cause::Answered { code: 535, .. } }), "{error:?}");
}

//! Secrets: the steps that ask for them have them, and nobody else sees them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{BUSYBOX, Engine, Repo};

const TOKEN: &str = "s3cr3t-Tok3n/with+chars=";
const LINES: &str = "-----BEGIN-----\nfirst-line-of-key\nsecond-line-of-key\n-----END-----\n";

fn repo(script: &str) -> Repo {
    Repo::new(
        &json!({"version": 1, "secrets": ["TOKEN", "KEY"], "jobs": {"job": {"image": BUSYBOX, "steps": [
            {"name": "step", "run": script, "secrets": ["TOKEN", "KEY"]},
            {"name": "other", "run": "echo \"[$TOKEN] [$KEY]\""},
        ]}}})
        .to_string(),
    )
}

fn secrets() -> [String; 4] {
    ["-s".into(), format!("TOKEN={TOKEN}"), "-s".into(), format!("KEY={LINES}")]
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// The script shows the secret in all its forms. What it counts of it proves that it had it.
#[test]
fn secrets_are_masked_in_every_output_and_form() {
    let script = r#"
        echo "plain $TOKEN end"
        printf '%s' "${TOKEN%????????????}"; sleep 0.3; printf '%s\n' "${TOKEN#????????????}"
        printf '%s' "$TOKEN" | base64
        printf 'x%s' "$TOKEN" | base64
        printf '%s' "$TOKEN" | od -An -v -tx1 | tr -d ' \n'; echo
        echo "$KEY"
        echo "$KEY" | while read -r line; do echo "one: $line"; done
        echo "length ${#TOKEN}"
        exit 9
    "#;
    let repo = repo(script);
    let report = repo.beside().join("junit.xml");
    let args = secrets();
    let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
    args.extend(["--junit", report.to_str().unwrap()]);
    let coded = BASE64_STANDARD.encode(TOKEN);
    let shifted = BASE64_STANDARD.encode(format!("x{TOKEN}"));
    let hidden = [
        TOKEN,
        &coded[..20],
        &shifted[4..20],
        &hex(TOKEN),
        "first-line-of-key",
        "second-line-of-key",
        "k3n/with",
        "s3cr3t-Tok3",
    ];
    for run in [repo.plain(&args), repo.json(&args)] {
        let ended = run.run();
        ended.exits(1).says("plain *** end").says("one: ***").says(&format!("length {}", TOKEN.len()));
        for secret in hidden {
            ended.never_says(secret);
        }
        let junit = std::fs::read_to_string(&report).unwrap();
        assert!(junit.contains("plain *** end"), "{junit}");
        for secret in hidden {
            assert!(!junit.contains(secret), "{secret}: {junit}");
        }
    }
    // The control: without the declaration of secrets the same script shows everything.
    let open = Repo::jobs(
        json!({"job": {"image": BUSYBOX, "env": {"TOKEN": TOKEN, "KEY": LINES}, "steps": [{"run": script}]}}),
    );
    let ended = open.plain(&[]).run();
    for secret in hidden {
        ended.says(secret);
    }
}

#[test]
fn only_steps_that_ask_for_a_secret_have_it() {
    let args = secrets();
    let ended = repo("echo \"${#TOKEN} ${#KEY}\"").json(&args.each_ref().map(String::as_str)).run();
    ended.exits(0);
    assert_eq!(ended.said("job", 1), format!("{} {}\n", TOKEN.len(), LINES.len()));
    assert_eq!(ended.said("job", 2), "[] []\n");
}

#[test]
fn the_engine_is_told_no_secret_no_script_and_no_environment() {
    let repo = repo("echo \"# needle-in-script ${#TOKEN}\"; env | wc -l; echo running; sleep 600");
    let args = secrets();
    let since = Engine::shared().docker(&["info", "-f", "{{.SystemTime}}"]);
    let mut running = repo.plain(&args.each_ref().map(String::as_str)).args(&["-e", "PLAIN=needle-in-env"]).spawn();
    running.wait_for("\nrunning\n");
    let containers = running.containers();
    let [container] = &containers[..] else { panic!("one job, one container: {containers:?}") };
    let inspected = Engine::shared().docker(&["inspect", container]);
    running.signal(Signal::INT);
    running.end().exits(130);
    let until = Engine::shared().docker(&["info", "-f", "{{.SystemTime}}"]);
    let filter = format!("container={container}");
    let events = Engine::shared().docker(&[
        "events",
        "--since",
        &since,
        "--until",
        &until,
        "--filter",
        &filter,
        "--format",
        "{{json .}}",
    ]);
    assert!(inspected.contains("dev.argon.run") && events.contains("dev.argon.run"), "{events}");
    for hidden in [TOKEN, "first-line-of-key", "needle-in-script", "needle-in-env"] {
        assert!(!inspected.contains(hidden), "inspect shows {hidden}");
        assert!(!events.contains(hidden), "events show {hidden}");
    }
    let one: Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(
        (&one[0]["HostConfig"]["LogConfig"]["Type"], &one[0]["HostConfig"]["AutoRemove"]),
        (&json!("none"), &json!(true))
    );
}

#[test]
fn a_secret_that_is_missing_is_said_before_anything_runs() {
    let ended = repo("true").plain(&["-s", "TOKEN=abcdefgh"]).run();
    ended.exits(2).says("needs the secret `KEY`").says("-s KEY").never_says("▸");
}

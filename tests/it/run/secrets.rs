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

/// A secret that reaches what Argon itself says of a step: its folder.
#[test]
fn a_secret_in_a_cause_is_masked_in_every_output_and_on_the_disk() {
    let repo = Repo::jobs(json!({"job": {"image": BUSYBOX, "steps": [
        {"id": "s", "secrets": ["TOKEN"], "run": "echo \"it=$TOKEN\" >> \"$ARGON_OUTPUT\""},
        {"run": "true", "working-directory": "${{ steps.s.outputs.it }}"},
    ]}}));
    let report = repo.beside().join("junit.xml");
    let args = ["-s", "TOKEN=hunter2hunter2", "--junit", report.to_str().unwrap()];
    for run in [repo.plain(&args), repo.json(&args)] {
        run.run().exits(1).never_says("hunter2").says("/workspace/***");
    }
    assert!(!std::fs::read_to_string(&report).unwrap().contains("hunter2"));
    assert_eq!(repo.home_holds(b"hunter2"), Vec::<String>::new());
    assert!(!repo.home_holds(b"/workspace/***").is_empty(), "the control: the cause is kept");
}

/// `E0507` keeps `needs` out of these keys; a variable that has it got round that.
#[test]
fn a_secret_in_an_output_reaches_no_cache_key_no_service_and_no_result() {
    let told = |extra: Value| {
        let mut job = json!({"image": BUSYBOX, "needs": "a", "env": {"V": "${{ needs.a.outputs.t }}"}, "steps": [{"run": "true"}]});
        job.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        Repo::jobs(json!({
            "a": {"image": BUSYBOX, "outputs": {"t": "${{ steps.s.outputs.t }}"}, "steps": [
                {"id": "s", "secrets": ["TOKEN"], "run": "echo \"t=$TOKEN\" >> \"$ARGON_OUTPUT\""}]},
            "b": job,
        }))
        .file("a", "x")
    };
    let service = |extra: Value| {
        let mut service = json!({"image": BUSYBOX, "command": ["sleep", "99"], "ready": {"command": "true"}});
        service.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!({"services": {"s": service}})
    };
    let args = ["-s", "TOKEN=hunter2hunter2"];
    for extra in [
        json!({"cache": {"key": "k-${{ env.V }}", "paths": "/c"}}),
        json!({"cache": {"key": "k", "restore-keys": ["${{ env.V }}"], "paths": "/c"}}),
        service(json!({"env": {"W": "x${{ env.V }}"}})),
        service(json!({"command": ["sleep", "99", "${{ env.V }}"]})),
    ] {
        let repo = told(extra);
        repo.json(&args).run().exits(1).says("holds a secret").never_says("hunter2");
        assert_eq!(repo.home_holds(b"hunter2"), Vec::<String>::new());
    }
    // The control: what holds none is taken.
    let repo = told(json!({"cache": {"key": "k-${{ env.V }}", "paths": "/c"}}));
    repo.json(&["-s", "TOKEN=hunter2hunter2", "-e", "V=plain"]).run().exits(0);
    repo.argon(&["clean", "--cache"]).run().exits(0);
    // Nor may a digest of it be kept.
    let repo = told(json!({"inputs": "a"}));
    for _ in 0..2 {
        let ran = repo.json(&args).run();
        ran.exits(0).says("not cached, and its result is not kept: ").says("holds a secret");
        assert!(ran.all("job.cached").is_empty());
    }
    assert!(!repo.home().join("cache/argon/jobs").exists());
}

/// What tools wrap into lines, and what cuts it anywhere.
#[test]
fn no_long_piece_of_an_encoded_secret_is_left_in_what_a_step_prints() {
    let secret: String = (0..30).map(|number| format!("part-{number:02};")).collect();
    let script = r#"
        printf '%s' "$TOKEN" | base64
        printf '{"token":"%s"}' "$TOKEN" | base64 -w 64
        printf '%s' "$TOKEN" | od -An -v -tx1 | tr -d ' \n' | fold -w 60; echo
        printf '%s' "$TOKEN" | base64 | while read -r line; do printf '> '; printf '%s' "${line%??????????}"; sleep 0.05; echo "${line#"${line%??????????}"}"; done
        echo done
    "#;
    let repo = Repo::jobs(json!({"job": {"image": BUSYBOX, "steps": [{"run": script, "secrets": ["TOKEN"]}]}}));
    let ran = repo.json(&["-s", &format!("TOKEN={secret}")]).run();
    ran.exits(0);
    let said = ran.said("job", 1);
    assert!(said.ends_with("done\n"), "{said}");
    let joined: String = said.chars().filter(|c| !c.is_whitespace()).collect();
    let forms = [
        BASE64_STANDARD.encode(&secret),
        BASE64_STANDARD.encode(format!("{{\"token\":\"{secret}"))[16..].to_owned(),
        hex(&secret),
    ];
    let open = Repo::jobs(json!({"job": {"image": BUSYBOX, "env": {"TOKEN": secret}, "steps": [{"run": script}]}}));
    let control: String = open.json(&[]).run().said("job", 1).chars().filter(|c| !c.is_whitespace()).collect();
    for form in &forms {
        assert!(control.contains(&form[..40]), "the control: without a mask it shows: {control}");
        for start in 0..form.len() - 14 {
            let piece = &form[start..start + 12];
            assert!(!joined.contains(piece), "{piece} shows in {said}");
        }
    }
    assert_eq!(repo.home_holds(&forms[0].as_bytes()[20..40]), Vec::<String>::new());
}

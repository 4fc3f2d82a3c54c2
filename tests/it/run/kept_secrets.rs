//! Secrets that are kept: in the store, by a command, in Vault. Asked for when a step needs them, masked, and nowhere else.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{BUSYBOX, Repo};

/// Keeps a secret as a user does: its value on standard input.
fn set(repo: &Repo, args: &[&str], value: &str) {
    let mut argon = Command::new(env!("CARGO_BIN_EXE_argon"))
        .args(["secret", "set"])
        .args(args)
        .current_dir(repo.path())
        .env("HOME", repo.home())
        .env("XDG_STATE_HOME", repo.home().join("state"))
        .env("XDG_CONFIG_HOME", repo.home().join("config"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    argon.stdin.take().unwrap().write_all(value.as_bytes()).unwrap();
    assert!(argon.wait().unwrap().success());
}

fn repo(script: &str) -> Repo {
    Repo::jobs(json!({"job": {"image": BUSYBOX, "steps": [
        {"run": "echo before; [ -z \"$TOKEN\" ]"}, {"run": script, "secrets": ["TOKEN"]}]}}))
}

fn config(repo: Repo, text: &str) -> Repo {
    let folder = repo.home().join("config/argon");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.toml"), text).unwrap();
    repo
}

/// All bytes below the home: state, cache, configuration.
fn lies_in(repo: &Repo, what: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![repo.home()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if memchr::memmem::find(&std::fs::read(entry.path()).unwrap(), what).is_some() {
                found.push(entry.path().display().to_string());
            }
        }
    }
    found
}

#[test]
fn a_secret_of_the_store_reaches_its_step_masked_and_lies_nowhere() {
    let repo = repo("echo \"it is $TOKEN\"; printf %s \"$TOKEN\" | wc -c");
    let missing = repo.argon(&["run"]).run();
    missing.exits(2).says("needs the secret `TOKEN`").says("argon secret set TOKEN");
    set(&repo, &["TOKEN"], "hunter2hunter2\n");
    repo.argon(&["secret", "list"]).without_engine().exits(0).says("TOKEN");
    let ran = repo.json(&["-v"]).run();
    ran.exits(0);
    assert_eq!(ran.said("job", 2), "it is ***\n14\n");
    assert_eq!(lies_in(&repo, b"hunter2"), Vec::<String>::new());
    // What is given on the command line wins.
    assert_eq!(repo.json(&["-s", "TOKEN=abc"]).run().said("job", 2), "it is ***\n3\n");
    // Another repository does not get it, but for what is for all.
    let other = Repo::jobs(json!({"job": {"image": BUSYBOX, "steps": [{"run": "true", "secrets": ["TOKEN"]}]}}));
    let elsewhere = |args: &[&str]| {
        let argon = other.argon(args).env("XDG_CONFIG_HOME", repo.home().join("config").to_str().unwrap());
        argon.env("XDG_STATE_HOME", repo.home().join("state").to_str().unwrap())
    };
    elsewhere(&["run"]).run().exits(2).says("needs the secret `TOKEN`");
    set(&repo, &["TOKEN", "--everywhere"], "for-all-of-them");
    elsewhere(&["run"]).run().exits(0);
    assert_eq!(repo.json(&[]).run().said("job", 2), "it is ***\n14\n", "its own comes first");
    repo.argon(&["secret", "rm", "TOKN"]).without_engine().exits(2).says("did you mean `TOKEN`?");
    repo.argon(&["secret", "rm", "TOKEN"]).without_engine().exits(0);
    assert_eq!(repo.json(&[]).run().said("job", 2), "it is ***\n15\n");
}

#[test]
fn a_command_is_asked_once_a_run_when_a_step_needs_it_and_not_before() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let ask = format!("echo asked >> {}; echo hunter2hunter2", log.path().display());
    let toml = format!("[secrets.TOKEN]\ncommand = [\"sh\", \"-c\", {}]\n", json!(ask));
    let asked = || std::fs::read_to_string(log.path()).unwrap().lines().count();
    let two = json!({"image": BUSYBOX, "steps": [{"run": "echo $TOKEN", "secrets": ["TOKEN"]}]});
    let repo = config(
        Repo::jobs(json!({
        "no": {"image": BUSYBOX, "steps": [{"run": "true"}, {"if": "env.X == 'y'", "run": "true", "secrets": ["TOKEN"]}]},
        "a": two, "b": two})),
        &toml,
    );
    repo.json(&["no"]).run().exits(0);
    assert_eq!(asked(), 0, "the step is not wanted");
    let ran = repo.json(&[]).run();
    ran.exits(0);
    assert_eq!((ran.said("a", 1), ran.said("b", 1), asked()), ("***\n".to_owned(), "***\n".to_owned(), 1));
    let repo = config(repo, "[secrets.TOKEN]\ncommand = [\"sh\", \"-c\", \"echo hunter2; exit 9\"]\n");
    repo.plain(&["a"])
        .run()
        .exits(1)
        .says("the secret TOKEN is not to be had")
        .says("exit status: 9")
        .never_says("hunter2");
    let repo = config(repo, "[secrets.TOKEN]\ncommand = [\"true\"]\nrepositories = [\"/elsewhere\"]\n");
    repo.plain(&["a"]).run().exits(2).says("needs the secret `TOKEN`");
    let repo = config(repo, "[secrets.TOKEN]\ncomand = [\"true\"]\n");
    repo.plain(&["a"]).run().exits(2).says("config.toml is not valid").says("comand");
}

#[test]
fn a_field_of_vault_is_read_with_the_user_s_token() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", server.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for (status, body) in [
            ("200 OK", json!({"data": {"data": {"token": "hunter2hunter2"}, "metadata": {"version": 3}}})),
            ("403 Forbidden", json!({"errors": ["permission denied"]})),
        ] {
            let (mut stream, _) = server.accept().unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                head.push(byte[0]);
            }
            let body = body.to_string();
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
                .unwrap();
            asked.push(String::from_utf8(head).unwrap().to_lowercase());
        }
        asked
    });
    let repo = config(
        repo("echo \"it is $TOKEN\""),
        &format!(
            "[vault]\naddress = \"{address}\"\n[secrets.TOKEN]\nvault = {{ path = \"kv/team/app\", field = \"token\" }}\n"
        ),
    );
    let run = |repo: &Repo| repo.json(&[]).env("VAULT_TOKEN", "s.mine").run();
    let ran = run(&repo);
    ran.exits(0);
    assert_eq!(ran.said("job", 2), "it is ***\n");
    let refused = run(&repo);
    let cause: Value = refused.step("job", 2)["cause"].clone();
    assert!(cause["message"].as_str().unwrap().contains("does not let this token read kv/team/app"), "{cause}");
    let asked = serving.join().unwrap();
    assert!(
        asked[0].starts_with("get /v1/kv/data/team/app ") && asked[0].contains("x-vault-token: s.mine"),
        "{}",
        asked[0]
    );
}

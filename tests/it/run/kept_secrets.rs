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
    assert_eq!(repo.home_holds(b"hunter2"), Vec::<String>::new());
    // The control: the search finds what is there, in the store and in what is kept of the run.
    assert!(repo.home_holds(b"TOKEN").iter().any(|path| path.ends_with("secrets.json")));
    assert!(repo.home_holds(b"it is ***").iter().any(|path| path.contains("/state/")));
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
fn a_value_that_somebody_wrote_into_the_configuration_is_not_printed() {
    let mut repo = repo("true");
    for (text, line) in [
        ("[secrets.TOKEN]\ncommand = \"hunter2hunter2\"\n", "(line 2)"),
        ("[secrets]\nTOKEN = \"hunter2hunter2\"\n", "(line 2)"),
        ("[secrets]\n\nTOKEN = hunter2hunter2\n", "(line 3)"),
        ("[secrets]\nTOKEN = 27182818\n", "(line 2)"),
        ("[secrets]\nTOKEN = \"hunter2hunter2\n", "(line 2)"),
    ] {
        repo = config(repo, text);
        let ended = repo.argon(&["secret", "list"]).without_engine();
        ended.exits(2).says("config.toml is not valid").says(line).never_says("hunter2").never_says("27182818");
    }
}

#[test]
fn secrets_that_are_set_at_once_are_all_kept() {
    let repo = repo("true");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let repo = &repo;
            scope.spawn(move || set(repo, &[&format!("S{number}")], "hunter2hunter2"));
        }
    });
    let listed = repo.argon(&["secret", "list"]).without_engine();
    for number in 0..8 {
        listed.says(&format!("S{number}"));
    }
}

#[test]
fn a_secret_that_is_too_large_is_refused_with_where_it_comes_from() {
    let large = "x".repeat(70_000);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("TOKEN={large}\n")).unwrap();
    let path = file.path().to_str().unwrap();
    let told = "has 70000 bytes, and may have 65536";
    let repo = repo("echo ${#TOKEN}");
    repo.plain(&["-s", &format!("TOKEN={large}")]).run().exits(2).says("`TOKEN` (-s)").says(told);
    repo.plain(&["-s", "TOKEN"]).env("TOKEN", &large).run().exits(2).says("(-s, from the environment)").says(told);
    repo.plain(&["--secret-file", path]).run().exits(2).says(&format!("`TOKEN` ({path})")).says(told);
    let repo =
        config(repo, "[secrets.TOKEN]\ncommand = [\"sh\", \"-c\", \"head -c 70000 /dev/zero | tr '\\\\0' x\"]\n");
    repo.plain(&[]).run().exits(1).says("the secret TOKEN is not to be had").says("more than 64 KiB");
    // The largest that is taken reaches its step.
    let most = "y".repeat(65_536);
    let ran = repo.json(&["-s", "TOKEN"]).env("TOKEN", &most).run();
    assert_eq!(ran.exits(0).said("job", 2), "65536\n");
}

#[cfg(not(feature = "keyring"))]
#[test]
fn a_keyring_that_this_argon_was_built_without_is_told() {
    let repo = config(repo("true"), "[secret-store]\nkind = \"keyring\"\n");
    let ended = repo.argon(&["secret", "rm", "TOKEN"]).without_engine();
    ended.exits(2).says("no secret `TOKEN` is kept");
    std::fs::write(repo.home().join("config/argon/keyring.json"), r#"{"form":1,"secrets":{"*":{"TOKEN":""}}}"#)
        .unwrap();
    use std::os::unix::fs::PermissionsExt;
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(repo.home().join("config/argon/keyring.json"), private).unwrap();
    repo.plain(&[]).run().exits(1).says("the keyring is not part of this argon").says("--features keyring");
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
    let run = |repo: &Repo| repo.json(&[]).env("BAO_TOKEN", "s.mine").env("VAULT_NAMESPACE", "team-a").run();
    let ran = run(&repo);
    ran.exits(0);
    assert_eq!(ran.said("job", 2), "it is ***\n");
    let refused = run(&repo);
    let cause: Value = refused.step("job", 2)["cause"].clone();
    assert!(cause["message"].as_str().unwrap().contains("does not let this token read kv/team/app"), "{cause}");
    let asked = serving.join().unwrap();
    assert!(
        asked[0].starts_with("get /v1/kv/data/team/app ")
            && asked[0].contains("x-vault-token: s.mine")
            && asked[0].contains("x-vault-namespace: team-a"),
        "{}",
        asked[0]
    );
}

//! Pulls from real registries on loopback: plain, with a password, and failing by name (`dev/registry`).

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustix::process::Signal;
use serde_json::json;

use crate::support::{Engine, Repo};

/// The registries' addresses and login. Starting them is idempotent, and quick where they run.
fn registries() -> &'static BTreeMap<String, String> {
    static STARTED: OnceLock<BTreeMap<String, String>> = OnceLock::new();
    STARTED.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/dev/registry");
        let output = Command::new(script).arg("start").output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "dev/registry start: {error}");
        let text = String::from_utf8(output.stdout).unwrap();
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    })
}

fn value(name: &str) -> &'static str {
    &registries()[name]
}

/// An image that is taken off the engine before and after.
struct Pulled(String);

impl Pulled {
    fn new(image: String) -> Self {
        let this = Self(image);
        this.forget();
        this
    }

    fn forget(&self) {
        let _ = Command::new("docker").args(["image", "rm", "-f", &self.0]).output();
    }
}

impl Drop for Pulled {
    fn drop(&mut self) {
        self.forget();
    }
}

fn hello(image: &Pulled) -> Repo {
    Repo::script(&image.0, "echo hello")
}

fn failing(name: &str) -> Pulled {
    Pulled::new(format!("{}/{name}:latest", value("ARGON_TEST_REGISTRY_FAILING")))
}

#[test]
fn an_image_that_is_missing_is_pulled_with_its_layers_told() {
    let address = value("ARGON_TEST_REGISTRY");
    let image = Pulled::new(format!("{address}/argon-dev/fresh:latest"));
    let repo = hello(&image);
    let ended = repo.json(&[]).run();
    ended.exits(0).says("hello");
    let pulls = ended.all("image.pull");
    assert!(pulls.len() >= 3, "started, layers, finished: {pulls:#?}");
    let again = repo.json(&[]).run();
    assert!(again.exits(0).all("image.pull").is_empty(), "it is there");
    let always = repo.json(&["--pull", "always"]).run();
    assert!(!always.exits(0).all("image.pull").is_empty());
    Engine::shared().docker(&["image", "inspect", "-f", "{{.Id}}", &image.0]);
}

#[test]
fn the_login_of_docker_s_config_opens_a_private_registry() {
    let address = value("ARGON_TEST_REGISTRY_AUTH");
    let login = |password: &str| {
        let user = value("ARGON_TEST_REGISTRY_USER");
        let auth = BASE64_STANDARD.encode(format!("{user}:{password}"));
        json!({"auths": {address: {"auth": auth}}}).to_string()
    };
    let image = Pulled::new(format!("{address}/argon-dev/busybox:latest"));
    let repo = hello(&image);
    let config = repo.home().join(".docker/config.json");
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    // The negative controls: nothing, and a wrong word, do not open it.
    repo.plain(&[]).run().exits(3).says("docker login");
    std::fs::write(&config, login("wrong")).unwrap();
    repo.plain(&[]).run().exits(3).says("docker login");
    std::fs::write(&config, login(value("ARGON_TEST_REGISTRY_PASSWORD"))).unwrap();
    repo.plain(&[]).run().exits(0).says("hello");
}

#[test]
fn a_credential_helper_opens_a_private_registry() {
    let address = value("ARGON_TEST_REGISTRY_AUTH");
    // A second name of the same image: the other test takes its own off the engine.
    let image = Pulled::new(format!("{address}/argon-dev/busybox@{}", digest(address)));
    let repo = hello(&image);
    let folder = repo.home().join("bin");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::create_dir_all(repo.home().join(".docker")).unwrap();
    let answer = json!({
        "ServerURL": address,
        "Username": value("ARGON_TEST_REGISTRY_USER"),
        "Secret": value("ARGON_TEST_REGISTRY_PASSWORD"),
    });
    let helper = folder.join("docker-credential-argontest");
    std::fs::write(&helper, format!("#!/bin/sh\ncat >/dev/null\necho '{answer}'\n")).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let config = json!({"credHelpers": {address: "argontest"}}).to_string();
    std::fs::write(repo.home().join(".docker/config.json"), config).unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    repo.plain(&[]).env("PATH", &path).run().exits(0).says("hello");
}

/// The digest under which the registry holds its busybox.
fn digest(address: &str) -> String {
    let output = Command::new("curl")
        .args(["-sfI", "-u"])
        .arg(format!("{}:{}", value("ARGON_TEST_REGISTRY_USER"), value("ARGON_TEST_REGISTRY_PASSWORD")))
        .args(["-H", "Accept: application/vnd.docker.distribution.manifest.v2+json"])
        .arg(format!("http://{address}/v2/argon-dev/busybox/manifests/latest"))
        .output()
        .unwrap();
    let head = String::from_utf8(output.stdout).unwrap().to_lowercase();
    let line = head.lines().find_map(|line| line.strip_prefix("docker-content-digest: "));
    line.expect("a digest in the registry's answer").trim().to_owned()
}

#[test]
fn each_failure_of_a_registry_is_named() {
    for (name, words) in [
        ("fail/401", "docker login"),
        ("fail/404", "does not exist"),
        ("fail/429", "429"),
        ("fail/500", "cannot be used"),
    ] {
        let image = failing(name);
        let ended = hello(&image).plain(&[]).run();
        ended.exits(3).says(words).never_says("exit code");
    }
}

#[test]
fn what_a_retry_can_mend_is_retried() {
    let image = failing("fail/503-twice");
    // It counts the tries of each name: those of an earlier run of this test are to be forgotten.
    let reset = format!("http://{}/reset", value("ARGON_TEST_REGISTRY_FAILING"));
    let curl = Command::new("curl").args(["-sf", "-X", "POST", &reset]).status();
    assert!(curl.unwrap().success());
    let ended = hello(&image).plain(&[]).run();
    ended.exits(0).says("hello").says("again in");
}

#[test]
fn a_registry_that_is_down_is_named_as_such() {
    let image = Pulled::new("127.0.0.1:9/team/app:1".to_owned());
    let ended = hello(&image).plain(&[]).run();
    ended.exits(3).says("127.0.0.1:9/team/app:1");
}

#[test]
fn a_stalled_pull_ends_at_ctrl_c() {
    let image = failing("stall/blob");
    let repo = hello(&image);
    let mut running = repo.json(&[]).spawn();
    running.wait_for("image.pull");
    let began = Instant::now();
    running.signal(Signal::INT);
    running.end().exits(130);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

//! Pull requests from forks: whatever they call their branches, none is the repository's own.

use super::*;

fn badge(forge: &Forge, branch: &str) -> String {
    let address = forge.address.to_string();
    let mut stream = TcpStream::connect(forge.address).unwrap();
    let head = format!("GET /badge/app.svg?branch={branch} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let said = answer.split("<title>app: ").nth(1).unwrap();
    said.split('<').next().unwrap().to_owned()
}

#[test]
fn a_forks_branch_of_the_same_name_is_another_one_and_a_push_that_nobody_wanted_says_nothing_of_the_branch() {
    let pipeline = json!({"version": 1, "on": {"push": {"paths": ["src/**"]}, "pull-request": {}},
        "jobs": {"job": {"image": BUSYBOX, "steps": [{"run": "! [ -e broken ]"}]}}});
    let forge = Forge::new(&pipeline.to_string());
    let git = |args: &[&str]| forge.repo.git(args);
    let main = forge.commit();
    git(&["checkout", "-q", "-b", "theirs"]);
    std::fs::write(forge.repo.path().join("broken"), "").unwrap();
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "break it"]);
    git(&["push", "-q", "../app.git", "HEAD:refs/pull/1/head"]);
    let theirs = forge.commit();
    git(&["checkout", "-q", "main"]);
    git(&["commit", "-q", "--allow-empty", "-m", "nothing"]);
    git(&["push", "-q", "../app.git", "main"]);
    let file = forge.repo.beside().join("listen.toml");
    let config = format!(
        "bind = \"{}\"\npublic-badges = true\n[[repository]]\nurl = {:?}\nname = \"team/app\"\nforks = \"approve\"\n",
        forge.address,
        forge.bare()
    );
    std::fs::write(&file, config).unwrap();
    let listener = forge.repo.argon(&["listen", "--config", file.to_str().unwrap()]);
    let mut running = listener.env("ARGON_WEBHOOK_SECRET", SECRET).spawn();
    running.wait_for("Argon listens for");

    assert_eq!(forge.push("main", &main, "1").status, 202);
    assert_eq!(forge.outcomes(), ["success"]);
    let unwanted = json!({"ref": "refs/heads/main", "before": main, "after": forge.commit(),
        "repository": {"full_name": "team/app"}, "commits": []});
    let unwanted = unwanted.to_string().into_bytes();
    assert_eq!(
        forge.post("/webhook", &[("x-github-delivery", "2")], &unwanted, &signed(SECRET, &unwanted)).status,
        202
    );
    assert_eq!(forge.outcomes(), ["success", "not-triggered"]);
    assert_eq!(badge(&forge, "main"), "success");

    let body = json!({
        "action": "opened", "number": 1, "repository": {"full_name": "team/app"}, "sender": {"login": "mallory"},
        "pull_request": {"title": "break it", "number": 1,
            "head": {"ref": "main", "sha": theirs, "repo": {"full_name": "mallory/app"}},
            "base": {"ref": "main", "sha": main, "repo": {"full_name": "team/app"}}},
    });
    let body = body.to_string().into_bytes();
    let signature = format!("sha256={}", signed(SECRET, &body));
    let headers = [
        ("content-type", "application/json"),
        ("x-github-event", "pull_request"),
        ("x-hub-signature-256", &*signature),
    ];
    let answer = forge.request("POST", "/webhook", &headers, &body).unwrap();
    let run = argon::event::RunId::from_text(answer.body["run"].as_str().unwrap());
    assert!(Queue::open(&forge.state()).unwrap().0.approve(&run).unwrap());
    assert_eq!(forge.outcomes(), ["success", "not-triggered", "failure"]);
    let runs = forge.runs();
    assert_eq!(runs[0]["branch"], "mallory/app:main", "{runs:#?}");
    assert_eq!((badge(&forge, "main"), badge(&forge, "mallory/app:main")), ("success".into(), "failure".into()));
    end(running).exits(0);
}

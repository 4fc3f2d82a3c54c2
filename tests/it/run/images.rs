//! Images that are built: from what the run sees, when that changed, and gone when a run is stopped.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{BUSYBOX, Ended, Engine, Repo};

/// A repository with a job whose image is built so, and what it builds from.
fn repo(image: &Value, files: &[(&str, &str)]) -> Repo {
    let steps = json!([{"name": "look", "run": "cat /built/*; ls -A /built"}]);
    let repo = Repo::jobs(json!({"job": {"image": image, "steps": steps}}));
    files.iter().fold(repo, |repo, (path, text)| repo.file(path, text))
}

fn write(repo: &Repo, path: &str, text: &str) {
    std::fs::write(repo.path().join(path), text).unwrap();
}

/// A Dockerfile that copies all that it sees. Images outlive tests, so each has one that there never was.
fn copies() -> String {
    format!("FROM {BUSYBOX}\nLABEL mark={}\nCOPY . /built/\n", uuid::Uuid::now_v7())
}

fn was_built(ran: &Ended) -> bool {
    ran.all("image.build").iter().any(|event| event["build"]["state"] == "finished")
}

#[test]
fn an_image_is_built_from_what_the_run_sees_and_again_when_that_changed() {
    let dockerfile = copies();
    let repo = repo(
        &json!({"build": "."}),
        &[
            ("Dockerfile", &dockerfile),
            (".gitignore", "*.o\n"),
            (".dockerignore", "secret\n*.md\n!README.md\n.*\nDockerfile\n"),
            ("README.md", "read me\n"),
            ("notes.md", "not this\n"),
            ("secret/key", "nor this\n"),
            ("main.o", "nor this, as git ignores it\n"),
            ("main.c", "int main;\n"),
        ],
    );
    let ran = repo.json(&[]).run();
    ran.exits(0);
    assert!(was_built(&ran));
    assert_eq!(ran.said("job", 1), format!("{dockerfile}read me\nint main;\nDockerfile\nREADME.md\nmain.c\n"));
    let events: Vec<String> = ran.all("image.build").iter().map(|event| event["message"].to_string()).collect();
    assert!(events.iter().any(|message| message.contains("COPY . /built/")), "{events:?}");

    assert!(!was_built(repo.json(&[]).run().exits(0)), "nothing changed");
    write(&repo, "notes.md", "what the build does not see\n");
    assert!(!was_built(repo.json(&[]).run().exits(0)));
    write(&repo, "main.c", "int other;\n");
    let ran = repo.json(&[]).run();
    assert!(was_built(ran.exits(0)));
    assert!(ran.said("job", 1).contains("int other;"));
    write(&repo, "main.c", "int main;\n");
    assert!(!was_built(repo.json(&[]).run().exits(0)), "the image of these files is still there");
    assert!(was_built(repo.json(&["--no-cache"]).run().exits(0)));
}

#[test]
fn a_build_has_its_stage_its_arguments_and_a_dockerfile_from_elsewhere() {
    let file = "ARG BASE=argon-dev/none\nFROM ${BASE} AS one\nARG WHO=nobody\n\
        RUN mkdir /built && echo \"one of $WHO\" > /built/x\nFROM one AS two\nRUN exit 9\n";
    let image = json!({"build": "app", "dockerfile": "ci/Dockerfile", "target": "one", "args": {"BASE": BUSYBOX, "WHO": "${{ matrix.who }}"}});
    let pipeline = json!({"jobs": {"job": {"image": image, "matrix": {"who": ["us", "them"]}, "steps": [{"run": "cat /built/x"}]}}});
    let repo = Repo::new(&pipeline.to_string()).file("ci/Dockerfile", file).file("app/file", "x");
    let ran = repo.json(&[]).run();
    ran.exits(0);
    assert_eq!((ran.said("job (us)", 1), ran.said("job (them)", 1)), ("one of us\n".into(), "one of them\n".into()));
}

#[test]
fn a_build_that_fails_is_the_jobs_failure_and_shows_why() {
    let broken =
        format!("FROM {BUSYBOX}\nRUN echo compiling; echo 'main.c: no such token hunter2hunter2' >&2; exit 3\n");
    let repo = repo(&json!({"build": "."}), &[("Dockerfile", &broken)]);
    let ran = repo.plain(&["-s", "TOKEN=hunter2hunter2"]).run();
    ran.exits(1)
        .says("compiling")
        .says("main.c: no such token ***")
        .says("its image cannot be built: `[2/2] RUN echo compiling")
        .says("failed: exit code 3")
        .never_says("hunter2")
        .never_says("▸ look");
    repo.argon(&["runs", "1"]).without_engine().exits(0).says("│ main.c: no such token ***");

    write(&repo, "Dockerfile", "FORM x\n");
    repo.plain(&[]).run().exits(1).says("its image cannot be built").says("FORM");
    write(&repo, "Dockerfile", &format!("FROM {BUSYBOX}\nCOPY nothing /\n"));
    repo.plain(&[]).run().exits(1).says("its image cannot be built").says("nothing");
    write(&repo, ".dockerignore", "[\n");
    repo.plain(&[]).run().exits(1).says(".dockerignore: line 1");
    std::fs::remove_file(repo.path().join("Dockerfile")).unwrap();
    repo.plain(&[]).run().exits(1).says("the source has no `Dockerfile`, or git ignores it");
}

#[test]
fn an_image_that_a_build_begins_from_is_looked_for_as_others_are() {
    let repo = repo(&json!({"build": "."}), &[("Dockerfile", "FROM argon-dev/nowhere\n")]);
    repo.plain(&["--pull", "never"]).run().exits(3).says("image `argon-dev/nowhere` is not on the engine");
}

#[test]
fn a_build_that_is_stopped_or_killed_leaves_nothing_behind() {
    let mark = format!("sleep 4{:04}", std::process::id() % 10_000);
    let repo = repo(&json!({"build": "."}), &[("Dockerfile", &format!("FROM {BUSYBOX}\nRUN echo begun; {mark}\n"))]);
    let sleeps = || {
        let found = std::process::Command::new("pgrep").args(["-f", &format!("^{mark}")]).output().unwrap();
        !found.stdout.is_empty()
    };
    for signal in [Signal::INT, Signal::KILL] {
        let mut running = repo.plain(&[]).spawn();
        running.wait_for("│ begun\n");
        assert!(sleeps(), "the test would see nothing");
        let began = Instant::now();
        running.signal(signal);
        let ended = running.end();
        if signal == Signal::INT {
            ended.exits(130);
        }
        while sleeps() {
            assert!(began.elapsed() < Duration::from_secs(5), "the build goes on");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn images_that_are_old_go_and_all_of_them_on_demand() {
    let repo = repo(&json!({"build": "."}), &[("Dockerfile", &copies()), ("file", "0")]);
    let mut names = Vec::new();
    for round in 0..5 {
        write(&repo, "file", &format!("{round}\n"));
        let ran = repo.json(&[]).run();
        ran.exits(0);
        names.push(ran.all("job.started")[0]["image_id"].as_str().unwrap().to_owned());
    }
    let engine = Engine::shared();
    let there: Vec<bool> =
        names.iter().map(|id| engine.docker(&["images", "-q", "--no-trunc"]).contains(id.as_str())).collect();
    assert_eq!(there, [false, false, true, true, true]);
    repo.argon(&["doctor"]).run().exits(0).says("built by Argon");
}

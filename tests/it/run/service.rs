//! A project with a database, dependencies, packages and a deployment, as it is worked on: a first run, a second, an edit.

use std::path::Path;

use rustix::process::Signal;
use serde_json::json;

use crate::support::{BUSYBOX, Ended, Engine, Repo};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/repos/service");

fn project() -> Repo {
    let read = |path: &str| std::fs::read(Path::new(FOLDER).join(path)).unwrap();
    let pipeline = String::from_utf8(read(".runnerci.yml")).unwrap();
    let files = ["app/__init__.py", "ci/Dockerfile", "ci/pack.sh", "db/schema.sql", "db/test.sql", "dependencies.lock"];
    files.into_iter().fold(Repo::new(&pipeline), |repo, path| repo.file(path, read(path))).commit()
}

/// The jobs that were spared, and those that ran with the reason.
fn went(ended: &Ended) -> (Vec<String>, Vec<String>) {
    let cached = ended.all("job.cached").iter().map(|event| event["job"].as_str().unwrap().to_owned()).collect();
    let why = ended.all("notice").into_iter().filter_map(|notice| {
        let why = notice["message"].as_str()?.strip_prefix("not cached: ")?.to_owned();
        Some(format!("{}: {why}", notice["job"].as_str()?))
    });
    (cached, why.collect())
}

#[test]
fn a_project_with_a_database_runs_green_and_then_only_what_an_edit_touches() {
    let repo = project();
    let args = ["-e", "TARGET=staging", "-s", "DEPLOY_TOKEN=hunter2hunter2"];
    let first = repo.json(&args).run();
    first.exits(0);
    assert_eq!(first.said("build", 1), "fetching alpha 1.0\nfetching beta 2.1\n");
    assert_eq!(first.said("build", 3), "packed as a tar of sources\n", "by a program of the image that was built");
    assert!(first.said("package", 1).contains("vendor/beta-2.1"), "{}", first.said("package", 1));
    assert_eq!(first.said("deploy", 1), "deploying 2.0.1 to staging with ***\n");
    assert_eq!(first.all("service").iter().filter(|event| event["state"] == "ready").count(), 4);

    let second = repo.json(&args).run();
    second.exits(0);
    assert_eq!(second.said("deploy", 1), "deploying 2.0.1 to staging with ***\n");
    let (cached, ran) = went(&second);
    assert_eq!((cached.len(), ran), (6, vec![]), "lint, four tests and build: {cached:?}");
    assert!(second.said("package", 1).contains("vendor/beta-2.1"), "of an artifact of the first run");

    // A new dependency: the build alone rests on it, and finds most of what it needs in its cache.
    let repo = repo.file("dependencies.lock", "alpha 1.0\nbeta 2.1\ngamma 3\n");
    let third = repo.json(&args).run();
    third.exits(0);
    let (cached, ran) = went(&third);
    assert_eq!(
        (cached.len(), ran),
        (5, vec!["build: hash('dependencies.lock') changed, dependencies.lock changed".to_owned()])
    );
    assert_eq!(
        (third.said("build", 1), &third.all("cache")[0]["found"]),
        ("fetching gamma 3\n".to_owned(), &"partial".into())
    );

    // The image that packages are made in: the build alone runs in it.
    let repo = repo.file("ci/pack.sh", "#!/bin/sh\necho packed otherwise; : > $1\n");
    let fourth = repo.json(&args).run();
    fourth.exits(0);
    let (cached, ran) = went(&fourth);
    let why = "build: image build ci (FORMAT=a tar of sources) changed".to_owned();
    assert_eq!((cached.len(), ran, fourth.said("build", 3)), (5, vec![why], "packed otherwise\n".to_owned()));

    // A wrong schema: the tests say so with the database's own words.
    let repo = repo.file("db/schema.sql", "create table orders (id integer);\n");
    let broken = repo.plain(&args).run();
    broken.exits(1).says("service db").says("column \"item\" of relation \"orders\" does not exist");
    repo.argon(&["artifacts", "2", "--get", "release", "-o", "out"]).without_engine().exits(0);
    assert!(repo.path().join("out/contents.txt").exists());
    repo.argon(&["clean", "--cache"]).run().exits(0);
}

#[test]
fn after_cancelled_and_killed_runs_the_engine_has_only_what_is_accounted_for() {
    let work = "if [ -e slow ]; then echo up; sleep 60; fi; echo x >> deps/x; mkdir -p out; cp deps/x out/";
    let repo = Repo::jobs(json!({"job": {
        "image": BUSYBOX, "cache": {"key": "${{ hash('lock') }}", "paths": "deps", "mode": "locked"}, "artifacts": {"paths": "out/**"},
        "services": {"web": {"image": BUSYBOX, "command": ["sleep", "1000"]}}, "steps": [{"run": work}]}}));
    let repo = (0..420).fold(repo.file("lock", "1"), |repo, number| repo.file(&format!("src/{number}"), "x")).commit();
    let mut pids = vec![repo.plain(&[]).run().exits(0).pid];
    let repo = repo.file("slow", "");
    for signal in [Signal::INT, Signal::KILL] {
        let mut running = repo.plain(&[]).spawn();
        running.wait_for("up\n");
        running.signal(signal);
        pids.push(running.end().pid);
    }
    std::fs::remove_file(repo.path().join("slow")).unwrap();
    pids.push(repo.plain(&[]).run().exits(0).pid);
    repo.argon(&["clean"]).run().exits(0);

    let engine = Engine::shared();
    let home = repo.home().join("cache/argon");
    let notes = std::fs::read_dir(home.join("caches"))
        .unwrap()
        .filter_map(|note| std::fs::read_to_string(note.unwrap().path()).ok());
    let noted: String = notes.collect();
    let made: Vec<String> = pids.iter().flat_map(|pid| engine.made_by(*pid)).collect();
    assert!(
        made.iter().any(|what| what.contains(" base ")) && made.iter().any(|what| what.contains(" cache ")),
        "{made:?}"
    );
    for what in &made {
        let name = what.strip_prefix("volume ").and_then(|what| what.split(' ').next());
        let is_accounted_for = name.is_some_and(|name| home.join("bases").join(name).exists() || noted.contains(name));
        assert!(is_accounted_for, "{what} is left, of {made:?}");
    }
    repo.argon(&["doctor"]).run().exits(0).says("caches        1 in").never_says("that no cache has");
}

//! What is there before a listener begins: its secret, its databases; and `--check`, which changes nothing of it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

fn check(forge: &Forge) -> Ended {
    let bind = forge.address.to_string();
    let bare = forge.bare();
    forge.repo.argon(&["listen", "--repo", bare.to_str().unwrap(), "--bind", &bind, "--check"]).without_engine()
}

/// All files of a folder with what is in them, and when they were written.
fn files(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return BTreeMap::new() };
    let files = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    files
        .map(|path| {
            let written = path.metadata().unwrap().modified().unwrap();
            (path.clone(), (std::fs::read(&path).unwrap(), written))
        })
        .collect()
}

#[test]
fn a_secret_is_made_once_and_only_its_owner_can_read_it() {
    let forge = Forge::script("true");
    let listener = || {
        let (bind, bare) = (forge.address.to_string(), forge.bare());
        let mut running = forge.repo.argon(&["listen", "--repo", bare.to_str().unwrap(), "--bind", &bind]).spawn();
        running.wait_for("Argon listens for");
        end(running).exits(0);
    };
    listener();
    let path = forge.state().path().join("webhook-secret");
    let made = std::fs::read_to_string(&path).unwrap();
    assert_eq!(made.trim().len(), 64);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(forge.state().path())), (0o600, 0o700));
    listener();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), made);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    check(&forge).exits(2).says("can be read by others, and holds secrets").says("chmod 600");
    let short = forge.repo.argon(&["listen", "--repo", ".", "--check"]).env("ARGON_WEBHOOK_SECRET", "short");
    short.without_engine().exits(2).says("shorter than 16 bytes");
}

#[test]
fn a_check_makes_nothing_and_moves_nothing_aside() {
    let forge = Forge::script("true");
    check(&forge).exits(0).says("It could begin.");
    assert!(!forge.state().path().exists(), "not even the folder");
    drop(Queue::open(&forge.state()).unwrap());
    let queue = forge.state().path().join("queue.db");
    let mut bytes = std::fs::read(&queue).unwrap();
    bytes[..4096].fill(7);
    std::fs::write(&queue, bytes).unwrap();
    let before = files(forge.state().path());
    check(&forge).exits(0).says("queue.db").says("moves").says("It could begin.");
    assert_eq!(files(forge.state().path()), before);
}

#[test]
fn a_check_works_beside_a_listener_that_runs_and_is_not_noticed_by_it() {
    let forge = Forge::script("true");
    let mut running = forge.listener(&[]).env("DOCKER_HOST", "unix:///nonexistent/docker.sock").spawn();
    running.wait_for("Argon listens for");
    assert_eq!(forge.push("main", &forge.commit(), "1").status, 202);
    let checked = forge.listener(&["--check"]).without_engine();
    checked.exits(0).says("It could begin.").says("is taken now").never_says("damaged");
    assert_eq!(forge.push("topic/a", &forge.commit(), "2").status, 202);
    assert_eq!(forge.entries().len(), 2);
    end(running).exits(0);
}

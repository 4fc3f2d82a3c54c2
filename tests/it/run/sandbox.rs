//! Pipelines that ask for more than a sandbox: refused, unless who runs them allows it on the command line.

use serde_json::{Value, json};

use crate::support::{BUSYBOX, Repo};

/// A pipeline whose job has these keys besides, and shows what it may do.
fn asks(extra: &Value) -> Repo {
    let script = "grep CapEff /proc/self/status; ls /var/run/docker.sock /host || true";
    let mut job = json!({"image": BUSYBOX, "steps": [{"run": script}]});
    job.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    Repo::jobs(json!({"job": job}))
}

fn may_all(said: &str) -> bool {
    let set = said.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap().trim().to_owned();
    // SYS_ADMIN is the 22nd (capability.h).
    u64::from_str_radix(&set, 16).unwrap() & (1 << 21) != 0
}

#[test]
fn the_privileged_mode_is_had_where_the_command_line_allows_it_alone() {
    let repo = asks(&json!({"security": {"privileged": true}}));
    repo.plain(&[]).run().exits(2).says("privileged").says("--allow privileged").never_says("CapEff:");
    repo.plain(&["--allow", "SYS_ADMIN"]).run().exits(2).never_says("CapEff:");
    // Allowed, the engine is asked for it; one that is in a container itself may not have it to give.
    let allowed = repo.json(&["--allow", "privileged"]).run();
    match allowed.status.code() {
        Some(3) => _ = allowed.says("unable to apply caps"),
        _ => assert!(may_all(&allowed.exits(0).said("job", 1))),
    }
    // The control, with a capability that any engine has.
    let repo = asks(&json!({"security": {"capabilities": ["SYS_ADMIN"]}}));
    repo.plain(&[]).run().exits(2).says("--allow SYS_ADMIN").never_says("CapEff:");
    let allowed = repo.json(&["--allow", "SYS_ADMIN"]).run();
    assert!(may_all(&allowed.exits(0).said("job", 1)), "allowed, it is had");
    // Allowing it gives it to nobody who does not ask.
    let modest = asks(&json!({})).json(&["--allow", "privileged"]).run();
    modest.exits(0);
    assert!(!may_all(&modest.said("job", 1)));
}

#[test]
fn mounts_of_the_host_the_socket_and_its_network_cannot_be_asked_for() {
    let service = |extra: Value| {
        let mut service = json!({"image": BUSYBOX, "command": ["sleep", "9"]});
        service.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!({"services": {"s": service}})
    };
    for (extra, key) in [
        (json!({"volumes": ["/:/host"]}), "volumes"),
        (json!({"volumes": ["/var/run/docker.sock:/var/run/docker.sock"]}), "volumes"),
        (json!({"mounts": [{"source": "/", "target": "/host"}]}), "mounts"),
        (json!({"devices": ["/dev/sda"]}), "devices"),
        (json!({"network": "host"}), "network"),
        (json!({"security": {"pid": "host"}}), "pid"),
        (json!({"container": {"options": "--privileged"}}), "container"),
        (json!({"cache": {"key": "k", "paths": "../../../etc"}}), "paths"),
        (service(json!({"volumes": ["/:/host"]})), "volumes"),
        (service(json!({"privileged": true})), "privileged"),
        (service(json!({"network": "host"})), "network"),
    ] {
        for allow in [&[][..], &["--allow", "privileged"]] {
            asks(&extra).plain(allow).run().exits(2).says(key).never_says("CapEff:");
        }
    }
    // What a job has that asks for nothing: neither.
    let ran = asks(&json!({})).json(&[]).run();
    ran.exits(0);
    let said = ran.said("job", 1);
    assert!(said.contains("/var/run/docker.sock: No such file") && said.contains("/host: No such file"), "{said}");
}

//! Services: reached by name, ready before the steps begin, heard when something fails, gone afterwards.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{BUSYBOX, Engine, NOSHELL, PYTHON, Repo};

const POSTGRES: &str = "argon-dev/postgres";
const REDIS: &str = "argon-dev/redis";

/// A job with these services that runs this script.
fn job(services: Value, script: &str) -> Repo {
    Repo::jobs(json!({"job": {"image": BUSYBOX, "services": services, "steps": [{"name": "step", "run": script}]}}))
}

#[test]
fn a_real_postgresql_and_a_real_redis_are_ready_when_the_steps_begin_and_reached_by_name() {
    let repo = Repo::jobs(json!({"job": {
        "image": POSTGRES,
        "services": {
            // Ready by its image's HEALTHCHECK, and by its exposed port.
            "db": {"image": POSTGRES, "env": {"POSTGRES_PASSWORD": "hunter2", "POSTGRES_DB": "app"}, "tmpfs": "/var/lib/postgresql/data"},
            "cache": {"image": REDIS},
        },
        "env": {"PGPASSWORD": "hunter2"},
        "steps": [
            {"run": "psql -At -h db -U postgres app -c 'select 40 + 2'"},
            {"run": "exec 3<>/dev/tcp/cache/6379; printf 'PING\\r\\n' >&3; head -1 <&3", "shell": "bash"},
        ],
    }}));
    let ran = repo.json(&[]).run();
    ran.exits(0);
    assert_eq!((ran.said("job", 1).trim(), ran.said("job", 2).trim()), ("42", "+PONG"));
    let states: Vec<Value> = ran.all("service").iter().map(|event| event["state"].clone()).collect();
    assert_eq!(states.iter().filter(|state| **state == "ready").count(), 2, "{states:?}");
    assert!(!ran.all("service.log").is_empty());
    repo.argon(&["logs", "--service", "db"]).without_engine().exits(0).says("ready to accept connections");
    repo.argon(&["logs", "--service", "dbb"]).without_engine().exits(2).says("these wrote something: cache, db");
}

#[test]
fn a_port_that_listens_for_its_own_container_alone_is_not_ready() {
    let late = "httpd -p 127.0.0.1:8080; echo waits; sleep 1; echo up > index.html; exec httpd -f -p 8081";
    let services = json!({"web": {"image": BUSYBOX, "command": ["sh", "-c", late], "ready": {"port": 8081}},
        "own": {"image": BUSYBOX, "command": ["sh", "-c", "httpd -f -p 127.0.0.1:8080"], "ready": {"port": 8080, "timeout": "2s"}}});
    let ran = job(services, "true").plain(&[]).run();
    ran.exits(1).says("the service own was not ready within 2 s: waited until port 8080 takes connections");
    let services = json!({"web": {"image": BUSYBOX, "command": ["sh", "-c", late], "ready": {"port": 8081}}});
    job(services, "wget -qO- http://web:8081/index.html").plain(&[]).run().exits(0).says("up");
}

#[test]
fn a_service_that_ends_is_told_with_its_last_words() {
    let dies = |script: &str| json!({"db": {"image": BUSYBOX, "command": ["sh", "-c", script], "ready": {"command": "test -e /up"}}});
    // Before it is ready: the steps do not begin.
    let ran = job(dies("echo cannot; exit 7"), "echo step").plain(&[]).run();
    ran.exits(1).says("the service db ended with exit code 7 before it was ready").says("cannot").never_says("▸");
    // Under the job: told at once, and with what the step failed at.
    let ran = job(dies("touch /up; sleep 1; echo dying; exit 3"), "sleep 2; exit 4").plain(&[]).run();
    ran.exits(1).says("service db ended with 3, while the job goes on").says("service db, which ended:").says("dying");
    // Secrets of the run are masked in its words, too.
    let repo = job(dies("touch /up; echo hunter2hunter2; sleep 60"), "sleep 0.3; exit 4");
    let ran = repo.plain(&["-s", "TOKEN=hunter2hunter2"]).run();
    ran.exits(1).says("***").never_says("│ hunter2");
}

#[test]
fn a_service_without_a_shell_runs_and_a_job_without_network_reaches_its_services_alone() {
    let engine = Engine::shared();
    engine.ready();
    let serve = "echo outside > index.html; exec httpd -f -p 80";
    let outside = engine.docker(&["run", "-d", "--rm", BUSYBOX, "sh", "-c", serve]);
    let address = engine.docker(&["inspect", &outside, "--format", "{{.NetworkSettings.IPAddress}}"]);
    let reach = format!("wget -qO- http://{address}/index.html & sleep 3; kill $! 2>/dev/null || true");
    let services = json!({"bare": {"image": NOSHELL, "command": ["sleep", "1000"]},
        "web": {"image": BUSYBOX, "command": ["sh", "-c", "echo up > index.html; exec httpd -f -p 80"], "ready": {"port": 80}}});
    let repo = Repo::jobs(json!({
        // The control: from the default network, there is a way.
        "open": {"image": BUSYBOX, "steps": [{"run": reach}]},
        "closed": {"image": BUSYBOX, "network": "none", "services": services,
            "steps": [{"run": format!("wget -qO- http://web/index.html; {reach}")}]},
    }));
    let ran = repo.json(&["-k"]).run();
    engine.docker(&["rm", "-f", &outside]);
    ran.exits(0);
    assert_eq!(ran.said("open", 1), "outside\n");
    assert_eq!(ran.said("closed", 1), "up\n");
}

/// An image with exposed ports that goes with its test.
struct Exposing(String);

impl Exposing {
    fn ports(name: &str, ports: &str) -> Self {
        let engine = Engine::shared();
        engine.ready();
        let name = format!("argon-it-{name}-{}", std::process::id());
        let container = engine.docker(&["create", BUSYBOX, "true"]);
        engine.docker(&["commit", "-c", &format!("EXPOSE {ports}"), &container, &name]);
        engine.docker(&["rm", &container]);
        Self(name)
    }
}

impl Drop for Exposing {
    fn drop(&mut self) {
        Engine::shared().docker(&["rmi", &self.0]);
    }
}

#[test]
fn a_service_is_ready_when_all_exposed_ports_listen_or_no_further_one_comes() {
    let image = Exposing::ports("ports", "8081 8082");
    // As RabbitMQ does: what others find it by is up long before it is.
    let command = "echo up > index.html; httpd -p 8081; sleep 2; exec httpd -f -p 8082";
    let services = json!({"web": {"image": image.0, "command": ["sh", "-c", command]}});
    let ran = job(services, "wget -qO- http://web:8082/index.html").plain(&[]).run();
    ran.exits(0).says("up").never_says("nothing listens on");
    let command = "echo up > index.html; exec httpd -f -p 8081";
    let services = json!({"web": {"image": image.0, "command": ["sh", "-c", command]}});
    let ran = job(services, "wget -qO- http://web:8081/index.html").plain(&[]).run();
    ran.exits(0).says("exposes the ports 8081, 8082, and nothing listens on 8082").says("`ready: {port: 8081}`");
}

#[test]
fn a_port_of_ipv4_loopback_on_an_ipv6_socket_is_not_ready() {
    let listen = |address: &str| {
        format!(
            "import socket, time; s = socket.socket(socket.AF_INET6); s.bind(('{address}', 8080)); s.listen(); time.sleep(60)"
        )
    };
    let service = |address: &str| json!({"own": {"image": PYTHON, "command": ["python", "-c", listen(address)], "ready": {"port": 8080, "timeout": "4s"}}});
    job(service("::ffff:127.0.0.1"), "true").plain(&[]).run().exits(1).says("waited until port 8080 takes connections");
    // The control: the same socket for all to reach.
    job(service("::ffff:0.0.0.0"), "true").plain(&[]).run().exits(0);
}

#[test]
fn a_probe_that_hangs_once_is_asked_again() {
    let probe = "test -e /tmp/asked && exit 0; touch /tmp/asked; sleep 1000";
    let services =
        json!({"db": {"image": BUSYBOX, "command": ["sleep", "1000"], "ready": {"command": probe, "timeout": "30s"}}});
    let ran = job(services, "echo step").plain(&[]).run();
    ran.exits(0).says("step");
    assert!(ran.took > Duration::from_secs(4) && ran.took < Duration::from_secs(25), "{:?}", ran.took);
}

#[test]
fn a_stop_at_any_moment_leaves_neither_network_nor_volume() {
    let repo = job(json!({"db": {"image": BUSYBOX, "command": ["sleep", "1000"]}}), "sleep 60");
    for wait in (0..240).step_by(12) {
        let mut running = repo.plain(&[]).spawn();
        running.wait_for("argon: ");
        std::thread::sleep(Duration::from_millis(wait));
        running.signal(Signal::INT);
        let ended = running.end();
        ended.exits(130);
        assert_eq!(Engine::shared().made_by(ended.pid), Vec::<String>::new(), "after {wait} ms");
    }
}

#[test]
fn services_of_jobs_side_by_side_do_not_meet() {
    let one = |word: &str| {
        json!({"image": BUSYBOX, "services": {"web": {"image": BUSYBOX, "ready": {"port": 80},
            "command": format!("sh -c 'echo {word} > index.html; exec httpd -f -p 80'")}},
            "steps": [{"run": "wget -qO- http://web/index.html"}]})
    };
    let ran = Repo::jobs(json!({"a": one("first"), "b": one("second")})).json(&["-j", "2"]).run();
    ran.exits(0);
    assert_eq!((ran.said("a", 1).trim(), ran.said("b", 1).trim()), ("first", "second"));
}

/// FAULTS 1 and 2, for services.
#[test]
fn services_do_not_outlive_argon_whatever_way_it_ends() {
    let services = json!({"db": {"image": REDIS}});
    let engine = Engine::shared();
    for signal in [Signal::KILL, Signal::INT] {
        let repo = job(services.clone(), "echo up; sleep 60");
        let mut running = repo.plain(&[]).spawn();
        running.wait_for("up\n");
        assert_eq!(running.containers().len(), 2);
        let began = Instant::now();
        running.signal(signal);
        // `end` sees to it that no container is left after 1.5 s.
        let ended = running.end();
        assert!(began.elapsed() < Duration::from_secs(5), "{signal:?}: {:?}", began.elapsed());
        let left = engine.made_by(ended.pid);
        if signal == Signal::INT {
            assert_eq!(left, Vec::<String>::new());
            continue;
        }
        // The network that a killed one leaves goes with the next sweep; with that of another test, maybe, already.
        assert!(left.len() <= 1, "{left:?}");
        repo.argon(&["clean"]).run().exits(0);
        assert_eq!(engine.made_by(ended.pid), Vec::<String>::new());
    }
}

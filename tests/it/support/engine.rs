//! A look at the engine, past argon: which containers there are, and an engine of a test's own.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{BUSYBOX, NONROOT, NOSETSID, NOSHELL, PYTHON};

/// A container engine.
#[derive(Debug, Clone)]
pub(crate) struct Engine(Option<String>);

impl Engine {
    /// The one that all tests share.
    pub(crate) fn shared() -> Self {
        Self(None)
    }

    /// Its DOCKER_HOST, where it is not the usual one.
    pub(crate) fn host(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Fails the test where the engine does not answer, or lacks the images.
    pub(crate) fn ready(&self) {
        static SHARED: OnceLock<Result<(), String>> = OnceLock::new();
        if self.0.is_some() {
            return;
        }
        let looked = SHARED.get_or_init(|| {
            self.try_docker(&["image", "inspect", "-f", "-", BUSYBOX, PYTHON, NONROOT, NOSHELL, NOSETSID]).map(drop)
        });
        if let Err(error) = looked {
            panic!("these tests need an engine and its test images; run `make engine images`\n{error}");
        }
    }

    /// `docker ARGS`; gives what it printed.
    pub(crate) fn docker(&self, args: &[&str]) -> String {
        self.try_docker(args).unwrap_or_else(|error| panic!("docker {args:?}: {error}"))
    }

    fn try_docker(&self, args: &[&str]) -> Result<String, String> {
        let mut command = Command::new("docker");
        if let Some(host) = self.host() {
            command.env("DOCKER_HOST", host);
        }
        let output = command.args(args).output().map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// The ids of the containers that the argon process with this pid made. Tests run side by side: others' do not count.
    pub(crate) fn containers_of(&self, pid: u32) -> Vec<String> {
        let format = "{{.ID}} {{.Label \"dev.argon.owner\"}}";
        let all = self.docker(&["ps", "-a", "--no-trunc", "--filter", "label=dev.argon.owner", "--format", format]);
        let of_pid = |line: &&str| line.split('/').nth(3) == Some(&pid.to_string());
        all.lines().filter(of_pid).filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    }

    /// The networks and volumes that the argon process with this pid made and that are there now: `network NAME`, or `volume NAME
    /// PURPOSE`.
    pub(crate) fn made_by(&self, pid: u32) -> Vec<String> {
        let owned = ["--filter", "label=dev.argon.owner", "--format"];
        let network = "{{.Label \"dev.argon.owner\"}} network {{.Name}}";
        let volume = "{{.Label \"dev.argon.owner\"}} volume {{.Name}} {{.Label \"dev.argon.volume\"}}";
        let all = [
            self.docker(&[&["network", "ls"], owned.as_slice(), &[network]].concat()),
            self.docker(&[&["volume", "ls"], owned.as_slice(), &[volume]].concat()),
        ];
        let of_pid = |line: &&str| line.split('/').nth(3) == Some(&pid.to_string());
        let lines = all.iter().flat_map(|text| text.lines()).filter(of_pid);
        lines.filter_map(|line| line.split_once(' ')).map(|(_, what)| what.to_owned()).collect()
    }

    /// Nothing of that process is left, after this time at the latest.
    pub(crate) fn nothing_left(&self, pid: u32, within: Duration) {
        let began = Instant::now();
        loop {
            // Time first: what is seen gone in a look that began in time was gone in time.
            let late = began.elapsed() > within;
            let left = self.containers_of(pid);
            if left.is_empty() {
                return;
            }
            assert!(!late, "left on the engine after {:?}: {left:?}", began.elapsed());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A dockerd of the test's own, in namespaces of its own. Its containers need `network: none`.
pub(crate) struct PrivateEngine {
    folder: TempDir,
    dockerd: String,
    pub(crate) engine: Engine,
}

impl PrivateEngine {
    /// Starts one that has the usual image, with these options of `dev/private-engine start`. Needs root.
    pub(crate) fn start(options: &[&str]) -> Self {
        Engine::shared().ready();
        let folder = tempfile::Builder::new().prefix("argon-pe-").tempdir().unwrap();
        let path = folder.path().display().to_string();
        let said = script(&[&["start", &path, "--image", BUSYBOX], options].concat());
        let value = |name: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name} in: {said}")).to_owned()
        };
        Self { dockerd: value("DOCKERD_PID="), engine: Engine(Some(value("DOCKER_HOST="))), folder }
    }

    /// Sends a signal to the daemon.
    pub(crate) fn signal(&self, signal: &str) {
        send(signal, &self.dockerd);
    }

    /// Lets the daemon go on that was sent a STOP. The nsenter above it stops and goes on with it, but only stops by itself.
    pub(crate) fn resume(&self) {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.dockerd)).unwrap();
        let parent = stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap();
        send("CONT", parent);
        send("CONT", &self.dockerd);
    }

    /// Starts the daemon again, among what survived it.
    pub(crate) fn restart(&mut self) {
        let said = script(&["restart", &self.folder.path().display().to_string()]);
        self.dockerd = said.lines().find_map(|line| line.strip_prefix("DOCKERD_PID=")).unwrap().to_owned();
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        script(&["stop", &self.folder.path().display().to_string()]);
    }
}

fn send(signal: &str, pid: &str) {
    let sent = Command::new("kill").args(["-s", signal, pid]).status().unwrap();
    assert!(sent.success(), "kill -s {signal} {pid}");
}

fn script(args: &[&str]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("dev/private-engine");
    let output = Command::new(path).args(args).output().unwrap();
    assert!(output.status.success(), "dev/private-engine {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

//! The binary, as a user runs it: an environment of its own, its output as it comes, its end, and nothing left after it.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::Engine;

/// No run of a test takes longer; one that does hangs.
const HANGS: Duration = Duration::from_secs(45);

/// How long what argon made may outlive it.
const LEFTOVERS: Duration = Duration::from_millis(1500);

/// A command that was not started yet.
pub(crate) struct Argon {
    command: Command,
    engine: Engine,
    reads: Reads,
}

/// How much of its standard output is read.
#[derive(Debug, Clone, Copy)]
enum Reads {
    All,
    /// One piece; then the pipe is closed.
    Little,
    /// Nothing, and the pipe stays open.
    Nothing,
}

impl Argon {
    pub(super) fn new(folder: &Path, home: &Path, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_argon"));
        let kept = ["PATH", "DOCKER_HOST", "LLVM_PROFILE_FILE"];
        let kept = kept
            .into_iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)));
        command
            .args(args)
            .current_dir(folder)
            .env_clear()
            .envs(kept.collect::<Vec<(&str, OsString)>>())
            .env("HOME", home)
            .env("XDG_STATE_HOME", home.join("state"))
            .env("XDG_CACHE_HOME", home.join("cache"))
            .env("XDG_CONFIG_HOME", home.join("config"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self {
            command,
            engine: Engine::shared(),
            reads: Reads::All,
        }
    }

    /// Adds arguments.
    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }

    /// Sets a variable of argon's own environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Reads the first of its output and goes away, as `head -1` does.
    pub(crate) fn read_little(mut self) -> Self {
        self.reads = Reads::Little;
        self
    }

    /// Reads none of its output, as a terminal does that was stopped.
    pub(crate) fn read_nothing(mut self) -> Self {
        self.reads = Reads::Nothing;
        self
    }

    /// Uses this engine.
    pub(crate) fn engine(mut self, engine: &Engine) -> Self {
        self.engine = engine.clone();
        match engine.host() {
            Some(host) => self.env("DOCKER_HOST", host),
            None => self,
        }
    }

    /// Starts it where no engine is needed, as none answers.
    pub(crate) fn without_engine(self) -> Ended {
        self.env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
            .start()
            .wait()
    }

    /// Starts it.
    pub(crate) fn spawn(self) -> Running {
        self.engine.ready();
        self.start()
    }

    /// Runs it to its end, and sees to it that nothing of it is left on the engine.
    pub(crate) fn run(self) -> Ended {
        self.spawn().end()
    }

    fn start(mut self) -> Running {
        let mut child = self.command.spawn().unwrap();
        Running {
            stdout: Pipe::read(child.stdout.take().unwrap(), self.reads),
            stderr: Pipe::read(child.stderr.take().unwrap(), Reads::All),
            began: Instant::now(),
            engine: self.engine,
            child,
        }
    }
}

/// One of its two streams, read as it comes.
struct Pipe {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
    /// Dropped when the command has ended.
    runs: mpsc::Sender<()>,
}

impl Pipe {
    fn read(mut from: impl Read + Send + 'static, reads: Reads) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let into = bytes.clone();
        let (runs, ended) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            if matches!(reads, Reads::Nothing) {
                let _ = ended.recv();
                return;
            }
            let mut piece = vec![0; 64 * 1024];
            while let Ok(read @ 1..) = from.read(&mut piece) {
                into.lock().unwrap().extend_from_slice(&piece[..read]);
                if matches!(reads, Reads::Little) {
                    return;
                }
            }
        });
        Self {
            bytes,
            reader,
            runs,
        }
    }

    fn holds(&self, text: &str) -> bool {
        memchr::memmem::find(&self.bytes.lock().unwrap(), text.as_bytes()).is_some()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    fn into_bytes(self) -> Vec<u8> {
        drop(self.runs);
        self.reader.join().unwrap();
        std::mem::take(&mut self.bytes.lock().unwrap())
    }
}

/// A command that runs.
pub(crate) struct Running {
    child: Child,
    stdout: Pipe,
    stderr: Pipe,
    engine: Engine,
    began: Instant,
}

impl Running {
    /// Waits until its standard output has this text.
    pub(crate) fn wait_for(&mut self, text: &str) -> &mut Self {
        let began = Instant::now();
        while !self.stdout.holds(text) {
            let ended = self.child.try_wait().unwrap();
            let late = began.elapsed() > HANGS;
            if (ended.is_some() || late) && !self.stdout.holds(text) {
                let _ = self.child.kill();
                panic!(
                    "`{text}` never came (ended: {ended:?})\n{}\n{}",
                    self.stdout.text(),
                    self.stderr.text()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self
    }

    /// Waits until it has a container that runs.
    pub(crate) fn wait_for_container(&mut self) -> &mut Self {
        let began = Instant::now();
        while self.containers().is_empty() {
            assert!(began.elapsed() < HANGS, "no container ever ran");
        }
        self
    }

    /// Sends it a signal.
    pub(crate) fn signal(&mut self, signal: Signal) -> &mut Self {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        self
    }

    /// The ids of its containers that are on the engine now.
    pub(crate) fn containers(&self) -> Vec<String> {
        self.engine.containers_of(self.child.id())
    }

    /// Waits for its end; what it left is not looked at.
    pub(crate) fn wait(mut self) -> Ended {
        let began = Instant::now();
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if began.elapsed() > HANGS => {
                    let _ = self.child.kill();
                    panic!("it hangs\n{}\n{}", self.stdout.text(), self.stderr.text());
                }
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        let took = self.began.elapsed();
        Ended {
            status,
            took,
            after_last_look: began.elapsed(),
            pid: self.child.id(),
            stdout: self.stdout.into_bytes(),
            stderr: self.stderr.into_bytes(),
        }
    }

    /// Waits for its end, and sees to it that nothing of it is left on the engine.
    pub(crate) fn end(self) -> Ended {
        let engine = self.engine.clone();
        let ended = self.wait();
        engine.nothing_left(ended.pid, LEFTOVERS);
        ended
    }
}

/// A command that ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    /// From its start to its end.
    pub(crate) took: Duration,
    /// From the call of `wait` or `end` to its end.
    pub(crate) after_last_look: Duration,
    pub(crate) pid: u32,
}

impl Ended {
    /// Standard output and standard error as one text.
    pub(crate) fn text(&self) -> String {
        format!(
            "{}{}",
            String::from_utf8_lossy(&self.stdout),
            String::from_utf8_lossy(&self.stderr)
        )
    }

    /// It ended with this exit code, and did not panic.
    pub(crate) fn exits(&self, code: i32) -> &Self {
        let text = self.text();
        let seen = (self.status.code(), self.status.signal());
        assert_eq!(
            seen,
            (Some(code), None),
            "{}",
            &text[..text.floor_char_boundary(20_000)]
        );
        assert!(!text.contains("panicked"), "{text}");
        self
    }

    /// It said this.
    pub(crate) fn says(&self, words: &str) -> &Self {
        assert!(
            self.text().contains(words),
            "it did not say `{words}`:\n{}",
            self.text()
        );
        self
    }

    /// It never said this.
    pub(crate) fn never_says(&self, words: &str) -> &Self {
        assert!(
            !self.text().contains(words),
            "it said `{words}`:\n{}",
            self.text()
        );
        self
    }

    /// Its JSON events.
    pub(crate) fn events(&self) -> Vec<Value> {
        let lines = self
            .stdout
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        lines
            .map(|line| {
                serde_json::from_slice(line)
                    .unwrap_or_else(|_| panic!("no JSON: {}", String::from_utf8_lossy(line)))
            })
            .collect()
    }

    /// Its events of this type.
    pub(crate) fn all(&self, kind: &str) -> Vec<Value> {
        self.events()
            .into_iter()
            .filter(|event| event["type"] == kind)
            .collect()
    }

    /// How a job ended. It ended exactly once.
    pub(crate) fn job(&self, job: &str) -> Value {
        only(
            self.all("job.finished")
                .into_iter()
                .filter(|event| event["job"] == job)
                .collect(),
            job,
        )
    }

    /// How a step ended (the first is 1). It ended exactly once.
    pub(crate) fn step(&self, job: &str, step: u64) -> Value {
        let of_step = |event: &Value| event["job"] == job && event["step"] == step;
        only(
            self.all("step.finished")
                .into_iter()
                .filter(of_step)
                .collect(),
            job,
        )
    }

    /// How the run ended. It ended exactly once.
    pub(crate) fn run(&self) -> Value {
        only(self.all("run.finished"), "the run")
    }

    /// The bytes that a step of a job wrote to a stream.
    pub(crate) fn log(&self, job: &str, step: u64, stream: &str) -> Vec<u8> {
        let here = |event: &Value| {
            event["job"] == job && event["step"] == step && event["stream"] == stream
        };
        let bytes = |event: &Value| match (event["text"].as_str(), event["base64"].as_str()) {
            (Some(text), None) => text.as_bytes().to_vec(),
            (None, Some(coded)) => BASE64_STANDARD.decode(coded).unwrap(),
            _ => panic!("neither text nor bytes: {event}"),
        };
        self.all("log")
            .iter()
            .filter(|event| here(event))
            .flat_map(bytes)
            .collect()
    }

    /// What the step wrote to its standard output, as text; the only step of a `Repo::script`, say.
    pub(crate) fn said(&self, job: &str, step: u64) -> String {
        String::from_utf8(self.log(job, step, "stdout")).unwrap()
    }
}

fn only(mut events: Vec<Value>, what: &str) -> Value {
    assert_eq!(events.len(), 1, "{what} ends exactly once: {events:#?}");
    events.swap_remove(0)
}

//! The binary, as a user runs it: an environment of its own, its output as it comes, its end, and nothing left after it.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Ended, Engine};

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
        let kept = kept.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
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
        Self { command, engine: Engine::shared(), reads: Reads::All }
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
        self.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").start().wait()
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
            child: Ends(child),
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
        Self { bytes, reader, runs }
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
    child: Ends,
    stdout: Pipe,
    stderr: Pipe,
    engine: Engine,
    began: Instant,
}

/// A child that does not outlive a test that fails.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

impl Running {
    /// Waits until its standard output has this text.
    pub(crate) fn wait_for(&mut self, text: &str) -> &mut Self {
        let began = Instant::now();
        while !self.stdout.holds(text) {
            let ended = self.child.0.try_wait().unwrap();
            let late = began.elapsed() > HANGS;
            if (ended.is_some() || late) && !self.stdout.holds(text) {
                let _ = self.child.0.kill();
                panic!("`{text}` never came (ended: {ended:?})\n{}\n{}", self.stdout.text(), self.stderr.text());
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

    /// What it printed so far.
    #[cfg(feature = "listen")]
    pub(crate) fn printed(&self) -> String {
        self.stdout.text()
    }

    /// What it told so far: its standard error.
    #[cfg(feature = "listen")]
    pub(crate) fn told(&self) -> String {
        self.stderr.text()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&mut self, signal: Signal) -> &mut Self {
        kill_process(Pid::from_child(&self.child.0), signal).unwrap();
        self
    }

    /// The networks and volumes that it made and that are on the engine now.
    pub(crate) fn made(&self) -> Vec<String> {
        self.engine.made_by(self.child.0.id())
    }

    /// The ids of its containers that are on the engine now.
    pub(crate) fn containers(&self) -> Vec<String> {
        self.engine.containers_of(self.child.0.id())
    }

    /// Waits for its end; what it left is not looked at.
    pub(crate) fn wait(mut self) -> Ended {
        let began = Instant::now();
        let status = loop {
            match self.child.0.try_wait().unwrap() {
                Some(status) => break status,
                None if began.elapsed() > HANGS => {
                    let _ = self.child.0.kill();
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
            pid: self.child.0.id(),
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

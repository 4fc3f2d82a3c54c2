//! A scripted engine for tests: plays containers that speak the supervisor's protocol, without an engine.
//!
//! Which steps do what is told by their scripts, in words of its own: `say TEXT`, `flood N` (says N lines), `exit CODE`, `hang` (until killed),
//! `ignore-term` (dies of KILL alone), `vanish` (the container ends in mid-step), `hand FILE LINE` (leaves a line in the file
//! that `ARGON_OUTPUT` and the like name: `output`, `env`, `path`, `summary`), `show NAME` (says the value of a variable),
//! `fail-first N` (ends with 1 the first N times that this script is run, in whatever container), `vanish-first N` (the same, with
//! the container's end).
//! Everything else succeeds in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, DuplexStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    BuildSpec, Building, BuiltImage, Chunk, ContainerEnd, ContainerId, ContainerSpec, Engine, EngineError, EngineInfo,
    ExecEnd, Image, Labels, NetworkSpec, OwnedContainer, OwnedNetwork, OwnedVolume, Purpose, Session, TarStream,
    VolumeSpec,
};
use crate::event::{PullEvent, Stream};

/// The scripted engine. Images are there unless their name begins with `missing`; those that begin with `gone` cannot be
/// pulled either, and those that begin with `late` at the first time. The first start of a container of an image whose name
/// begins with `initless` fails for want of an init. A build of the stage `broken` fails.
#[derive(Debug, Clone, Default)]
pub struct Fake(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    containers: Vec<(ContainerId, CancellationToken)>,
    pulled: BTreeSet<String>,
    pulls: usize,
    /// The names of images that were built, in the order of their naming.
    built: Vec<String>,
    builds: usize,
    made: usize,
    most_at_once: usize,
    /// Volumes that an earlier run left. One whose name begins with `stuck` cannot be removed.
    left: Vec<OwnedVolume>,
    /// Containers by what others on their network call them.
    named: Vec<(String, ContainerId)>,
    most_of_a_name: usize,
    /// The container whose start is refused, and whether one was.
    refuses: Option<ContainerId>,
    refused_start: bool,
    /// How often each script was run.
    runs: BTreeMap<String, usize>,
}

impl Fake {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Containers that are on it now.
    pub fn containers(&self) -> usize {
        self.with(|state| state.containers.len())
    }

    /// Pulls that it was asked for.
    pub fn pulls(&self) -> usize {
        self.with(|state| state.pulls)
    }

    /// Images that it built.
    pub fn builds(&self) -> usize {
        self.with(|state| state.builds)
    }

    /// Containers that it ever made.
    pub fn made(&self) -> usize {
        self.with(|state| state.made)
    }

    /// The most containers that it had at one time.
    pub fn most_at_once(&self) -> usize {
        self.with(|state| state.most_at_once)
    }

    /// The most containers that had one name at one time.
    pub fn most_of_a_name(&self) -> usize {
        self.with(|state| state.most_of_a_name)
    }

    /// Has a volume on it that a run of this owner left.
    pub fn leave_volume(&self, name: &str, owner: &str) {
        let labels = Labels { run: String::new(), job: String::new(), owner: owner.to_owned() };
        let (name, mountpoint, purpose) = (name.to_owned(), format!("/volumes/{name}"), Purpose::Run);
        self.with(|state| state.left.push(OwnedVolume { name, mountpoint, purpose, labels }));
    }

    fn drop_container(&self, id: &ContainerId) {
        self.with(|state| {
            state.containers.retain(|(known, token)| {
                let same = known == id;
                if same {
                    token.cancel();
                }
                !same
            });
        });
    }
}

impl Engine for Fake {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        Ok(EngineInfo { product: "Fake".into(), platform: "linux/amd64".into(), ..EngineInfo::default() })
    }

    async fn image(&self, image: &str) -> Result<Option<Image>, EngineError> {
        let there = !["missing", "gone", "late", "argon-built"].iter().any(|head| image.starts_with(head))
            || self.with(|state| state.pulled.contains(image) || state.built.iter().any(|name| name == image));
        Ok(there.then(|| Image {
            name: image.to_owned(),
            id: format!("sha256:{image}"),
            platform: Some("linux/amd64".into()),
            ..Image::default()
        }))
    }

    async fn pull(&self, image: &str, progress: mpsc::Sender<PullEvent>) -> Result<Image, EngineError> {
        let _ = progress.send(PullEvent::Started).await;
        let pulls = self.with(|state| {
            state.pulls += 1;
            state.pulls
        });
        if image.starts_with("late") && pulls == 1 {
            return Err(EngineError::Registry { image: image.to_owned(), detail: "503".into() });
        }
        if image.starts_with("gone") {
            return Err(EngineError::ImageNotFound { image: image.to_owned(), detail: "manifest unknown".into() });
        }
        self.with(|state| state.pulled.insert(image.to_owned()));
        self.image(image).await?.ok_or_else(|| EngineError::ImageMissing { image: image.to_owned() })
    }

    async fn build(
        &self,
        spec: &BuildSpec,
        mut context: TarStream,
        progress: mpsc::Sender<Building>,
    ) -> Result<String, EngineError> {
        let sent = tokio::io::copy(&mut context, &mut tokio::io::sink()).await;
        sent.map_err(|error| EngineError::Connection(error.to_string()))?;
        let _ = progress.send(Building::Step { name: format!("[1/1] {}", spec.dockerfile), cached: false }).await;
        let _ = progress.send(Building::Log(Bytes::from_static(b"built\n"))).await;
        if spec.target.as_deref() == Some("broken") {
            return Err(EngineError::BuildFailed { message: "`[1/1] RUN false` failed: exit code: 1".to_owned() });
        }
        self.with(|state| state.builds += 1);
        Ok(format!("sha256:built-{}", spec.scope))
    }

    async fn name_image(&self, _: &str, name: &str) -> Result<(), EngineError> {
        self.with(|state| state.built.push(name.to_owned()));
        Ok(())
    }

    async fn remove_image(&self, name: &str) -> Result<(), EngineError> {
        self.with(|state| state.built.retain(|known| known != name));
        Ok(())
    }

    async fn built_images(&self) -> Result<Vec<BuiltImage>, EngineError> {
        let names = self.with(|state| state.built.clone());
        Ok(names.into_iter().rev().map(|name| BuiltImage { name, scope: String::new(), bytes: 1 }).collect())
    }

    async fn some_image(&self) -> Result<Option<String>, EngineError> {
        Ok(Some("box:1".to_owned()))
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<Session, EngineError> {
        let token = CancellationToken::new();
        let id = self.with(|state| {
            state.made += 1;
            let id = ContainerId(format!("fake-{}", state.made));
            state.containers.push((id.clone(), token.clone()));
            if spec.image.starts_with("initless") && !state.refused_start {
                state.refuses = Some(id.clone());
            }
            for alias in &spec.aliases {
                state.named.push((alias.clone(), id.clone()));
            }
            let here = |id: &ContainerId| state.containers.iter().any(|(known, _)| known == id);
            for (alias, _) in &state.named {
                let at_once = state.named.iter().filter(|(other, id)| other == alias && here(id)).count();
                state.most_of_a_name = state.most_of_a_name.max(at_once);
            }
            state.most_at_once = state.most_at_once.max(state.containers.len());
            id
        });
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (output, receiver) = mpsc::channel(64);
        let (engine, container) = (self.clone(), id.clone());
        tokio::spawn(async move {
            let mut supervisor = Supervisor {
                input: BufReader::new(theirs),
                output,
                nonce: String::new(),
                script: String::new(),
                launch: String::new(),
                engine: engine.clone(),
            };
            tokio::select! {
                _ = supervisor.play() => {}
                () = token.cancelled() => {}
            }
            drop(supervisor);
            engine.drop_container(&container);
        });
        let output =
            futures_util::stream::unfold(receiver, async |mut receiver| Some((Ok(receiver.recv().await?), receiver)));
        Ok(Session { id, stdin: Box::pin(ours), output: Box::pin(output) })
    }

    async fn start(&self, id: &ContainerId) -> Result<(), EngineError> {
        if self.with(|state| state.refuses.as_ref() == Some(id)) {
            // What starts beside it is there by then.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            self.with(|state| (state.refuses, state.refused_start) = (None, true));
            return Err(EngineError::InitMissing);
        }
        Ok(())
    }

    async fn upload(&self, _: &ContainerId, _: &str, mut tar: TarStream) -> Result<(), EngineError> {
        let copied = tokio::io::copy(&mut tar, &mut tokio::io::sink()).await;
        copied.map(|_| ()).map_err(|error| EngineError::Connection(error.to_string()))
    }

    async fn read_file(&self, _: &ContainerId, path: &str) -> Result<Vec<u8>, EngineError> {
        Err(EngineError::Refused { status: 404, message: format!("no {path}") })
    }

    async fn removed(&self, container: &ContainerId) -> Result<ContainerEnd, EngineError> {
        while self.with(|state| state.containers.iter().any(|(id, _)| id == container)) {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        Ok(ContainerEnd { exit_code: Some(137) })
    }

    async fn remove(&self, container: &ContainerId) -> Result<(), EngineError> {
        self.drop_container(container);
        Ok(())
    }

    async fn exec(&self, _: &ContainerId, _: &[String]) -> Result<ExecEnd, EngineError> {
        Ok(ExecEnd { code: 0, output: Vec::new() })
    }

    async fn create_network(&self, _: &NetworkSpec) -> Result<(), EngineError> {
        Ok(())
    }

    async fn remove_network(&self, _: &str) -> Result<(), EngineError> {
        Ok(())
    }

    async fn owned_networks(&self) -> Result<Vec<OwnedNetwork>, EngineError> {
        Ok(Vec::new())
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<String, EngineError> {
        Ok(format!("/volumes/{}", spec.name))
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        if name.starts_with("stuck") {
            return Err(EngineError::Refused { status: 409, message: "volume is in use".to_owned() });
        }
        self.with(|state| state.left.retain(|volume| volume.name != name));
        Ok(())
    }

    async fn volume_sizes(&self) -> Result<BTreeMap<String, u64>, EngineError> {
        Ok(BTreeMap::new())
    }

    async fn download(&self, _: &ContainerId, path: &str) -> Result<TarStream, EngineError> {
        Err(EngineError::PathMissing { path: path.to_owned() })
    }

    async fn owned_volumes(&self) -> Result<Vec<OwnedVolume>, EngineError> {
        Ok(self.with(|state| state.left.clone()))
    }

    async fn owned(&self) -> Result<Vec<OwnedContainer>, EngineError> {
        Ok(Vec::new())
    }
}

/// The other end of the protocol (see `execute::supervisor`).
struct Supervisor {
    input: BufReader<DuplexStream>,
    output: mpsc::Sender<Chunk>,
    nonce: String,
    script: String,
    /// The lines that set the step's variables.
    launch: String,
    engine: Fake,
}

impl Supervisor {
    /// Plays until its input ends or a script says `vanish`.
    async fn play(&mut self) -> Option<()> {
        self.nonce = self.line().await?;
        self.report("ready tar 0 0").await?;
        loop {
            let line = self.line().await?;
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["put", file] => {
                    let content = self.content().await?;
                    if file.ends_with(".script") {
                        self.script = content;
                    } else {
                        self.launch = content;
                    }
                }
                ["run", id] => self.step(id).await?,
                ["unpack", _] => self.unpack().await?,
                _ => {}
            }
        }
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.input.read_line(&mut line).await.ok()?;
        (read > 0).then(|| line.trim_end_matches('\n').to_owned())
    }

    async fn content(&mut self) -> Option<String> {
        let mut content = String::new();
        loop {
            let line = self.line().await?;
            if line == self.nonce {
                return Some(content);
            }
            content.push_str(&line);
            content.push('\n');
        }
    }

    async fn unpack(&mut self) -> Option<()> {
        loop {
            let length: usize = self.line().await?.parse().ok()?;
            if length == 0 {
                return self.report("unpacked 0").await;
            }
            self.input.read_exact(&mut vec![0; length]).await.ok()?;
        }
    }

    async fn step(&mut self, id: &str) -> Option<()> {
        let script = std::mem::take(&mut self.script);
        let times = self.engine.with(|state| {
            let times = state.runs.entry(script.clone()).or_default();
            *times += 1;
            *times
        });
        let mut code = 0;
        let mut hands = Vec::new();
        for line in script.lines() {
            match line.split_once(' ').unwrap_or((line, "")) {
                ("say", text) => self.say(format!("{text}\n")).await?,
                ("flood", lines) => {
                    for line in 0..lines.parse::<usize>().ok()? {
                        self.say(format!("{line}\n")).await?;
                    }
                }
                ("exit", number) => code = number.parse().ok()?,
                ("hang", _) => code = self.wait_for(&["TERM", "KILL"]).await?,
                ("ignore-term", _) => code = self.wait_for(&["KILL"]).await?,
                ("hand", text) => hands.push(text.split_once(' ').unwrap_or((text, ""))),
                ("show", name) => self.say(format!("{name}={}\n", self.variable(name))).await?,
                ("vanish", _) => return None,
                ("fail-first", most) if times <= most.parse().ok()? => code = 1,
                ("vanish-first", most) if times <= most.parse().ok()? => return None,
                _ => {}
            }
        }
        for (file, line) in hands {
            let frame = format!("\u{1e}{} data {id} {file} {}\n{line}\n", self.nonce, line.len() + 1);
            self.say(frame).await?;
        }
        self.report(&format!("end {id} {code} - 0 0 0")).await
    }

    /// The value of a variable that the step was given; its last one, without quotes.
    fn variable(&self, name: &str) -> String {
        let prefix = format!("export {name}=");
        let value = self.launch.lines().filter_map(|line| line.strip_prefix(&prefix)).next_back().unwrap_or("");
        value.replace('\'', "")
    }

    /// Waits for one of these signals; gives the exit code that it makes.
    async fn wait_for(&mut self, signals: &[&str]) -> Option<i32> {
        loop {
            let line = self.line().await?;
            if let ["kill", signal, _] = line.split(' ').collect::<Vec<_>>()[..]
                && signals.contains(&signal)
            {
                return Some(if signal == "KILL" { 137 } else { 143 });
            }
        }
    }

    async fn say(&self, text: String) -> Option<()> {
        self.output.send(Chunk { stream: Stream::Stdout, bytes: Bytes::from(text) }).await.ok()
    }

    async fn report(&self, words: &str) -> Option<()> {
        let text = format!("\u{1e}{} {words}\n", self.nonce);
        self.output.send(Chunk { stream: Stream::Stderr, bytes: Bytes::from(text.clone()) }).await.ok()?;
        self.say(text).await
    }
}

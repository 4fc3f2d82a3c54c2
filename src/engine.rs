//! The narrow trait to a container engine, and the plain data that crosses it.
//!
//! Two engines stand behind it: [`docker`] (Docker and Podman over their HTTP API) and [`fake`] (scripted, for tests).
//! It is kept narrow so that an engine without a daemon can be the third.

pub mod docker;
mod error;
pub mod fake;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

pub use self::error::EngineError;
use crate::event::{self, PullEvent};

/// A container's id, as the engine gives it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContainerId(pub String);

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Facts of an image that is on the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// What the engine is asked for it by.
    pub name: String,
    /// The content's id (`sha256:…`).
    pub id: String,
    /// `os/architecture` it was built for.
    pub platform: Option<String>,
    /// The user its containers run as, as the image says: empty, a name or a number, with or without a group.
    pub user: String,
    /// Its entrypoint.
    pub entrypoint: Vec<String>,
    /// Its command: the arguments of the entrypoint, or the program itself.
    pub command: Vec<String>,
    /// Its HEALTHCHECK.
    pub health: Option<HealthCheck>,
    /// The TCP ports that it exposes, the lowest first.
    pub ports: Vec<u16>,
}

/// An image's HEALTHCHECK. How often it is asked is the engine's business, and how often in a row it may be unwell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// How it asks.
    pub asks: Health,
    /// How long it may take to answer, where that is said.
    pub timeout: Option<Duration>,
    /// How long it may be unwell after its start, where that is said.
    pub start_period: Option<Duration>,
}

/// How an image's HEALTHCHECK asks. It is well when that ends with 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// A line for the shell.
    Shell(String),
    /// A program and its arguments.
    Program(Vec<String>),
}

/// Facts of the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineInfo {
    /// `Docker`, `Podman`.
    pub product: String,
    /// Its version.
    pub version: String,
    /// The API version agreed on.
    pub api_version: String,
    /// `os/architecture` of its containers.
    pub platform: String,
    /// Where it answers.
    pub endpoint: String,
    /// Its storage driver.
    pub storage_driver: String,
    /// `1` or `2`.
    pub cgroup_version: String,
    /// It runs without root.
    pub rootless: bool,
    /// It has an init for containers (`--init`).
    pub init: bool,
    /// Usable CPUs.
    pub cpus: u64,
    /// Memory in bytes.
    pub memory: u64,
}

/// What bounds a job's container.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// CPUs, in billionths.
    pub nano_cpus: Option<i64>,
    /// Memory in bytes; swap is not given on top.
    pub memory: Option<i64>,
    /// Processes and threads.
    pub pids: i64,
}

/// Whether a job's container reaches the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// The engine's default bridge.
    Bridge,
    /// The engine's network of this name.
    Named(String),
    /// None but loopback.
    None,
}

/// What a container may beyond the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Privileges {
    /// Nothing.
    #[default]
    Sandbox,
    /// These capabilities, without `CAP_`.
    Capabilities(Vec<String>),
    /// All that the engine's host may do.
    Privileged,
}

/// Who owns what Argon makes on an engine, as labels on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// `dev.argon.run`: the run.
    pub run: String,
    /// `dev.argon.job`: the job.
    pub job: String,
    /// `dev.argon.owner`: the argon process (pid, its start, boot id).
    pub owner: String,
}

/// A container: of a job, or of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerSpec {
    /// The image, present on the engine.
    pub image: String,
    /// The user to run as; the image's where not said.
    pub user: Option<String>,
    /// The program and its arguments, in place of the image's entrypoint and command.
    pub command: Vec<String>,
    /// Variables. Whoever may look at containers sees them: what is secret has no place here.
    pub env: Vec<(String, String)>,
    /// The working directory, made where missing; the image's where not said.
    pub working_directory: Option<String>,
    /// A directory in memory, writable by all, for scripts and environments.
    pub scratch: Option<String>,
    /// Directories in memory.
    pub tmpfs: Vec<String>,
    /// Volumes, and where they are in it.
    pub mounts: Vec<Mount>,
    /// Bounds.
    pub limits: Limits,
    /// Network.
    pub network: Network,
    /// What it may beyond the sandbox.
    pub privileges: Privileges,
    /// Owner.
    pub labels: Labels,
    /// The container's host name.
    pub hostname: String,
    /// What others on its network call it, besides.
    pub aliases: Vec<String>,
}

/// A volume in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The volume's name.
    pub volume: String,
    /// The directory that it is at: absolute, made where missing.
    pub target: String,
}

/// A volume to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSpec {
    /// Its name, unlike any other.
    pub name: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Layers of other volumes that it shows; none for an empty volume.
    pub layers: Option<Layers>,
    /// Who made it.
    pub labels: Labels,
}

/// What a volume is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// One run. It goes with it.
    Run,
    /// A snapshot of the source tree of this key, for all runs to come.
    Base(String),
    /// A cache of this scope, for all runs to come.
    Cache(String),
}

/// Directories on the engine's machine that a volume shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layers {
    /// One, as it is.
    Bind(String),
    /// Several, over one another, to be read alone; the topmost first.
    Stack(Vec<String>),
    /// Several, over one another (<https://docs.kernel.org/filesystems/overlayfs.html>).
    Overlay {
        /// Read alone, the topmost first.
        lower: Vec<String>,
        /// Where what is written goes.
        upper: String,
        /// Empty, on the file system of `upper`.
        work: String,
    },
}

/// A volume of Argon's on the engine, whoever made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedVolume {
    /// Its name.
    pub name: String,
    /// Where it is on the engine's machine.
    pub mountpoint: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Who made it.
    pub labels: Labels,
}

/// A network of a job and its services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSpec {
    /// Its name, unlike any other.
    pub name: String,
    /// Whether it leads anywhere else.
    pub reach: Reach,
    /// The name of its bridge on the engine's machine; the engine's choice where not said.
    pub bridge: Option<String>,
    /// Owner.
    pub labels: Labels,
}

/// Where a network leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Wherever the engine's default bridge does.
    Outside,
    /// Nowhere: its containers reach one another.
    Inside,
}

/// How the names of images begin that Argon built.
pub const BUILT: &str = "argon-built:";

/// An image to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSpec {
    /// The Dockerfile, by its path in the context.
    pub dockerfile: String,
    /// The stage; the last one where not said.
    pub target: Option<String>,
    /// Build arguments.
    pub args: Vec<(String, String)>,
    /// What its instructions may reach.
    pub network: Network,
    /// Whether the builder may take what it has of an earlier build.
    pub layers: LayerCache,
    /// `dev.argon.image`: whose image it is, among those of Argon's.
    pub scope: String,
}

/// Whether a builder may take what it has of an earlier build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerCache {
    /// It may.
    Used,
    /// All is done anew.
    Ignored,
}

/// What a builder says while it builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Building {
    /// An instruction begins.
    Step {
        /// Its place and its words: `[2/3] RUN make`.
        name: String,
        /// Its result is there from before.
        cached: bool,
    },
    /// A piece of what an instruction prints.
    Log(Bytes),
}

/// An image that Argon built, by one of its names, or by its id where it has none any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltImage {
    /// The name, or the id.
    pub name: String,
    /// Whose it is.
    pub scope: String,
    /// Bytes of its layers. Images share layers: the sum of several is more than they take.
    pub bytes: u64,
}

/// How a program in a container ended that was started beside its first one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecEnd {
    /// Its exit code.
    pub code: i64,
    /// The end of what it wrote.
    pub output: Vec<u8>,
}

/// A piece of what a container writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Which stream.
    pub stream: event::Stream,
    /// The bytes, as written.
    pub bytes: Bytes,
}

/// What a container writes, as it comes.
pub type Output = Pin<Box<dyn Stream<Item = Result<Chunk, EngineError>> + Send>>;

/// The streams of an attached container.
pub struct Session {
    /// The container.
    pub id: ContainerId,
    /// Its standard input. When this is dropped, or argon dies, the engine closes it in the container.
    pub stdin: Pin<Box<dyn AsyncWrite + Send>>,
    /// What it writes. Ends when the container ends.
    pub output: Output,
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContainerEnd {
    /// Exit code of its first process, where the engine still knew it.
    pub exit_code: Option<i64>,
}

/// A container of Argon's on the engine, whoever made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedContainer {
    /// The container.
    pub id: ContainerId,
    /// Its labels.
    pub labels: Labels,
    /// It runs now.
    pub running: bool,
}

/// A network of Argon's on the engine, whoever made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedNetwork {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
}

/// A tar archive as a stream of bytes.
pub type TarStream = Pin<Box<dyn AsyncRead + Send>>;

/// A container engine.
pub trait Engine: Send + Sync + 'static {
    /// Facts of the engine.
    fn info(&self) -> impl Future<Output = Result<EngineInfo, EngineError>> + Send;

    /// The image, where the engine has it.
    fn image(&self, image: &str) -> impl Future<Output = Result<Option<Image>, EngineError>> + Send;

    /// Pulls the image, and tells how it goes. Retries what a retry can mend. Dropping the future ends the pull.
    /// Sends neither [`PullEvent::Finished`] nor [`PullEvent::Failed`]: the caller does.
    fn pull(
        &self,
        image: &str,
        progress: mpsc::Sender<PullEvent>,
    ) -> impl Future<Output = Result<Image, EngineError>> + Send;

    /// Builds an image from a context, a tar archive, and tells how it goes; gives its id. Dropping the future ends the build.
    fn build(
        &self,
        spec: &BuildSpec,
        context: TarStream,
        progress: mpsc::Sender<Building>,
    ) -> impl Future<Output = Result<String, EngineError>> + Send;

    /// Gives an image a name, also one that another image had.
    fn name_image(&self, image: &str, name: &str) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Takes a name from an image; what has no name any more goes, where no container has it. A name that is gone already is no
    /// error.
    fn remove_image(&self, name: &str) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// The names of all images that Argon built, the latest named first.
    fn built_images(&self) -> impl Future<Output = Result<Vec<BuiltImage>, EngineError>> + Send;

    /// Some image that the engine has, whatever it is: for a container that never runs.
    fn some_image(&self) -> impl Future<Output = Result<Option<String>, EngineError>> + Send;

    /// Makes a container and attaches to it. It does not run yet.
    fn create(&self, spec: &ContainerSpec) -> impl Future<Output = Result<Session, EngineError>> + Send;

    /// Runs it.
    fn start(&self, container: &ContainerId) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Unpacks a tar archive below `directory` of the container, which may run or not.
    fn upload(
        &self,
        container: &ContainerId,
        directory: &str,
        tar: TarStream,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Reads one regular file (up to 1 MiB) of the container.
    fn read_file(
        &self,
        container: &ContainerId,
        path: &str,
    ) -> impl Future<Output = Result<Vec<u8>, EngineError>> + Send;

    /// Resolves when the container is gone from the engine.
    fn removed(&self, container: &ContainerId) -> impl Future<Output = Result<ContainerEnd, EngineError>> + Send;

    /// Kills and removes the container. One that is gone already is no error.
    fn remove(&self, container: &ContainerId) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Runs a program in a container beside its first one, and waits for its end.
    fn exec(
        &self,
        container: &ContainerId,
        command: &[String],
    ) -> impl Future<Output = Result<ExecEnd, EngineError>> + Send;

    /// Makes a network.
    fn create_network(&self, spec: &NetworkSpec) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Removes a network. One that is gone already is no error.
    fn remove_network(&self, name: &str) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// All networks with an owner.
    fn owned_networks(&self) -> impl Future<Output = Result<Vec<OwnedNetwork>, EngineError>> + Send;

    /// Makes a volume; gives where it is on the engine's machine.
    fn create_volume(&self, spec: &VolumeSpec) -> impl Future<Output = Result<String, EngineError>> + Send;

    /// Removes a volume. One that is gone already is no error; one that a container has is.
    fn remove_volume(&self, name: &str) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Bytes in each volume of the engine, by name. Takes as long as counting them does.
    fn volume_sizes(&self) -> impl Future<Output = Result<BTreeMap<String, u64>, EngineError>> + Send;

    /// A path of a container, which may run or not, as a tar archive; below `PATH/.`, what is in that directory.
    fn download(
        &self,
        container: &ContainerId,
        path: &str,
    ) -> impl Future<Output = Result<TarStream, EngineError>> + Send;

    /// All volumes of Argon's.
    fn owned_volumes(&self) -> impl Future<Output = Result<Vec<OwnedVolume>, EngineError>> + Send;

    /// All containers with Argon's labels.
    fn owned(&self) -> impl Future<Output = Result<Vec<OwnedContainer>, EngineError>> + Send;
}

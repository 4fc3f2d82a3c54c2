//! What an engine can fail at, and what people can do about it.

use std::path::PathBuf;
use std::time::Duration;

/// What an engine can fail at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Nothing answers at any of the places that were tried.
    #[error("no container engine answers")]
    Unreachable {
        /// Each place, and what happened there.
        tried: Vec<(String, String)>,
    },
    /// The socket is there, and this user may not use it.
    #[error("permission denied on {}", socket.display())]
    PermissionDenied {
        /// The socket.
        socket: PathBuf,
    },
    /// DOCKER_HOST or the current context says what Argon cannot use.
    #[error("cannot use the engine address `{address}`: {reason}")]
    Address {
        /// The address.
        address: String,
        /// Why not.
        reason: String,
    },
    /// The image is not on the engine, and may not be (or could not be) pulled.
    #[error("image `{image}` is not on the engine")]
    ImageMissing {
        /// The image.
        image: String,
    },
    /// The registry knows no such image, or shows it only to those who are logged in.
    #[error("image `{image}` does not exist in its registry, or needs a login")]
    ImageNotFound {
        /// The image.
        image: String,
        /// The registry's own words.
        detail: String,
    },
    /// The registry wants (other) credentials.
    #[error("the registry refused the credentials for `{image}`")]
    Unauthorized {
        /// The image.
        image: String,
        /// The registry's own words.
        detail: String,
    },
    /// The registry says: too many requests.
    #[error("the registry of `{image}` allows no more pulls now (429)")]
    RateLimited {
        /// The image.
        image: String,
        /// The registry's own words.
        detail: String,
    },
    /// The registry answers with an error of its own, or not at all.
    #[error("the registry of `{image}` cannot be used: {detail}")]
    Registry {
        /// The image.
        image: String,
        /// What happened.
        detail: String,
    },
    /// No layer moved for this long.
    #[error("the pull of `{image}` stalled: no progress for {} s", waited.as_secs())]
    PullStalled {
        /// The image.
        image: String,
        /// How long nothing moved.
        waited: Duration,
    },
    /// A build's own work failed: an instruction ended with an error, or there is none of it to be made sense of.
    #[error("{message}")]
    BuildFailed {
        /// The builder's words.
        message: String,
    },
    /// A program that the engine was asked to start is not in the image.
    #[error("`{program}` is not in the image `{image}`")]
    ProgramMissing {
        /// The program.
        program: String,
        /// The image.
        image: String,
    },
    /// The engine has no init for containers. It remembers: a container made after this does without, so make another.
    #[error("the engine has no init for containers")]
    InitMissing,
    /// The engine cannot mount a volume that shows layers of others. It remembers: a volume made after this is laid in the plainest
    /// way, so make another.
    #[error("the engine cannot lay volumes over one another: {message}")]
    LayersRefused {
        /// Its words.
        message: String,
    },
    /// A volume's place in the container is no directory.
    #[error("a volume cannot be mounted where something else than a folder is: {message}")]
    NoFolder {
        /// Its words.
        message: String,
    },
    /// The engine's disk is full.
    #[error("the engine's disk is full: {detail}")]
    DiskFull {
        /// The engine's own words.
        detail: String,
    },
    /// The container is gone.
    #[error("the container is gone")]
    Gone,
    /// The container has no such file or folder.
    #[error("the container has no `{path}`")]
    PathMissing {
        /// What was asked for.
        path: String,
    },
    /// The engine answered with an error.
    #[error("the engine said: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// The connection to the engine broke.
    #[error("the connection to the engine broke: {0}")]
    Connection(String),
}

impl EngineError {
    /// What to do about it, where something can be done.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Unreachable { tried } => {
                let tried: Vec<String> = tried.iter().map(|(place, what)| format!("  {place}: {what}")).collect();
                format!("start Docker or Podman, or point DOCKER_HOST at one. Tried:\n{}", tried.join("\n"))
            }
            Self::PermissionDenied { .. } => {
                "add yourself to the group `docker` (`sudo usermod -aG docker $USER`, then log in again), or use rootless Docker or Podman".into()
            }
            Self::Address { .. } => "set DOCKER_HOST to unix:///PATH or tcp://HOST:PORT, or choose another `docker context`".into(),
            Self::ImageMissing { image } => format!("pull it: `docker pull {image}`, or run with `--pull missing`"),
            Self::ImageNotFound { image, detail } => {
                format!("check the name and the tag of `{image}`; for a private one log in: `docker login REGISTRY`. The registry said: {detail}")
            }
            Self::Unauthorized { detail, .. } => format!("log in with `docker login REGISTRY`. The registry said: {detail}"),
            Self::RateLimited { .. } => "wait, log in with `docker login`, or use what the engine has: `--pull never`".into(),
            Self::Registry { .. } => "check the network and the registry; `--pull never` uses what the engine has".into(),
            Self::PullStalled { .. } => "check the network, then run again; finished layers are kept".into(),
            Self::InitMissing => "install the engine's init (Debian: `tini`)".into(),
            Self::BuildFailed { .. } | Self::LayersRefused { .. } => return None,
            Self::NoFolder { .. } => "name a folder, or a path where nothing is yet".into(),
            Self::ProgramMissing { .. } => "use an image that has it".into(),
            Self::DiskFull { .. } => "make room: `argon clean --workspaces --cache --images` removes what Argon keeps there, `docker system df` shows what else there is".into(),
            Self::Gone => "it was removed from outside, or the engine restarted; run again".into(),
            Self::Connection(_) => "did the engine stop or restart? `argon doctor` tells; then run again".into(),
            Self::PathMissing { .. } | Self::Refused { .. } => return None,
        };
        Some(text)
    }
}

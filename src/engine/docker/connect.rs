//! Finds the engine that the user means, and agrees with it on a version of the API.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, ClientVersion};
use hyper::header::HeaderValue;
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Uri};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::Docker;
use super::build::Builder;
use super::endpoint::{self, Endpoint, WireError};
use crate::engine::EngineError;

/// How long the search may take before it is given up.
const SEARCH: Duration = Duration::from_millis(1800);
/// How long one of several places may take.
const ONE_PLACE: Duration = Duration::from_millis(900);
/// No request is cut by bollard: waits, attaches and uploads may last as long as a job. What must end is timed here.
const REQUEST_SECONDS: u64 = 7 * 24 * 60 * 60;
/// How long a pull may stand still.
const STALL: Duration = Duration::from_secs(120);
/// What an engine that tells no version is spoken to in.
const OLDEST: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };

/// What of the user's environment decides which engine is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineEnv {
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub docker_context: Option<String>,
    /// `DOCKER_TLS_VERIFY` is set, to anything.
    pub docker_tls_verify: bool,
    /// `DOCKER_CONFIG`, a directory.
    pub docker_config: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
    /// The user's number.
    pub uid: u32,
}

impl EngineEnv {
    /// The environment of this process.
    pub fn from_process() -> Self {
        let text = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
        let path = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        Self {
            docker_host: text("DOCKER_HOST"),
            docker_context: text("DOCKER_CONTEXT"),
            docker_tls_verify: text("DOCKER_TLS_VERIFY").is_some(),
            docker_config: path("DOCKER_CONFIG"),
            home: path("HOME"),
            runtime_dir: path("XDG_RUNTIME_DIR"),
            uid: rustix::process::getuid().as_raw(),
        }
    }

    /// The directory of Docker's own configuration.
    pub(super) fn config_dir(&self) -> Option<PathBuf> {
        self.docker_config.clone().or_else(|| Some(self.home.as_ref()?.join(".docker")))
    }
}

/// Where to look.
#[derive(Debug, PartialEq, Eq)]
enum Places {
    /// The user named this one: no other will do.
    Named(Endpoint),
    /// The first of these that answers.
    Usual(Vec<Endpoint>),
}

/// Connects to the engine that the environment names, else to the first of the usual ones that answers.
///
/// Gives up within two seconds. In the good case it costs one connection and one round trip.
pub async fn connect(env: &EngineEnv) -> Result<Docker, EngineError> {
    let deadline = Instant::now() + SEARCH;
    match places(env)? {
        Places::Named(endpoint) => match probe(&endpoint, deadline).await {
            Ok(answer) => client(env, endpoint, answer),
            Err(failure) => Err(failure.named(&endpoint)),
        },
        Places::Usual(endpoints) => first(env, endpoints, deadline).await,
    }
}

async fn first(env: &EngineEnv, endpoints: Vec<Endpoint>, deadline: Instant) -> Result<Docker, EngineError> {
    let mut tried = Vec::new();
    let mut denied = None;
    for endpoint in endpoints {
        match probe(&endpoint, deadline.min(Instant::now() + ONE_PLACE)).await {
            Ok(answer) => return client(env, endpoint, answer),
            Err(failure) => {
                if let (Failure::Denied, Endpoint::Unix(path)) = (&failure, &endpoint) {
                    denied.get_or_insert_with(|| path.clone());
                }
                tried.push((endpoint.to_string(), failure.to_string()));
            }
        }
    }
    Err(denied.map_or(EngineError::Unreachable { tried }, |socket| EngineError::PermissionDenied { socket }))
}

/// Why a place is not it.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no such socket")]
    Absent,
    #[error("permission denied")]
    Denied,
    #[error("a socket, but nobody listens: the engine is not running")]
    Refused,
    #[error("connected, but no answer")]
    Silent,
    #[error("not a container engine: {0}")]
    Stranger(String),
    #[error("{0}")]
    Other(String),
}

impl Failure {
    fn named(self, endpoint: &Endpoint) -> EngineError {
        match (self, endpoint) {
            (Self::Denied, Endpoint::Unix(socket)) => EngineError::PermissionDenied { socket: socket.clone() },
            (failure, endpoint) => {
                EngineError::Unreachable { tried: vec![(endpoint.to_string(), failure.to_string())] }
            }
        }
    }
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Io(e) => match e.kind() {
                ErrorKind::NotFound => Self::Absent,
                ErrorKind::PermissionDenied => Self::Denied,
                ErrorKind::ConnectionRefused => Self::Refused,
                _ => Self::Other(e.to_string()),
            },
            WireError::Protocol(_) | WireError::Http(_) => Self::Stranger(error.to_string()),
        }
    }
}

/// What an engine says of itself when it is looked for.
#[derive(Debug, Clone, Copy)]
struct Answer {
    version: ClientVersion,
    builder: Builder,
}

/// Asks `/_ping`, which is the cheapest question there is: `/version` has Docker run two programs first.
async fn probe(endpoint: &Endpoint, deadline: Instant) -> Result<Answer, Failure> {
    let asked = timeout_at(deadline, endpoint::request(endpoint, Method::GET, "/_ping"));
    let response = asked.await.map_err(|_| Failure::Silent)??;
    if !response.status().is_success() {
        return Err(Failure::Stranger(format!("it answers a ping with {}", response.status())));
    }
    // Podman says so in a header of its own, and builds with Buildah.
    let builder =
        if response.headers().contains_key("libpod-api-version") { Builder::Classic } else { Builder::BuildKit };
    let Some(theirs) = response.headers().get("api-version") else {
        return Ok(Answer { version: OLDEST, builder });
    };
    let theirs = theirs
        .to_str()
        .ok()
        .and_then(version)
        .ok_or_else(|| Failure::Stranger("it tells no API version".to_owned()))?;
    let version = if theirs < *API_DEFAULT_VERSION { theirs } else { *API_DEFAULT_VERSION };
    Ok(Answer { version, builder })
}

fn version(text: &str) -> Option<ClientVersion> {
    let (major, minor) = text.split_once('.')?;
    Some(ClientVersion { major_version: major.parse().ok()?, minor_version: minor.parse().ok()? })
}

fn client(env: &EngineEnv, endpoint: Endpoint, answer: Answer) -> Result<Docker, EngineError> {
    let Answer { version, builder } = answer;
    let client = match &endpoint {
        Endpoint::Unix(path) => bollard::Docker::connect_with_unix(&path.to_string_lossy(), REQUEST_SECONDS, &version),
        Endpoint::Tcp(address) => bollard::Docker::connect_with_http(address, REQUEST_SECONDS, &version),
    };
    let client = client.map_err(|e| EngineError::Unreachable { tried: vec![(endpoint.to_string(), e.to_string())] })?;
    let prefix = format!("/v{version}");
    let client = client.with_request_modifier(move |mut request| {
        if let Some(uri) = versioned(request.uri(), &prefix) {
            *request.uri_mut() = uri;
        }
        if let Some(value) = request.headers().get(REGISTRY_AUTH).and_then(url_safe) {
            request.headers_mut().insert(REGISTRY_AUTH, value);
        }
        request
    });
    Ok(Docker {
        client,
        endpoint,
        version,
        builder,
        config_dir: env.config_dir(),
        no_init: Arc::new(AtomicBool::new(false)),
        no_redirects: Arc::new(AtomicBool::new(false)),
        stall: STALL,
    })
}

/// Puts the API version in front of a request's path: bollard 0.21 leaves it out, and an engine then answers in its
/// newest version, which may be newer than bollard's types.
fn versioned(uri: &Uri, prefix: &str) -> Option<Uri> {
    let path = uri.path_and_query()?.as_str();
    if path.starts_with(prefix) {
        return None;
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(format!("{prefix}{path}")).ok()?);
    Uri::from_parts(parts).ok()
}

const REGISTRY_AUTH: &str = "x-registry-auth";

/// Engines read credentials in the URL-safe alphabet of base64, and pull anonymously when they cannot; bollard 0.21
/// writes the other alphabet.
fn url_safe(value: &HeaderValue) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&value.to_str().ok()?.replace('+', "-").replace('/', "_")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn places(env: &EngineEnv) -> Result<Places, EngineError> {
    if let Some(address) = &env.docker_host {
        let endpoint = Endpoint::parse(address)?;
        return match endpoint {
            Endpoint::Tcp(_) if env.docker_tls_verify => Err(endpoint::tls(address)),
            endpoint => Ok(Places::Named(endpoint)),
        };
    }
    match context_name(env) {
        Some(name) => context(env, &name).map(Places::Named),
        None => Ok(Places::Usual(usual(env))),
    }
}

/// The sockets that engines are found at, Docker's before Podman's, the system's before the user's.
fn usual(env: &EngineEnv) -> Vec<Endpoint> {
    let runtime = env.runtime_dir.clone().unwrap_or_else(|| PathBuf::from(format!("/run/user/{}", env.uid)));
    let mut paths = vec![PathBuf::from("/var/run/docker.sock"), runtime.join("docker.sock")];
    paths.extend(env.home.as_ref().map(|home| home.join(".docker/run/docker.sock")));
    paths.extend([runtime.join("podman/podman.sock"), PathBuf::from("/run/podman/podman.sock")]);
    paths.into_iter().map(Endpoint::Unix).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigFile {
    current_context: Option<String>,
}

/// The context in force, where it is not the default one.
fn context_name(env: &EngineEnv) -> Option<String> {
    let from_file = || {
        let text = fs::read(env.config_dir()?.join("config.json")).ok()?;
        serde_json::from_slice::<ConfigFile>(&text).ok()?.current_context
    };
    env.docker_context.clone().or_else(from_file).filter(|name| !name.is_empty() && name != "default")
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    name: String,
    #[serde(default)]
    endpoints: Endpoints,
}

#[derive(Default, Deserialize)]
struct Endpoints {
    docker: Option<MetaEndpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetaEndpoint {
    host: Option<String>,
}

/// The endpoint of a docker context. Its directory is named by a hash of its name; looking into each saves the hash.
fn context(env: &EngineEnv, name: &str) -> Result<Endpoint, EngineError> {
    let cannot = |reason: String| EngineError::Address { address: format!("docker context {name}"), reason };
    let contexts = env.config_dir().map(|dir| dir.join("contexts")).unwrap_or_default();
    let found = metas(&contexts.join("meta"));
    let Some((directory, meta)) = found.iter().find(|(_, meta)| meta.name == name) else {
        let known = found.iter().map(|(_, meta)| meta.name.as_str());
        return Err(cannot(unknown_context(name, known)));
    };
    let host = meta.endpoints.docker.as_ref().and_then(|e| e.host.as_deref());
    let host = host.ok_or_else(|| cannot("it names no Docker endpoint".to_owned()))?;
    let tls = contexts.join("tls").join(directory).join("docker").is_dir();
    match Endpoint::parse(host)? {
        Endpoint::Tcp(_) if tls || env.docker_tls_verify => Err(endpoint::tls(host)),
        endpoint => Ok(endpoint),
    }
}

fn unknown_context<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let near = known.map(|k| (strsim::jaro_winkler(k, name), k)).filter(|(score, _)| *score > 0.8);
    match near.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((_, near)) => format!("there is no such context; did you mean `{near}`? (`docker context ls` lists them)"),
        None => "there is no such context (`docker context ls` lists them, `docker context use default` goes back)"
            .to_owned(),
    }
}

fn metas(directory: &Path) -> Vec<(PathBuf, Meta)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let read = |entry: fs::DirEntry| {
        let text = fs::read(entry.path().join("meta.json")).ok()?;
        Some((PathBuf::from(entry.file_name()), serde_json::from_slice(&text).ok()?))
    };
    entries.filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io;

    /// A Docker configuration with the contexts `remote`, `secure` (with TLS) and `empty`, of which `current` is in force.
    fn config(current: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("config.json"), format!(r#"{{"currentContext":"{current}"}}"#)).unwrap();
        for (hash, meta) in [
            (
                "aa",
                r#"{"Name":"remote","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///remote.sock","SkipTLSVerify":false}}}"#,
            ),
            ("bb", r#"{"Name":"secure","Endpoints":{"docker":{"Host":"tcp://engine:2376"}}}"#),
            ("cc", r#"{"Name":"empty"}"#),
            ("dd", "not JSON"),
        ] {
            let meta_dir = directory.path().join("contexts/meta").join(hash);
            fs::create_dir_all(&meta_dir).unwrap();
            fs::write(meta_dir.join("meta.json"), meta).unwrap();
        }
        fs::create_dir_all(directory.path().join("contexts/tls/bb/docker")).unwrap();
        directory
    }

    fn named(path: &str) -> Places {
        Places::Named(Endpoint::Unix(path.into()))
    }

    #[test]
    fn the_host_comes_before_the_context_and_that_before_the_usual_places() {
        let config = config("remote");
        let env = EngineEnv { docker_config: Some(config.path().to_owned()), ..EngineEnv::default() };
        assert_eq!(places(&env).unwrap(), named("/remote.sock"));
        let host = EngineEnv { docker_host: Some("unix:///host.sock".to_owned()), ..env.clone() };
        assert_eq!(places(&host).unwrap(), named("/host.sock"));
        let default = EngineEnv { docker_context: Some("default".to_owned()), uid: 7, ..env };
        let Places::Usual(usual) = places(&default).unwrap() else { panic!() };
        let usual: Vec<_> = usual.iter().map(ToString::to_string).collect();
        let docker = ["unix:///var/run/docker.sock", "unix:///run/user/7/docker.sock"];
        let podman = ["unix:///run/user/7/podman/podman.sock", "unix:///run/podman/podman.sock"];
        assert_eq!(usual, [docker, podman].concat());
    }

    #[test]
    fn a_context_that_cannot_be_used_says_why() {
        let config = config("");
        for (name, says) in [
            ("remots", "did you mean `remote`?"),
            ("x", "docker context ls"),
            ("secure", "TLS"),
            ("empty", "no Docker endpoint"),
        ] {
            let env = EngineEnv {
                docker_config: Some(config.path().to_owned()),
                docker_context: Some(name.to_owned()),
                ..EngineEnv::default()
            };
            let error = places(&env).unwrap_err().to_string();
            assert!(error.contains(says), "{name}: {error}");
        }
        let tls =
            EngineEnv { docker_host: Some("tcp://e:1".to_owned()), docker_tls_verify: true, ..EngineEnv::default() };
        assert!(places(&tls).unwrap_err().to_string().contains("TLS"));
    }

    #[test]
    fn a_forbidden_socket_is_told_from_a_missing_one() {
        let endpoint = Endpoint::Unix("/s".into());
        let error = |kind| Failure::from(WireError::Io(io::Error::from(kind))).named(&endpoint);
        assert_eq!(error(ErrorKind::PermissionDenied), EngineError::PermissionDenied { socket: "/s".into() });
        for (kind, says) in [(ErrorKind::NotFound, "no such socket"), (ErrorKind::ConnectionRefused, "not running")] {
            let EngineError::Unreachable { tried } = error(kind) else { panic!() };
            assert!(tried[0].0 == "unix:///s" && tried[0].1.contains(says), "{tried:?}");
        }
    }

    #[test]
    fn requests_carry_the_version_once() {
        let path = |uri: &str| versioned(&uri.parse().unwrap(), "/v1.41").map(|uri| uri.to_string());
        assert_eq!(path("unix://2f/images/json?a=b").unwrap(), "unix://2f/v1.41/images/json?a=b");
        assert_eq!(path("http://e:1/v1.41/info"), None);
    }
}

//! Builds images: with BuildKit where the engine has it, else with the builder that every engine has.
//!
//! The request is our own. bollard speaks to BuildKit through a session, a gRPC server in the client that the engine asks for
//! files and logins: 27 crates more, a connection that nobody closes. A context in the request's body needs no session, and
//! the images that a build begins from are pulled before, by [`pull`](super::pull), with the user's logins. What BuildKit
//! says of its progress comes as `StatusResponse` messages of its control API in base64
//! (<https://github.com/moby/buildkit/blob/master/api/services/control/control.proto>).

use std::collections::{BTreeMap, HashSet};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bollard::query_parameters::{ListImagesOptions, RemoveImageOptions, TagImageOptions};
use bytes::Bytes;
use futures_util::TryStreamExt;
use http_body_util::BodyExt;
use prost::Message;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;

use super::{Docker, endpoint, error};
use crate::engine::{BUILT, BuildSpec, Building, BuiltImage, EngineError, LayerCache, Network, TarStream};

/// Whose image it is, among those that Argon built.
const LABEL_SCOPE: &str = "dev.argon.image";

/// What builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Builder {
    /// Docker's newer one, which runs what does not depend on one another side by side.
    BuildKit,
    /// Docker's older one, and Podman's.
    Classic,
}

/// Builds an image; gives its id. Dropping the future closes the connection, which makes the engine stop.
pub(super) async fn build(
    docker: &Docker,
    spec: &BuildSpec,
    context: TarStream,
    progress: &mpsc::Sender<Building>,
) -> Result<String, EngineError> {
    // BuildKit knows no networks but its own, the host's and none.
    let builder = if let Network::Named(_) = spec.network { Builder::Classic } else { docker.builder };
    let path = format!("/v{}/build?{}", docker.version, query(spec, builder));
    let response = endpoint::post_tar(&docker.endpoint, &path, context).await?;
    let status = response.status();
    if !status.is_success() {
        let message = endpoint::message(response).await;
        // A Dockerfile that cannot be read is refused before anything is built.
        return Err(match (status.as_u16(), error::refused(status.as_u16(), message)) {
            (400, EngineError::Refused { message, .. }) => EngineError::BuildFailed { message },
            (_, error) => error,
        });
    }
    let body = response.into_body().into_data_stream().map_err(std::io::Error::other);
    let mut lines = BufReader::new(StreamReader::new(body)).split(b'\n');
    let mut listener = Listener::default();
    while let Some(line) = lines.next_segment().await.map_err(|error| EngineError::Connection(error.to_string()))? {
        for said in listener.hear(&line)? {
            // Progress that nobody listens to any more is no reason to end the build.
            let _ = progress.send(said).await;
        }
    }
    listener.id.ok_or_else(|| EngineError::Connection("the build ended without an image".to_owned()))
}

/// The parameters of `POST /build` (<https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Image/operation/ImageBuild>).
fn query(spec: &BuildSpec, builder: Builder) -> String {
    let args: BTreeMap<&str, &str> = spec.args.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let json = |map: BTreeMap<&str, &str>| serde_json::to_string(&map).unwrap_or_default();
    let mut parameters = vec![
        ("dockerfile", spec.dockerfile.clone()),
        ("rm", "1".to_owned()),
        // Containers of a build that fails or is given up go, too.
        ("forcerm", "1".to_owned()),
        ("labels", json(BTreeMap::from([(LABEL_SCOPE, spec.scope.as_str())]))),
        ("buildargs", json(args)),
    ];
    parameters.extend(spec.target.clone().map(|target| ("target", target)));
    if builder == Builder::BuildKit {
        parameters.push(("version", "2".to_owned()));
    }
    if spec.layers == LayerCache::Ignored {
        parameters.push(("nocache", "1".to_owned()));
    }
    match &spec.network {
        Network::Bridge => {}
        Network::Named(name) => parameters.push(("networkmode", name.clone())),
        Network::None => parameters.push(("networkmode", "none".to_owned())),
    }
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

/// A line of what the engine says while it builds.
#[derive(Deserialize)]
struct Line {
    id: Option<String>,
    stream: Option<String>,
    error: Option<String>,
    #[serde(default)]
    aux: serde_json::Value,
}

/// What was heard of a build.
#[derive(Default)]
struct Listener {
    id: Option<String>,
    /// The instructions of BuildKit that were told, by their digests.
    told: HashSet<String>,
    /// Those that failed, with why: the last word of the engine tells no instruction.
    failed: Option<(String, String)>,
}

impl Listener {
    fn hear(&mut self, line: &[u8]) -> Result<Vec<Building>, EngineError> {
        // Words that are not understood say nothing of whether the build goes well; its end does.
        let Ok(line) = serde_json::from_slice::<Line>(line) else { return Ok(Vec::new()) };
        if let Some(message) = line.error {
            return Err(self.failure(message));
        }
        if let Some(id) = line.aux["ID"].as_str() {
            self.id = Some(id.to_owned());
        }
        match (line.id.as_deref(), line.aux.as_str(), line.stream) {
            (Some("moby.buildkit.trace"), Some(text), _) => {
                let status = BASE64_STANDARD.decode(text).ok().and_then(|bytes| Status::decode(&bytes[..]).ok());
                Ok(status.map(|status| self.trace(status)).unwrap_or_default())
            }
            (_, _, Some(words)) => Ok(classic(&words).into_iter().collect()),
            _ => Ok(Vec::new()),
        }
    }

    fn trace(&mut self, status: Status) -> Vec<Building> {
        let mut said = Vec::new();
        for vertex in status.vertexes {
            if !vertex.error.is_empty() && self.failed.is_none() {
                self.failed = Some((vertex.name.clone(), vertex.error));
            }
            let is_own = vertex.name.starts_with('[') && !vertex.name.starts_with("[internal]");
            if is_own && (vertex.started.is_some() || vertex.cached) && self.told.insert(vertex.digest) {
                said.push(Building::Step { name: vertex.name, cached: vertex.cached });
            }
        }
        said.extend(status.logs.into_iter().map(|log| Building::Log(Bytes::from(log.msg))));
        said
    }

    fn failure(&mut self, message: String) -> EngineError {
        let full = error::refused(500, message);
        let EngineError::Refused { message, .. } = full else { return full };
        let message = match self.failed.take() {
            Some((name, why)) => format!("`{name}` failed: {}", ended(plain(&why))),
            None => plain(&message).to_owned(),
        };
        EngineError::BuildFailed { message }
    }
}

/// The builder's words without the layers that they came through.
fn plain(message: &str) -> &str {
    let heads =
        ["rpc error: code = Unknown desc = ", "failed to solve: ", "failed to solve with frontend dockerfile.v0: "];
    heads.iter().find_map(|head| message.strip_prefix(head)).map_or(message, plain).trim_end()
}

/// How an instruction ended. Where that is an exit code, the instruction need not be told once more.
fn ended(why: &str) -> String {
    match why.rsplit_once("exit code: ") {
        Some((_, code)) if code.bytes().all(|byte| byte.is_ascii_digit()) => format!("exit code {code}"),
        _ => why.to_owned(),
    }
}

/// What the older builder says: `Step 2/3 : RUN make`, and output.
fn classic(words: &str) -> Option<Building> {
    let step = ["Step ", "STEP "].iter().find_map(|head| words.strip_prefix(head));
    // Docker puts ` : ` between, Podman `: `.
    let step = step.and_then(|rest| rest.split_once(':')).filter(|(number, _)| number.contains('/'));
    match step {
        Some((number, rest)) => {
            Some(Building::Step { name: format!("[{}] {}", number.trim(), rest.trim()), cached: false })
        }
        None if words.trim().is_empty() || is_chatter(words) => None,
        None => Some(Building::Log(Bytes::from(words.to_owned()))),
    }
}

/// What the older builder says of its own doing.
fn is_chatter(words: &str) -> bool {
    let words = words.trim_start();
    [
        " ---> ",
        "---> ",
        "--> ",
        "Removing intermediate container",
        "Successfully built",
        "Successfully tagged",
        "COMMIT",
    ]
    .iter()
    .any(|head| words.starts_with(head))
}

/// Gives an image a name.
pub(super) async fn name(docker: &Docker, image: &str, name: &str) -> Result<(), EngineError> {
    let (repo, tag) = name.split_once(':').unwrap_or((name, "latest"));
    let options = TagImageOptions { repo: Some(repo.to_owned()), tag: Some(tag.to_owned()) };
    Ok(docker.client.tag_image(image, Some(options)).await?)
}

/// Takes a name away.
pub(super) async fn remove(docker: &Docker, name: &str) -> Result<(), EngineError> {
    match docker.client.remove_image(name, None::<RemoveImageOptions>, None).await {
        Err(refusal) if !error::is_not_found(&refusal) => Err(refusal.into()),
        _ => Ok(()),
    }
}

/// All names of images that Argon built.
pub(super) async fn built(docker: &Docker) -> Result<Vec<BuiltImage>, EngineError> {
    let filters = [("label".to_owned(), vec![LABEL_SCOPE.to_owned()])].into();
    let options = ListImagesOptions { filters: Some(filters), ..ListImagesOptions::default() };
    let mut found = Vec::new();
    for image in docker.client.list_images(Some(options)).await? {
        let Some(scope) = image.labels.get(LABEL_SCOPE) else { continue };
        let facts = match docker.client.inspect_image(&image.id).await {
            Err(refusal) if error::is_not_found(&refusal) => continue,
            facts => facts?,
        };
        let named = facts.metadata.and_then(|metadata| metadata.last_tag_time);
        let bytes = u64::try_from(image.size).unwrap_or_default();
        for name in names(image.repo_tags, &image.id) {
            let built = BuiltImage { name, scope: scope.clone(), bytes };
            found.push((named.clone().and_then(|time| time.parse::<jiff::Timestamp>().ok()), built));
        }
    }
    found.sort_by_key(|(named, _)| std::cmp::Reverse(*named));
    Ok(found.into_iter().map(|(_, image)| image).collect())
}

/// What an image that Argon built can be removed by: its names of Argon's; of one without any name, as its own went to another, its
/// id. Other names are somebody else's.
fn names(tags: Vec<String>, id: &str) -> Vec<String> {
    let tags: Vec<String> = tags.into_iter().filter(|tag| tag != "<none>:<none>").collect();
    if tags.is_empty() {
        return vec![id.to_owned()];
    }
    let own = tags.iter().map(|tag| tag.trim_start_matches("localhost/")).filter(|tag| tag.starts_with(BUILT));
    own.map(str::to_owned).collect()
}

/// `moby.buildkit.v1.StatusResponse`, as far as it is read.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(message, repeated, tag = "1")]
    vertexes: Vec<Vertex>,
    #[prost(message, repeated, tag = "3")]
    logs: Vec<VertexLog>,
}

#[derive(Clone, PartialEq, Message)]
struct Vertex {
    #[prost(string, tag = "1")]
    digest: String,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(bool, tag = "4")]
    cached: bool,
    #[prost(message, optional, tag = "5")]
    started: Option<Empty>,
    #[prost(string, tag = "7")]
    error: String,
}

#[derive(Clone, PartialEq, Message)]
struct VertexLog {
    #[prost(bytes = "vec", tag = "4")]
    msg: Vec<u8>,
}

/// A message that counts by being there.
#[derive(Clone, PartialEq, Message)]
struct Empty {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn spec() -> BuildSpec {
        BuildSpec {
            dockerfile: "ci/Dockerfile".to_owned(),
            target: Some("test".to_owned()),
            args: vec![("A".to_owned(), "1 & 2".to_owned()), ("A".to_owned(), "3".to_owned())],
            network: Network::Bridge,
            layers: LayerCache::Used,
            scope: "k".to_owned(),
        }
    }

    #[test]
    fn a_build_is_asked_for() {
        let query = query(&spec(), Builder::BuildKit);
        assert_eq!(
            query,
            "dockerfile=ci%2FDockerfile&rm=1&forcerm=1&labels=%7B%22dev.argon.image%22%3A%22k%22%7D&buildargs=%7B%22A%22%3A%223%22%7D&target=test&version=2"
        );
        let closed = BuildSpec { network: Network::Named("inner".to_owned()), layers: LayerCache::Ignored, ..spec() };
        assert!(super::query(&closed, Builder::Classic).ends_with("&target=test&nocache=1&networkmode=inner"));
    }

    #[test]
    fn a_name_that_somebody_else_gave_is_not_ours_to_take() {
        let of = |tags: &[&str]| names(tags.iter().map(ToString::to_string).collect(), "sha256:1");
        assert_eq!(of(&["argon-built:a", "me/app:1", "localhost/argon-built:b"]), ["argon-built:a", "argon-built:b"]);
        assert_eq!(of(&["me/app:1"]), Vec::<String>::new());
        // Older engines and newer ones.
        assert_eq!(of(&["<none>:<none>"]), ["sha256:1"]);
        assert_eq!(of(&[]), ["sha256:1"]);
    }

    #[test]
    fn what_buildkit_says_is_understood() {
        let vertex = |name: &str, cached, started, error: &str| Vertex {
            digest: format!("sha256:{name}"),
            name: name.to_owned(),
            cached,
            started,
            error: error.to_owned(),
        };
        let line = |status: Status| {
            format!("{{\"id\":\"moby.buildkit.trace\",\"aux\":\"{}\"}}", BASE64_STANDARD.encode(status.encode_to_vec()))
        };
        let mut listener = Listener::default();
        let status = Status {
            vertexes: vec![
                vertex("[internal] load metadata", false, Some(Empty {}), ""),
                vertex("[1/2] FROM a", true, Some(Empty {}), ""),
                vertex("[2/2] RUN make", false, None, ""),
            ],
            logs: Vec::new(),
        };
        let said = listener.hear(line(status).as_bytes()).unwrap();
        assert_eq!(said, [Building::Step { name: "[1/2] FROM a".to_owned(), cached: true }]);
        let status = Status {
            vertexes: vec![
                vertex("[1/2] FROM a", true, Some(Empty {}), ""),
                vertex("[2/2] RUN make", false, Some(Empty {}), ""),
            ],
            logs: vec![VertexLog { msg: b"no rule\n".to_vec() }],
        };
        let said = listener.hear(line(status).as_bytes()).unwrap();
        let step = Building::Step { name: "[2/2] RUN make".to_owned(), cached: false };
        assert_eq!(said, [step, Building::Log(Bytes::from_static(b"no rule\n"))]);
        let status = Status {
            vertexes: vec![vertex(
                "[2/2] RUN make",
                false,
                Some(Empty {}),
                "executor failed running [/bin/sh -c make]: exit code: 2",
            )],
            logs: Vec::new(),
        };
        assert!(listener.hear(line(status).as_bytes()).unwrap().is_empty());
        let end = r#"{"errorDetail":{"message":"x"},"error":"failed to solve: exit code: 2"}"#;
        let failed = EngineError::BuildFailed { message: "`[2/2] RUN make` failed: exit code 2".to_owned() };
        assert_eq!(listener.hear(end.as_bytes()), Err(failed));
        assert!(listener.hear(b"no JSON").unwrap().is_empty());
    }

    #[test]
    fn what_the_older_builders_say_is_understood() {
        let mut listener = Listener::default();
        let mut hear = |line: &str| listener.hear(line.as_bytes());
        let step = |name: &str| vec![Building::Step { name: name.to_owned(), cached: false }];
        assert_eq!(hear(r#"{"stream":"Step 2/3 : RUN make"}"#).unwrap(), step("[2/3] RUN make"));
        assert_eq!(hear(r#"{"stream":"STEP 1/3: FROM a\n"}"#).unwrap(), step("[1/3] FROM a"));
        assert_eq!(hear(r#"{"stream":" ---\u003e Using cache\n"}"#).unwrap(), []);
        assert_eq!(hear(r#"{"stream":"gcc: no\n"}"#).unwrap(), [Building::Log(Bytes::from_static(b"gcc: no\n"))]);
        assert_eq!(hear(r#"{"aux":{"ID":"sha256:1"}}"#).unwrap(), []);
        let full = hear(r#"{"error":"write /x: no space left on device"}"#).unwrap_err();
        assert!(matches!(full, EngineError::DiskFull { .. }), "no fault of the build: {full:?}");
        let failed = hear(r#"{"error":"The command '/bin/sh -c false' returned a non-zero code: 1"}"#).unwrap_err();
        let message = "The command '/bin/sh -c false' returned a non-zero code: 1".to_owned();
        assert_eq!(failed, EngineError::BuildFailed { message });
        assert_eq!(listener.id.as_deref(), Some("sha256:1"));
    }
}

//! Pulls an image: with the user's login, telling progress, retrying what a retry can mend.

use std::collections::HashMap;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptions;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::credentials::{Login, login};
use super::reference::Reference;
use super::{Docker, error, facts};
use crate::engine::{EngineError, Image};
use crate::event::{LayerPhase, LayerProgress, PullEvent};

/// The least time between two words about one layer in one phase.
const LAYER_PACE: Duration = Duration::from_millis(100);
/// How often a pull that failed is tried again.
const RETRIES: usize = 3;

/// Pulls the image. Dropping the future closes the connection, which makes the engine stop.
pub(super) async fn pull(
    docker: &Docker,
    image: &str,
    progress: mpsc::Sender<PullEvent>,
) -> Result<Image, EngineError> {
    let reference = Reference::parse(image)?;
    tell(&progress, PullEvent::Started).await;
    let (credentials, reason) = match login(docker.config_dir.clone(), reference.registry.clone()).await {
        Login::Known(credentials) => (Some(credentials), None),
        Login::None => (None, None),
        Login::Unreadable(reason) => (None, Some(reason)),
    };
    let mut waits = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(Duration::from_secs(8))
        .with_max_times(RETRIES)
        .with_jitter()
        .build();
    for attempt in 1.. {
        let Err(failure) = once(docker, image, &reference, credentials.clone(), &progress).await else {
            break;
        };
        let wait = if failure.mendable { waits.next() } else { None };
        let Some(wait) = wait else {
            return Err(explained(failure.error, reason.as_deref()));
        };
        tell(&progress, PullEvent::Retrying { attempt, wait, reason: detail(&failure.error) }).await;
        tokio::time::sleep(wait).await;
    }
    facts::image(docker, image).await?.ok_or_else(|| EngineError::ImageMissing { image: image.to_owned() })
}

/// A try that failed.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    error: EngineError,
    /// Another try may succeed.
    mendable: bool,
}

async fn once(
    docker: &Docker,
    image: &str,
    reference: &Reference,
    credentials: Option<DockerCredentials>,
    progress: &mpsc::Sender<PullEvent>,
) -> Result<(), Failure> {
    let options = CreateImageOptions {
        from_image: Some(reference.name.clone()),
        tag: Some(reference.version.clone()),
        ..CreateImageOptions::default()
    };
    let mut words = docker.client.create_image(Some(options), None, credentials);
    let mut layers = Layers::default();
    let mut moved = Instant::now();
    loop {
        let word = timeout_at(moved + docker.stall, words.next()).await;
        let word = word.map_err(|_| stalled(image, docker.stall))?;
        let Some(word) = word else { return Ok(()) };
        let word = word.map_err(|e| failure(e, image))?;
        if let Some(layer) = layers.take(&word) {
            tell(progress, PullEvent::Layer(layer)).await;
        }
        // The engine counting down to its own next try is no progress.
        if !word.status.as_deref().is_some_and(|status| status.starts_with("Retrying in")) {
            moved = Instant::now();
        }
    }
}

fn stalled(image: &str, waited: Duration) -> Failure {
    Failure { error: EngineError::PullStalled { image: image.to_owned(), waited }, mendable: false }
}

/// Progress that nobody listens to any more is no reason to end the pull.
async fn tell(progress: &mpsc::Sender<PullEvent>, event: PullEvent) {
    drop(progress.send(event).await);
}

/// What was last told of each layer.
#[derive(Default)]
struct Layers(HashMap<String, (LayerPhase, Instant)>);

impl Layers {
    /// What is to be told, where it is news.
    fn take(&mut self, word: &CreateImageInfo) -> Option<LayerProgress> {
        let phase = phase(word.status.as_deref()?)?;
        let id = word.id.clone()?;
        let now = Instant::now();
        let old = self.0.get(&id);
        if old.is_some_and(|(old, told)| *old == phase && now.duration_since(*told) < LAYER_PACE) {
            return None;
        }
        self.0.insert(id.clone(), (phase, now));
        let detail = word.progress_detail.as_ref();
        let bytes = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok());
        Some(LayerProgress {
            id,
            phase,
            current: bytes(detail.and_then(|d| d.current)).unwrap_or_default(),
            total: bytes(detail.and_then(|d| d.total)).filter(|total| *total > 0),
        })
    }
}

fn phase(status: &str) -> Option<LayerPhase> {
    Some(match status {
        "Pulling fs layer" | "Waiting" => LayerPhase::Waiting,
        "Downloading" => LayerPhase::Downloading,
        "Verifying Checksum" | "Download complete" | "Extracting" => LayerPhase::Extracting,
        "Pull complete" | "Already exists" => LayerPhase::Done,
        _ => return None,
    })
}

/// What a failed try means. Engines give the registry's answer in words, mostly with a 500 of their own.
fn failure(error: Error, image: &str) -> Failure {
    let (status, message) = match error {
        Error::DockerResponseServerError { status_code, message } => (status_code, message),
        Error::DockerStreamError { error } => (500, error),
        other => {
            return Failure { error: other.into(), mendable: false };
        }
    };
    let words = message.to_ascii_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
    let (image, detail) = (image.to_owned(), message.clone());
    let error = match error::refused(status, message) {
        full @ EngineError::DiskFull { .. } => {
            return Failure { error: full, mendable: false };
        }
        refused if status == 400 => {
            return Failure { error: refused, mendable: false };
        }
        _ if says(&["toomanyrequests", "too many requests", "http 429", "rate limit"]) => {
            EngineError::RateLimited { image, detail }
        }
        _ if says(NETWORK) || says(SERVER) => EngineError::Registry { image, detail },
        _ if says(&[
            "unauthorized",
            "authentication required",
            "incorrect username",
            "no basic auth",
            "http 401",
            "http 403",
        ]) =>
        {
            EngineError::Unauthorized { image, detail }
        }
        _ if says(&[
            "denied",
            "manifest unknown",
            "name unknown",
            "not found",
            "does not exist",
            "no matching manifest",
            "http 404",
        ]) =>
        {
            EngineError::ImageNotFound { image, detail }
        }
        _ => EngineError::Registry { image, detail },
    };
    let limited = matches!(error, EngineError::RateLimited { .. });
    // A name that no server knows, and a certificate that nobody trusts, are not mended by waiting.
    let mendable =
        limited || (says(NETWORK) || says(SERVER)) && !says(&["no such host", "x509", "http response to https client"]);
    Failure { error, mendable }
}

/// Words for a registry that could not be reached, or not read to the end.
const NETWORK: &[&str] = &[
    "connection refused",
    "connection reset",
    "no such host",
    "i/o timeout",
    "timeout exceeded",
    "deadline exceeded",
    "tls handshake timeout",
    "server misbehaving",
    "temporary failure",
    "network is unreachable",
    "no route to host",
    "unexpected eof",
    ": eof",
    "broken pipe",
];

/// Words for a registry that fails.
const SERVER: &[&str] = &[
    "http status: 5",
    "500 internal server error",
    "502 bad gateway",
    "503 service unavailable",
    "504 gateway",
    "http 500",
    "http 502",
    "http 503",
    "http 504",
];

/// The registry's words in an error.
fn detail(error: &EngineError) -> String {
    match error {
        EngineError::Registry { detail, .. } | EngineError::RateLimited { detail, .. } => detail.clone(),
        other => other.to_string(),
    }
}

/// Adds why no login was shown, where that may be what is wrong.
fn explained(error: EngineError, reason: Option<&str>) -> EngineError {
    let Some(reason) = reason else { return error };
    let with = |detail: String| format!("{detail} (no login was shown: {reason})");
    match error {
        EngineError::Unauthorized { image, detail } => EngineError::Unauthorized { image, detail: with(detail) },
        EngineError::ImageNotFound { image, detail } => EngineError::ImageNotFound { image, detail: with(detail) },
        EngineError::RateLimited { image, detail } => EngineError::RateLimited { image, detail: with(detail) },
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Docker 20.10's and containerd's own sentences, and what is made of them.
    #[test]
    fn the_engines_sentences_are_understood() {
        for (status, message, kind, mendable) in [
            (500, "unauthorized: authentication required", "Unauthorized", false),
            (500, "error parsing HTTP 403 response body: invalid character 'p'", "Unauthorized", false),
            (
                404,
                "pull access denied for a, repository does not exist or may require 'docker login': denied",
                "ImageNotFound",
                false,
            ),
            (404, "manifest for a:latest not found: manifest unknown: words", "ImageNotFound", false),
            (404, "repository 127.0.0.1:5999/a not found: name unknown: words", "ImageNotFound", false),
            (404, "no matching manifest for linux/s390x in the manifest list entries", "ImageNotFound", false),
            (500, "toomanyrequests: You have reached your pull rate limit", "RateLimited", true),
            (
                500,
                "unexpected status from HEAD request to https://r/v2/a/manifests/1: 429 Too Many Requests",
                "RateLimited",
                true,
            ),
            (500, "received unexpected HTTP status: 500 Internal Server Error", "Registry", true),
            (500, "received unexpected HTTP status: 503 Service Unavailable", "Registry", true),
            (
                500,
                "Get \"http://127.0.0.1:5998/v2/\": dial tcp 127.0.0.1:5998: connect: connection refused",
                "Registry",
                true,
            ),
            (
                500,
                "Get \"https://r.invalid/v2/\": dial tcp: lookup r.invalid on 10.0.0.1:53: no such host",
                "Registry",
                false,
            ),
            (500, "Get \"https://r/v2/\": x509: certificate signed by unknown authority", "Registry", false),
            (500, "unsupported: words of the registry", "Registry", false),
            (500, "write /var/lib/docker/tmp/x: no space left on device", "DiskFull", false),
            (400, "invalid reference format: repository name must be lowercase", "Refused", false),
        ] {
            let error = Error::DockerResponseServerError { status_code: status, message: message.to_owned() };
            let failure = failure(error, "a");
            let name = format!("{:?}", failure.error);
            assert!(name.starts_with(kind), "{message}: {name}");
            assert_eq!(failure.mendable, mendable, "{message}");
        }
    }

    #[test]
    fn a_layer_is_told_of_at_its_pace_and_at_each_phase() {
        let word = |status: &str, current| CreateImageInfo {
            id: Some("l".to_owned()),
            status: Some(status.to_owned()),
            progress_detail: Some(bollard::models::ProgressDetail { current: Some(current), total: Some(9) }),
            error_detail: None,
        };
        let mut layers = Layers::default();
        let told = [
            ("Pulling from a/b", 0),
            ("Waiting", 0),
            ("Downloading", 1),
            ("Downloading", 2),
            ("Download complete", 0),
            ("Extracting", 9),
        ]
        .map(|(status, current)| layers.take(&word(status, current)).map(|layer| (layer.phase, layer.current)));
        let (waiting, loading, unpacking) = (LayerPhase::Waiting, LayerPhase::Downloading, LayerPhase::Extracting);
        assert_eq!(told, [None, Some((waiting, 0)), Some((loading, 1)), None, Some((unpacking, 0)), None]);
    }
}

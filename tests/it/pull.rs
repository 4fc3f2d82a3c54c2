//! Pulls by the real engine, from registries that fail.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use argon::engine::docker::{EngineEnv, connect};
use argon::engine::{Engine, EngineError};
use argon::event::{LayerPhase, PullEvent};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::engine::engine;
use crate::registry::{Answer, serve};

/// Pulls, and tells the error with the number of retries.
async fn pull(engine: &impl Engine, image: &str) -> (EngineError, usize) {
    let (send, mut events) = mpsc::channel(64);
    let error = engine.pull(image, send).await.expect_err("the registry fails");
    let mut all = Vec::new();
    while let Some(event) = events.recv().await {
        all.push(event);
    }
    assert_eq!(all.first(), Some(&PullEvent::Started));
    (error, all.iter().filter(|event| matches!(event, PullEvent::Retrying { .. })).count())
}

#[tokio::test]
async fn a_registrys_refusal_is_named_and_retried_only_where_that_helps() {
    let engine = engine().await;
    for (answer, kind, retries) in [
        (Answer::Error(401, "UNAUTHORIZED"), "Unauthorized", 0),
        (Answer::Error(403, "DENIED"), "ImageNotFound", 0),
        (Answer::Error(404, "MANIFEST_UNKNOWN"), "ImageNotFound", 0),
        (Answer::Error(404, "NAME_UNKNOWN"), "ImageNotFound", 0),
        (Answer::Error(429, "TOOMANYREQUESTS"), "RateLimited", 3),
        (Answer::Error(500, "UNKNOWN"), "Registry", 3),
    ] {
        let registry = serve(answer);
        let image = format!("{}/it/a:1", registry.host);
        let (error, retried) = pull(&engine, &image).await;
        let name = format!("{error:?}");
        assert!(name.starts_with(kind) && name.contains(&image), "{name}");
        assert_eq!(retried, retries, "{name}");
    }
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_named() {
    let engine = engine().await;
    let (error, retried) = pull(&engine, "127.0.0.1:1/it/a").await;
    assert!(
        matches!(&error, EngineError::Registry { detail, .. } if detail.contains("connection refused")),
        "{error:?}"
    );
    assert_eq!(retried, 3);
    let (error, retried) = pull(&engine, "no-such-registry.invalid/it/a").await;
    assert!(matches!(&error, EngineError::Registry { .. }), "{error:?}");
    assert_eq!(retried, 0, "a name that does not exist is not waited for");
}

#[tokio::test]
async fn a_registry_that_stalls_is_given_up() {
    let engine = engine().await.with_stall_limit(Duration::from_secs(1));
    let registry = serve(Answer::HalfALayer);
    let begun = Instant::now();
    let (error, retried) = pull(&engine, &format!("{}/it/half", registry.host)).await;
    assert!(matches!(error, EngineError::PullStalled { .. }), "{error:?}");
    assert!(retried == 0 && begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

// The test waits in a blocking way for the registry, while another task closes the connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_is_dropped_ends_on_the_engine() {
    let engine = engine().await.with_stall_limit(Duration::from_secs(1));
    let registry = serve(Answer::SlowLayer);
    let image = format!("{}/it/slow", registry.host);
    let (send, mut events) = mpsc::channel(64);
    timeout(Duration::from_secs(3), engine.pull(&image, send)).await.expect_err("a slow pull is no stalled pull");
    registry.hung_up.try_recv().expect_err("the engine pulls on while someone wants the image");
    registry.hung_up.recv_timeout(Duration::from_secs(2)).expect("the engine stops when nobody wants the image");
    let mut layers = Vec::new();
    while let Some(event) = events.recv().await {
        layers.extend(if let PullEvent::Layer(layer) = event { Some(layer) } else { None });
    }
    assert!(
        layers.iter().any(|l| l.phase == LayerPhase::Downloading && l.current > 0 && l.total == Some(1_000_000)),
        "{layers:?}"
    );
}

#[tokio::test]
async fn the_users_login_is_shown_to_the_registry() {
    engine().await;
    let registry = serve(Answer::Error(401, "UNAUTHORIZED"));
    let directory = tempfile::tempdir().unwrap();
    // Its JSON in base64 has the letters that the two alphabets of base64 write differently.
    let config = format!(r#"{{"auths":{{"{}":{{"username":"u","password":"~~~???>>>~~~p"}}}}}}"#, registry.host);
    std::fs::write(directory.path().join("config.json"), config).unwrap();
    let env = EngineEnv { docker_config: Some(directory.path().to_owned()), ..EngineEnv::from_process() };
    let engine = connect(&env).await.unwrap();
    let (error, _) = pull(&engine, &format!("{}/it/a", registry.host)).await;
    assert!(matches!(error, EngineError::Unauthorized { .. }), "{error:?}");
    let shown = registry.asked.lock().unwrap().clone();
    assert_eq!(shown.last().unwrap().as_deref(), Some("Basic dTp+fn4/Pz8+Pj5+fn5w"));
}

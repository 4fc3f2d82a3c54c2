//! The real engine. These tests need one; without it they fail, and say how to start it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use argon::engine::docker::{Docker, EngineEnv, connect};
use argon::engine::{
    BuildSpec, Building, ContainerId, ContainerSpec, Engine, EngineError, Labels, LayerCache, Limits, Network, Session,
};
use argon::event::Stream;
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

const IMAGE: &str = "argon-dev/busybox";
const SOON: Duration = Duration::from_secs(20);

/// The engine, with the test image on it.
pub(crate) async fn engine() -> Docker {
    let engine = match connect(&EngineEnv::from_process()).await {
        Ok(engine) => engine,
        Err(e) => panic!(
            "these tests need a container engine: {e:?}\nstart one, and make the images ready, with `make engine images`"
        ),
    };
    let image = engine.image(IMAGE).await.expect("the engine tells of an image");
    assert!(image.is_some(), "the image {IMAGE} is not on the engine: make it ready with `make engine images`");
    engine
}

fn spec(test: &str, command: &[&str]) -> ContainerSpec {
    ContainerSpec {
        image: IMAGE.to_owned(),
        user: None,
        command: command.iter().map(ToString::to_string).collect(),
        working_directory: Some("/workspace".to_owned()),
        env: Vec::new(),
        tmpfs: Vec::new(),
        mounts: Vec::new(),
        aliases: Vec::new(),
        privileges: argon::engine::Privileges::Sandbox,
        scratch: Some("/.argon".to_owned()),
        limits: Limits { nano_cpus: None, memory: None, pids: 64 },
        network: Network::None,
        labels: Labels {
            run: format!("it-{}", std::process::id()),
            job: test.to_owned(),
            owner: format!("it-{test}-{}", std::process::id()),
        },
        hostname: "it".to_owned(),
    }
}

/// Collects the output to its end, by stream.
async fn output(session: &mut Session) -> BTreeMap<&'static str, String> {
    let mut streams: BTreeMap<_, Vec<u8>> = BTreeMap::new();
    while let Some(chunk) = timeout(SOON, session.output.next()).await.expect("the output ends") {
        let chunk = chunk.expect("a chunk");
        let name = match chunk.stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        streams.entry(name).or_default().extend_from_slice(&chunk.bytes);
    }
    streams.into_iter().map(|(name, bytes)| (name, String::from_utf8(bytes).unwrap())).collect()
}

async fn gone(engine: &Docker, id: &ContainerId) -> Option<i64> {
    timeout(SOON, engine.removed(id)).await.expect("the container goes").expect("the engine tells").exit_code
}

#[tokio::test]
async fn a_container_reads_stdin_and_writes_both_streams() {
    let engine = engine().await;
    let mut session =
        engine.create(&spec("echo", &["sh", "-c", "cat; echo err >&2; pwd; hostname; exit 7"])).await.unwrap();
    engine.start(&session.id).await.unwrap();
    let end = tokio::spawn({
        let (engine, id) = (engine.clone(), session.id.clone());
        async move { gone(&engine, &id).await }
    });
    session.stdin.write_all(b"hello\n").await.unwrap();
    session.stdin = Box::pin(tokio::io::sink());
    let streams = output(&mut session).await;
    assert_eq!(streams["stdout"], "hello\n/workspace\nit\n");
    assert_eq!(streams["stderr"], "err\n");
    assert_eq!(end.await.unwrap(), Some(7));
    assert_eq!(gone(&engine, &session.id).await, None, "a container that is gone has no code any more");
}

#[tokio::test]
async fn a_dropped_session_ends_its_container() {
    let engine = engine().await;
    let supervisor = "while read -r l; do eval \"$l\"; done";
    let mut session = engine.create(&spec("drop", &["sh", "-c", supervisor])).await.unwrap();
    engine.start(&session.id).await.unwrap();
    session.stdin.write_all(b"sleep 600 &\necho up\n").await.unwrap();
    session.output.next().await.unwrap().unwrap();
    let (id, begun) = (session.id.clone(), Instant::now());
    drop(session);
    gone(&engine, &id).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    engine.remove(&id).await.unwrap();
}

#[tokio::test]
async fn removal_is_idempotent_and_owned_tells_whose() {
    let engine = engine().await;
    let spec = spec("owned", &["sh", "-c", "sleep 600"]);
    let session = engine.create(&spec).await.unwrap();
    let mine = async || engine.owned().await.unwrap().into_iter().find(|c| c.labels == spec.labels);
    let made = mine().await.expect("it is listed before it runs");
    assert_eq!((made.id == session.id, made.running), (true, false));
    engine.start(&session.id).await.unwrap();
    assert!(mine().await.unwrap().running);
    let (one, two) = tokio::join!(engine.remove(&session.id), engine.remove(&session.id));
    assert_eq!((one, two), (Ok(()), Ok(())));
    assert_eq!(mine().await, None);
    assert_eq!(engine.remove(&session.id).await, Ok(()));
    assert_eq!(engine.start(&session.id).await, Err(EngineError::Gone));
}

#[tokio::test]
async fn a_missing_image_is_named() {
    let engine = engine().await;
    let spec = ContainerSpec { image: "argon-dev/not-there".to_owned(), ..spec("noimage", &["sh"]) };
    let error = engine.create(&spec).await.err().unwrap();
    assert_eq!(error, EngineError::ImageMissing { image: "argon-dev/not-there".to_owned() });
    assert_eq!(engine.image("argon-dev/not-there").await, Ok(None));
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let engine = engine().await;
    let mut session = engine.create(&spec("noprogram", &["no-such-shell", "-c", "true"])).await.unwrap();
    let missing = EngineError::ProgramMissing { program: "no-such-shell".to_owned(), image: IMAGE.to_owned() };
    // An engine with an init finds it out only after the start.
    match engine.start(&session.id).await {
        Ok(()) => assert_eq!(session.output.next().await, Some(Err(missing))),
        Err(e) => assert_eq!(e, missing),
    }
    engine.remove(&session.id).await.unwrap();
}

#[tokio::test]
async fn a_creation_that_is_given_up_leaves_nothing() {
    let engine = engine().await;
    let spec = spec("abandoned", &["sh"]);
    // From before the question is sent to after the answer has come.
    for pause in (0..40).step_by(2) {
        // Once a creation has given its session, the container is the caller's.
        if let Ok(made) = timeout(Duration::from_millis(pause), engine.create(&spec)).await {
            engine.remove(&made.unwrap().id).await.unwrap();
        }
    }
    let left = async || engine.owned().await.unwrap().iter().any(|c| c.labels == spec.labels);
    // The answer is there, and nobody looks at it any more.
    let mut unread = Box::pin(engine.create(&spec));
    assert!(timeout(Duration::ZERO, &mut unread).await.is_err());
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(unread);
    // Those that were given up early are being made still.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    while left().await {
        assert!(begun.elapsed() < SOON, "a container is left");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn files_go_in_and_come_out() {
    let engine = engine().await;
    let mut session = engine
        .create(&spec("files", &["sh", "-c", "cat /workspace/in/a; ln -s /etc/passwd /l; echo out > /out; cat"]))
        .await
        .unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(8);
    header.set_mode(0o644);
    tar.append_data(&mut header, "in/a", &b"content\n"[..]).unwrap();
    let tar = tar.into_inner().unwrap();
    engine.upload(&session.id, "/workspace", Box::pin(std::io::Cursor::new(tar))).await.unwrap();
    engine.start(&session.id).await.unwrap();
    assert_eq!(session.output.next().await.unwrap().unwrap().bytes, "content\n");
    session.stdin.write_all(b"mark\n").await.unwrap();
    assert_eq!(session.output.next().await.unwrap().unwrap().bytes, "mark\n");
    assert_eq!(engine.read_file(&session.id, "/out").await.unwrap(), b"out\n");
    for (path, says) in [("/l", "a symbolic link"), ("/etc", "a directory"), ("/none", "/none")] {
        let error = engine.read_file(&session.id, path).await.unwrap_err();
        assert!(matches!(&error, EngineError::Refused { message, .. } if message.contains(says)), "{path}: {error:?}");
    }
    engine.remove(&session.id).await.unwrap();
    let nobody: std::pin::Pin<Box<dyn tokio::io::AsyncRead + Send>> = Box::pin(tokio::io::empty());
    assert_eq!(engine.upload(&session.id, "/", nobody).await, Err(EngineError::Gone));
}

#[tokio::test]
async fn an_engine_that_does_not_answer_is_given_up_within_two_seconds() {
    let directory = tempfile::tempdir().unwrap();
    let silent = directory.path().join("silent.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&silent).unwrap();
    let dead = directory.path().join("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    for (socket, says) in
        [(silent, "no answer"), (dead, "not running"), (PathBuf::from("/nowhere/docker.sock"), "no such socket")]
    {
        let begun = Instant::now();
        let env = EngineEnv { docker_host: Some(format!("unix://{}", socket.display())), ..EngineEnv::default() };
        let error = connect(&env).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(2), "{socket:?}: {:?}", begun.elapsed());
        let EngineError::Unreachable { tried } = error else { panic!("{error:?}") };
        assert_eq!(tried.len(), 1, "an engine that was named is the only one tried");
        assert!(tried[0].0.contains("sock") && tried[0].1.contains(says), "{tried:?}");
    }
}

/// As Docker 20.10 does now and then: who waits for the removal of a container that is just being removed hears nothing.
#[tokio::test]
async fn a_removal_that_the_engine_does_not_tell_is_seen_all_the_same() {
    use std::io::{BufRead, BufReader, Write};
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("engine.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while let Some(Ok(request)) = lines.next() {
                    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                    let answer = match request.split(' ').nth(1).unwrap_or_default() {
                        path if path.ends_with("/_ping") => {
                            "200 OK\r\napi-version: 1.41\r\ncontent-length: 2\r\n\r\nOK"
                        }
                        path if path.contains("/wait") => continue,
                        _ => {
                            "404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 34\r\n\r\n{\"message\":\"No such container: x\"}"
                        }
                    };
                    let _ = write!(stream, "HTTP/1.1 {answer}");
                }
            });
        }
    });
    let env = EngineEnv { docker_host: Some(format!("unix://{}", socket.display())), ..EngineEnv::default() };
    let engine = connect(&env).await.unwrap();
    let end = timeout(Duration::from_secs(5), engine.removed(&ContainerId("x".to_owned()))).await;
    assert_eq!(end.expect("it is seen").unwrap().exit_code, None);
}

#[tokio::test]
async fn a_gigabyte_passes_whole() {
    let engine = engine().await;
    let count = 16 * 1024;
    let command = format!("dd if=/dev/zero bs=64k count={count} 2>/dev/null");
    let mut session = engine.create(&spec("gigabyte", &["sh", "-c", &command])).await.unwrap();
    engine.start(&session.id).await.unwrap();
    let (mut bytes, mut pieces) = (0, 0_u64);
    while let Some(chunk) = session.output.next().await {
        bytes += chunk.unwrap().bytes.len();
        pieces += 1;
    }
    assert_eq!(bytes, count * 64 * 1024, "in {pieces} pieces");
    gone(&engine, &session.id).await;
}

#[tokio::test]
async fn the_engine_tells_of_itself() {
    let info = engine().await.info().await.unwrap();
    assert!(["Docker", "Podman"].contains(&info.product.as_str()), "{info:?}");
    assert!(info.platform.starts_with("linux/") && info.cpus > 0 && info.memory > 0, "{info:?}");
}

/// What a builder said, as lines: `step NAME` and output.
async fn built(engine: &Docker, network: Network, dockerfile: &str) -> (Result<String, EngineError>, Vec<String>) {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(dockerfile.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "Dockerfile", dockerfile.as_bytes()).unwrap();
    let context = std::io::Cursor::new(tar.into_inner().unwrap());
    let spec = BuildSpec {
        dockerfile: "Dockerfile".to_owned(),
        target: None,
        args: vec![("WHO".to_owned(), "a & b".to_owned())],
        network,
        layers: LayerCache::Ignored,
        scope: "it".to_owned(),
    };
    let (progress, mut said) = tokio::sync::mpsc::channel(64);
    let collect = async {
        let mut lines = Vec::new();
        while let Some(word) = said.recv().await {
            lines.push(match word {
                Building::Step { name, .. } => format!("step {name}"),
                Building::Log(bytes) => String::from_utf8(bytes.to_vec()).unwrap().trim().to_owned(),
            });
        }
        lines
    };
    tokio::join!(engine.build(&spec, Box::pin(context), progress), collect)
}

/// BuildKit knows no networks but its own; the older builder, which Podman has alone, knows them all.
#[tokio::test]
async fn both_builders_build_tell_their_steps_and_their_failure() {
    let engine = engine().await;
    for network in [Network::Bridge, Network::Named("bridge".to_owned())] {
        let good = format!("FROM {IMAGE}\nARG WHO\nRUN echo \"for $WHO\" | tee /who\n");
        let (id, said) = built(&engine, network.clone(), &good).await;
        let id = id.unwrap();
        assert!(said.iter().any(|line| line.starts_with("step [") && line.contains("RUN echo")), "{said:?}");
        assert!(said.contains(&"for a & b".to_owned()), "{said:?}");
        let name = format!("argon-built:it-{}", std::process::id());
        engine.name_image(&id, &name).await.unwrap();
        assert_eq!(engine.image(&name).await.unwrap().unwrap().id, id);
        assert!(engine.built_images().await.unwrap().iter().any(|image| image.name == name && image.scope == "it"));
        engine.remove_image(&name).await.unwrap();
        engine.remove_image(&name).await.unwrap();
        assert_eq!(engine.image(&name).await.unwrap(), None);

        let (failed, said) = built(&engine, network, &format!("FROM {IMAGE}\nRUN echo no >&2; exit 9\n")).await;
        assert!(matches!(&failed, Err(EngineError::BuildFailed { message }) if message.contains('9')), "{failed:?}");
        // The older builder paints what comes from standard error.
        assert!(said.iter().any(|line| line.contains("no\n") || line == "no"), "{said:?}");
    }
}

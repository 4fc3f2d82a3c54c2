//! The smallest registry: on 127.0.0.1, where engines accept plain HTTP, failing in one way.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How it answers a question for a manifest.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    /// With this status and error code.
    Error(u16, &'static str),
    /// Well; but a layer stops in the middle.
    HalfALayer,
    /// Well; but a layer takes for ever.
    SlowLayer,
}

/// An image of one layer; `ID` stands for what makes a digest of a digit.
const MANIFEST: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",
"config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":1000000,"digest":"sha256:1ID"},
"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":1000000,"digest":"sha256:2ID"}]}"#;

/// A registry; it serves until the test's process ends.
pub(crate) struct Registry {
    /// `127.0.0.1:port`.
    pub(crate) host: String,
    /// Each manifest that was asked for, with the request's `Authorization`.
    pub(crate) asked: Arc<Mutex<Vec<Option<String>>>>,
    /// One word for each client that hung up in a slow layer.
    pub(crate) hung_up: Receiver<()>,
}

/// Starts a registry.
pub(crate) fn serve(answer: Answer) -> Registry {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (say, hung_up) = channel();
    thread::spawn({
        let asked = Arc::clone(&asked);
        move || {
            for stream in listener.incoming() {
                let (asked, say) = (Arc::clone(&asked), say.clone());
                thread::spawn(move || drop(one(stream.unwrap(), answer, &asked, &say)));
            }
        }
    });
    Registry { host, asked, hung_up }
}

/// Answers one request and closes.
fn one(
    mut stream: TcpStream,
    answer: Answer,
    asked: &Mutex<Vec<Option<String>>>,
    say: &Sender<()>,
) -> std::io::Result<()> {
    let (mut path, mut authorization) = (String::new(), None);
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if path.is_empty() {
            path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        }
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("authorization")
        {
            authorization = Some(value.to_owned());
        }
    }
    let (status, header, body) = match answer {
        // Asks for a login, as a registry with users does.
        Answer::Error(401, _) if path.ends_with("/v2/") && authorization.is_none() => {
            (401, "WWW-Authenticate: Basic realm=\"it\"\r\n", String::new())
        }
        _ if path.ends_with("/v2/") => (200, "", String::new()),
        Answer::Error(status, code) => {
            asked.lock().unwrap().push(authorization);
            (status, "", format!(r#"{{"errors":[{{"code":"{code}","message":"the registry's words"}}]}}"#))
        }
        Answer::HalfALayer if path.contains("/blobs/") => {
            write!(stream, "HTTP/1.1 200 -\r\nContent-Length: 1000000\r\n\r\n{}", "x".repeat(5000))?;
            // Returns when the client hangs up, in whichever way.
            drop(stream.read(&mut [0]));
            return Ok(());
        }
        Answer::SlowLayer if path.contains("/blobs/") => {
            write!(stream, "HTTP/1.1 200 -\r\nContent-Length: 1000000\r\n\r\n")?;
            while stream.write_all(&[b'x'; 2000]).is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
            return say.send(()).map_err(std::io::Error::other);
        }
        Answer::HalfALayer | Answer::SlowLayer => (200, "", MANIFEST.replace("ID", &"0".repeat(63))),
    };
    let head = "Docker-Distribution-Api-Version: registry/2.0\r\nContent-Type: application/vnd.docker.distribution.manifest.v2+json\r\nConnection: close\r\n";
    write!(stream, "HTTP/1.1 {status} -\r\n{head}{header}Content-Length: {}\r\n\r\n{body}", body.len())?;
    stream.shutdown(Shutdown::Both)
}

//! A server of the tests for what is posted: one request a connection.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

/// What the server does.
#[derive(Debug, Clone)]
pub(crate) enum Manner {
    /// Answers with these bytes.
    Answers(String),
    /// Takes the request and says nothing.
    Hangs,
    /// Begins to answer 500, and goes on for ever.
    Babbles,
    /// Ends the connection instead of an answer.
    HangsUp,
}

/// What was posted.
#[derive(Debug, Clone)]
pub(crate) struct Posted {
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Posted {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// The server. Its thread ends with the tests.
pub(crate) struct Web {
    pub(crate) port: u16,
    posted: Arc<Mutex<Vec<Posted>>>,
}

/// An answer with a status and a body.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> Manner {
    let length = body.len();
    Manner::Answers(format!(
        "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
    ))
}

impl Web {
    pub(crate) fn start(manner: Manner) -> Self {
        Self::start_at(0, manner)
    }

    /// At this port; any free one, where it is 0.
    pub(crate) fn start_at(port: u16, manner: Manner) -> Self {
        Self::serve(TcpListener::bind(("127.0.0.1", port)).unwrap(), manner)
    }

    /// At this address.
    pub(crate) fn start_on(address: [u8; 4], manner: Manner) -> Self {
        Self::serve(TcpListener::bind((std::net::Ipv4Addr::from(address), 0)).unwrap(), manner)
    }

    fn serve(listener: TcpListener, manner: Manner) -> Self {
        let this = Self { port: listener.local_addr().unwrap().port(), posted: Arc::default() };
        let posted = this.posted.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                let mut next = || {
                    let mut line = String::new();
                    lines.read_line(&mut line).unwrap();
                    line.trim_end().to_owned()
                };
                let line = next();
                let headers: BTreeMap<String, String> =
                    std::iter::from_fn(|| Some(next()).filter(|line| !line.is_empty()))
                        .map(|line| {
                            line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())).unwrap()
                        })
                        .collect();
                let mut body = vec![0; headers["content-length"].parse().unwrap()];
                lines.read_exact(&mut body).unwrap();
                posted.lock().unwrap().push(Posted { line, headers, body });
                match &manner {
                    Manner::Answers(text) => stream.write_all(text.as_bytes()).unwrap(),
                    Manner::HangsUp => {}
                    Manner::Hangs => {
                        let _ = stream.read(&mut [0]);
                    }
                    Manner::Babbles => {
                        stream.write_all(b"HTTP/1.1 500 x\r\n\r\n").unwrap();
                        // Until the client has had enough; some minutes at most, should it never have.
                        let _ = (0..100_000).try_for_each(|_| {
                            std::thread::sleep(Duration::from_millis(1));
                            stream.write_all(&[b'x'; 1024])
                        });
                    }
                }
            }
        });
        this
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The one request that came.
    pub(crate) fn posted(&self) -> Posted {
        let posted = self.all();
        assert_eq!(posted.len(), 1, "{posted:#?}");
        posted[0].clone()
    }

    pub(crate) fn all(&self) -> Vec<Posted> {
        self.posted.lock().unwrap().clone()
    }
}

//! Where an engine answers: its address in the user's words, and a connection to it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::TryStreamExt;
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::body::{Body, Frame};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use hyper::{Method, Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::io::ReaderStream;

use crate::causes::with_causes;
use crate::engine::{EngineError, TarStream};

/// The port of an engine's unencrypted API where an address names none.
const DEFAULT_PORT: u16 = 2375;

/// A place where an engine may answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A Unix socket.
    Unix(PathBuf),
    /// `host:port`, unencrypted.
    Tcp(String),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

impl Endpoint {
    /// Reads an address as `DOCKER_HOST` and docker contexts write it.
    pub fn parse(address: &str) -> Result<Self, EngineError> {
        let cannot = |reason: String| EngineError::Address { address: address.to_owned(), reason };
        let Some((scheme, rest)) = address.split_once("://") else {
            let meant = if address.starts_with('/') { "unix" } else { "tcp" };
            return Err(cannot(format!("it has no scheme; did you mean `{meant}://{address}`?")));
        };
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(PathBuf::from(rest))),
            "unix" => Err(cannot("the path of a socket must be absolute: `unix:///path/to/docker.sock`".to_owned())),
            "tcp" | "http" => tcp(rest).ok_or_else(|| cannot("expected `tcp://host:port`".to_owned())).map(Self::Tcp),
            "ssh" => Err(cannot(format!(
                "argon does not speak ssh; forward the socket with `ssh -nNT -L /tmp/docker.sock:/var/run/docker.sock {rest}` \
                 and set DOCKER_HOST=unix:///tmp/docker.sock"
            ))),
            "https" => Err(tls(address)),
            _ => Err(cannot(format!("argon does not know `{scheme}://`; it speaks unix:// and tcp://"))),
        }
    }
}

/// The error for an engine that wants TLS.
pub(super) fn tls(address: &str) -> EngineError {
    EngineError::Address {
        address: address.to_owned(),
        reason: "argon does not speak TLS to an engine; forward its socket over ssh, and set DOCKER_HOST=unix:///path/to/that/socket".to_owned(),
    }
}

fn tcp(rest: &str) -> Option<String> {
    let authority = rest.trim_end_matches('/');
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    match authority {
        "" => None,
        a if a.contains(['/', '?', '#', '@', ' ']) => None,
        a if has_port => Some(a.to_owned()),
        a if a.contains(':') && !a.ends_with(']') => None,
        a => Some(format!("{a}:{DEFAULT_PORT}")),
    }
}

/// What is read of an archive at a time.
const PIECE: usize = 128 * 1024;
/// An engine's error is a sentence; what is longer is none.
const LONGEST_MESSAGE: usize = 64 * 1024;

/// The two directions of a connection that the engine gave over to a container's streams.
pub(super) struct Hijacked {
    /// What arrived together with the answer's head.
    pub(super) early: Bytes,
    /// From the engine.
    pub(super) read: Box<dyn AsyncRead + Send + Unpin>,
    /// To the engine. Closes its direction, and only that, when dropped.
    pub(super) write: Box<dyn AsyncWrite + Send + Unpin>,
}

/// Sends one request without a body on a connection of its own, outside of bollard.
pub(super) async fn request(endpoint: &Endpoint, method: Method, path: &str) -> Result<Response<Incoming>, WireError> {
    let request = Request::builder()
        .method(method.clone())
        .uri(path)
        .header(HOST, host(endpoint))
        .header(CONTENT_TYPE, "application/json");
    let request =
        if method == Method::POST { request.header(CONNECTION, "Upgrade").header(UPGRADE, "tcp") } else { request };
    let request = request.body(String::new()).map_err(|e| WireError::Http(e.to_string()))?;
    connect_and_send(endpoint, request).await
}

/// Posts a tar archive on a connection of its own. Dropping the answer's body closes that connection.
pub(super) async fn post_tar(endpoint: &Endpoint, path: &str, tar: TarStream) -> Result<Response<Incoming>, WireError> {
    let pieces = ReaderStream::with_capacity(tar, PIECE).map_ok(Frame::data);
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(HOST, host(endpoint))
        .header(CONTENT_TYPE, "application/x-tar")
        .body(StreamBody::new(pieces))
        .map_err(|e| WireError::Http(e.to_string()))?;
    connect_and_send(endpoint, request).await
}

async fn connect_and_send<B>(endpoint: &Endpoint, request: Request<B>) -> Result<Response<Incoming>, WireError>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match endpoint {
        Endpoint::Unix(path) => send(UnixStream::connect(path).await?, request).await,
        Endpoint::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            send(stream, request).await
        }
    }
}

async fn send<S, B>(stream: S, request: Request<B>) -> Result<Response<Incoming>, WireError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection.with_upgrades());
    Ok(sender.send_request(request).await?)
}

/// What an answer that is an error says: the `message` of its JSON, else its text.
pub(super) async fn message(response: Response<Incoming>) -> String {
    let body = Limited::new(response.into_body(), LONGEST_MESSAGE).collect().await;
    let bytes = body.map(|body| body.to_bytes()).unwrap_or_default();
    let json: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
    match json.as_ref().and_then(|json| json["message"].as_str()) {
        Some(message) => message.to_owned(),
        None => String::from_utf8_lossy(&bytes).trim().to_owned(),
    }
}

/// Takes the connection of an answer that switched protocols.
///
/// The socket itself comes back, so that it can be read in pieces of our size, and each direction closed alone.
pub(super) async fn hijack(endpoint: &Endpoint, response: Response<Incoming>) -> Result<Hijacked, WireError> {
    let upgraded = hyper::upgrade::on(response).await?;
    let foreign = || WireError::Http("the connection is not the one that was opened".to_owned());
    match endpoint {
        Endpoint::Unix(_) => {
            let parts = upgraded.downcast::<TokioIo<UnixStream>>().map_err(|_| foreign())?;
            let (read, write) = parts.io.into_inner().into_split();
            Ok(Hijacked { early: parts.read_buf, read: Box::new(read), write: Box::new(write) })
        }
        Endpoint::Tcp(_) => {
            let parts = upgraded.downcast::<TokioIo<TcpStream>>().map_err(|_| foreign())?;
            let (read, write) = parts.io.into_inner().into_split();
            Ok(Hijacked { early: parts.read_buf, read: Box::new(read), write: Box::new(write) })
        }
    }
}

fn host(endpoint: &Endpoint) -> &str {
    match endpoint {
        Endpoint::Unix(_) => "localhost",
        Endpoint::Tcp(address) => address,
    }
}

/// What can fail on a connection of our own.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// The connection could not be made, or broke.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What came back was no answer.
    #[error("{}", with_causes(.0))]
    Protocol(#[from] hyper::Error),
    /// The request or the answer made no sense.
    #[error("{0}")]
    Http(String),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_that_argon_speaks() {
        for (address, endpoint) in [
            ("unix:///var/run/docker.sock", "unix:///var/run/docker.sock"),
            ("tcp://127.0.0.1:1234", "tcp://127.0.0.1:1234"),
            ("tcp://engine.example", "tcp://engine.example:2375"),
            ("tcp://[::1]", "tcp://[::1]:2375"),
            ("http://engine.example:80/", "tcp://engine.example:80"),
        ] {
            assert_eq!(Endpoint::parse(address).unwrap().to_string(), endpoint, "{address}");
        }
    }

    #[test]
    fn other_addresses_say_what_to_do() {
        for (address, hint) in [
            ("/var/run/docker.sock", "did you mean `unix:///var/run/docker.sock`?"),
            ("engine:2375", "did you mean `tcp://engine:2375`?"),
            ("unix://docker.sock", "absolute"),
            ("ssh://me@box", "ssh -nNT -L /tmp/docker.sock:/var/run/docker.sock me@box"),
            ("https://engine:2376", "TLS"),
            ("npipe:////./pipe/docker_engine", "it speaks unix:// and tcp://"),
            ("tcp://", "tcp://host:port"),
            ("tcp://a:b", "tcp://host:port"),
            ("tcp://user@a:1", "tcp://host:port"),
        ] {
            let error = Endpoint::parse(address).unwrap_err().to_string();
            assert!(error.contains(hint) && error.contains(address), "{address}: {error}");
        }
    }
}

//! The streams of a container, on a connection of our own.
//!
//! Bollard's attach reads 8 KiB at a time, gathers whole frames, and cannot close stdin alone. Here the socket is read in
//! large pieces that are handed on without a copy, and dropping the stdin half closes it in the container.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::Stream;
use hyper::{Method, StatusCode};
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

use super::{Docker, endpoint, error, init};
use crate::engine::{Chunk, ContainerId, ContainerSpec, EngineError, Session};
use crate::event;

/// The size of a piece of memory that output is read into.
const PIECE: usize = 256 * 1024;
/// A new piece is taken when less than this is left of one: an engine's frame is up to 32 KiB and its head.
const LOW: usize = 33 * 1024;
/// The head of a frame: stream, three zeroes, length (big-endian).
const HEAD: usize = 8;

/// Attaches to a container that was made and does not run yet.
pub(super) async fn attach(docker: &Docker, id: &ContainerId, spec: &ContainerSpec) -> Result<Session, EngineError> {
    let path = format!("/v{}/containers/{}/attach?stream=1&stdin=1&stdout=1&stderr=1&logs=0", docker.version, id.0);
    let response = endpoint::request(&docker.endpoint, Method::POST, &path).await?;
    match response.status() {
        StatusCode::SWITCHING_PROTOCOLS => {}
        StatusCode::NOT_FOUND => return Err(EngineError::Gone),
        status => {
            // Podman prepares the container here, so this is where it says what it cannot do.
            let message = endpoint::message(response).await;
            return Err(error::refused(status.as_u16(), message));
        }
    }
    let streams = endpoint::hijack(&docker.endpoint, response).await?;
    let output = Output { read: streams.read, buffer: BytesMut::from(streams.early), frame: Frame::Head };
    let program = spec.command.first().map_or("", String::as_str);
    let output = init::watch(output, program, &spec.image);
    Ok(Session { id: id.clone(), stdin: Box::pin(streams.write), output: Box::pin(output) })
}

/// Where the reader is in the engine's framing.
#[derive(Debug, Clone, Copy)]
enum Frame {
    /// Before or inside a frame's head.
    Head,
    /// Inside a frame's body, with this many bytes to come.
    Body { source: Source, left: usize },
    /// Behind the end, or an error: there is no more.
    End,
}

#[derive(Debug, Clone, Copy)]
enum Source {
    Stream(event::Stream),
    /// A word of the engine itself about this connection.
    Engine,
}

struct Output<R> {
    read: R,
    buffer: BytesMut,
    frame: Frame,
}

impl<R> Output<R> {
    /// The next piece that the buffer holds, however little of its frame: a slow writer's bytes do not wait.
    fn take(&mut self) -> Option<Result<Chunk, EngineError>> {
        loop {
            match self.frame {
                Frame::End => return None,
                Frame::Head if self.buffer.len() < HEAD => return None,
                Frame::Head => {
                    let [kind, _, _, _, length @ ..] = self.buffer.get_u64().to_be_bytes();
                    let left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                    self.frame = match source(kind) {
                        _ if left == 0 => Frame::Head,
                        Some(source) => Frame::Body { source, left },
                        None => {
                            return Some(Err(EngineError::Connection(format!(
                                "the engine sent a stream {kind}, which there is not"
                            ))));
                        }
                    };
                }
                Frame::Body { .. } if self.buffer.is_empty() => return None,
                Frame::Body { source, left } => {
                    let bytes = self.buffer.split_to(left.min(self.buffer.len())).freeze();
                    self.frame = match left - bytes.len() {
                        0 => Frame::Head,
                        left => Frame::Body { source, left },
                    };
                    return Some(piece(source, bytes));
                }
            }
        }
    }

    /// Nothing comes behind an error: who reads on would read it for ever.
    fn last_if_error(&mut self, item: Result<Chunk, EngineError>) -> Result<Chunk, EngineError> {
        if item.is_err() {
            self.frame = Frame::End;
        }
        item
    }

    fn at_end(&self) -> Option<Result<Chunk, EngineError>> {
        let whole = match self.frame {
            Frame::Head => self.buffer.is_empty(),
            Frame::Body { .. } => false,
            Frame::End => true,
        };
        (!whole)
            .then(|| Err(EngineError::Connection("a container's output broke off in the middle of a frame".to_owned())))
    }
}

fn source(kind: u8) -> Option<Source> {
    match kind {
        0 | 1 => Some(Source::Stream(event::Stream::Stdout)),
        2 => Some(Source::Stream(event::Stream::Stderr)),
        3 => Some(Source::Engine),
        _ => None,
    }
}

fn piece(source: Source, bytes: Bytes) -> Result<Chunk, EngineError> {
    match source {
        Source::Stream(stream) => Ok(Chunk { stream, bytes }),
        Source::Engine => Err(EngineError::Connection(String::from_utf8_lossy(&bytes).into_owned())),
    }
}

impl<R: AsyncRead + Unpin> Stream for Output<R> {
    type Item = Result<Chunk, EngineError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(item) = this.take() {
                return Poll::Ready(Some(this.last_if_error(item)));
            }
            if matches!(this.frame, Frame::End) {
                return Poll::Ready(None);
            }
            if this.buffer.capacity() - this.buffer.len() < LOW {
                this.buffer.reserve(PIECE);
            }
            match ready!(poll_read_buf(Pin::new(&mut this.read), context, &mut this.buffer)) {
                Ok(0) => {
                    let end = this.at_end();
                    this.frame = Frame::End;
                    return Poll::Ready(end);
                }
                Ok(_) => {}
                Err(e) => {
                    return Poll::Ready(Some(this.last_if_error(Err(EngineError::Connection(e.to_string())))));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures_util::StreamExt;
    use tokio::io::AsyncWriteExt;

    /// What comes out of a stream that arrives in pieces of `size` bytes.
    async fn read(wire: &[u8], size: usize) -> Vec<Result<(event::Stream, Vec<u8>), EngineError>> {
        let (read, mut write) = tokio::io::duplex(size);
        let wire = wire.to_vec();
        tokio::spawn(async move { write.write_all(&wire).await });
        let output = Output { read, buffer: BytesMut::new(), frame: Frame::Head };
        output.map(|item| item.map(|chunk| (chunk.stream, chunk.bytes.to_vec()))).collect().await
    }

    fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[kind, 0, 0, 0], &length[..], body].concat()
    }

    #[tokio::test]
    async fn frames_come_out_whole_however_they_arrive() {
        let body: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let wire = [frame(1, b"a\n"), frame(2, b""), frame(2, &body), frame(1, b"\xff\0")].concat();
        for size in [1, 7, 8, 9, 4096, 1 << 20] {
            let mut streams = [Vec::new(), Vec::new()];
            for item in read(&wire, size).await {
                let (stream, bytes) = item.unwrap();
                streams[usize::from(stream == event::Stream::Stderr)].extend(bytes);
            }
            assert!(streams == [b"a\n\xff\0".to_vec(), body.clone()], "in pieces of {size}");
        }
    }

    #[tokio::test]
    async fn a_stream_that_breaks_off_is_an_error() {
        for (wire, pieces) in [
            (vec![1, 0, 0], 0),
            (frame(1, b"abcd")[..10].to_vec(), 1),
            (frame(3, b"daemon's words"), 0),
            (frame(9, b"x"), 0),
        ] {
            let items = read(&wire, 64).await;
            assert_eq!(items.iter().filter(|item| item.is_ok()).count(), pieces, "{wire:?}");
            assert!(items.iter().any(|item| matches!(item, Err(EngineError::Connection(_)))), "{wire:?}");
        }
    }
}

//! The conversation with one supervisor: commands in, masked output and reports out.

use std::collections::VecDeque;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::Fuse;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::redact::{Mask, Redactor};
use super::supervisor::{Nonce, Piece, Report, Scanner};
use crate::engine::{Chunk, ContainerId, EngineError, Output, Session};
use crate::event::Stream;

/// How much of a tar archive goes in one piece: the supervisor holds one in memory.
const UNPACK_PIECE: usize = 1024 * 1024;

/// What came out of the container.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Bytes of a step, masked.
    Log { stream: Stream, bytes: Bytes },
    /// A word of the supervisor.
    Report { stream: Stream, report: Report },
    /// Nothing more will come: the container ended.
    Closed,
}

/// One of the container's two streams.
struct Ear {
    scanner: Scanner,
    redactor: Redactor,
}

/// A container whose first process is the supervisor.
pub(super) struct Conversation {
    id: ContainerId,
    nonce: Nonce,
    stdin: Pin<Box<dyn AsyncWrite + Send>>,
    output: Fuse<Output>,
    stdout: Ear,
    stderr: Ear,
    heard: VecDeque<Heard>,
    pieces: Vec<Piece>,
}

impl Conversation {
    pub(super) fn new(session: Session, nonce: Nonce, mask: &Mask) -> Self {
        let ear = || Ear { scanner: Scanner::new(&nonce), redactor: mask.stream() };
        Self {
            id: session.id,
            stdout: ear(),
            stderr: ear(),
            nonce,
            stdin: session.stdin,
            output: session.output.fuse(),
            heard: VecDeque::new(),
            pieces: Vec::new(),
        }
    }

    pub(super) fn id(&self) -> &ContainerId {
        &self.id
    }

    pub(super) fn nonce(&self) -> &Nonce {
        &self.nonce
    }

    /// Says something. A container that is gone is noticed when listening, so a failure to write is not told here.
    pub(super) async fn say(&mut self, text: &str) {
        let _ = self.write(text.as_bytes()).await;
    }

    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stdin.write_all(bytes).await?;
        self.stdin.flush().await
    }

    /// Sends a tar archive to be unpacked below `directory`.
    pub(super) async fn unpack(
        &mut self,
        directory: &str,
        tar: &mut (dyn AsyncRead + Send + Unpin),
    ) -> std::io::Result<()> {
        self.write(format!("unpack {directory}\n").as_bytes()).await?;
        let mut piece = Vec::with_capacity(64 * 1024);
        loop {
            piece.clear();
            (&mut *tar).take(UNPACK_PIECE as u64).read_to_end(&mut piece).await?;
            self.write(format!("{}\n", piece.len()).as_bytes()).await?;
            if piece.is_empty() {
                return Ok(());
            }
            self.write(&piece).await?;
        }
    }

    /// The next thing that comes. Cancel-safe: nothing is lost when the future is dropped.
    pub(super) async fn listen(&mut self) -> Result<Heard, EngineError> {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return Ok(heard);
            }
            match self.output.next().await {
                Some(Ok(chunk)) => self.take(chunk),
                Some(Err(error)) => return Err(error),
                None => self.close(),
            }
        }
    }

    /// Says nothing more, which ends the container, and waits until it has ended.
    pub(super) async fn hang_up(self) {
        let Self { stdin, mut output, .. } = self;
        drop(stdin);
        while let Some(Ok(_)) = output.next().await {}
    }

    fn take(&mut self, chunk: Chunk) {
        let ear = match chunk.stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        ear.scanner.feed(chunk.bytes, &mut self.pieces);
        for piece in self.pieces.drain(..) {
            match piece {
                Piece::Bytes(bytes) => {
                    push_log(&mut self.heard, chunk.stream, ear.redactor.feed(bytes));
                }
                Piece::Report(report) => {
                    push_log(&mut self.heard, chunk.stream, ear.redactor.flush());
                    self.heard.push_back(Heard::Report { stream: chunk.stream, report });
                }
            }
        }
    }

    fn close(&mut self) {
        for (stream, ear) in [(Stream::Stdout, &mut self.stdout), (Stream::Stderr, &mut self.stderr)] {
            let rest = ear.scanner.rest();
            push_log(&mut self.heard, stream, ear.redactor.feed(rest));
            push_log(&mut self.heard, stream, ear.redactor.flush());
        }
        self.heard.push_back(Heard::Closed);
    }
}

fn push_log(heard: &mut VecDeque<Heard>, stream: Stream, bytes: Bytes) {
    if !bytes.is_empty() {
        heard.push_back(Heard::Log { stream, bytes });
    }
}

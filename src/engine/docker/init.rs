//! Tells a program that the container's init could not run from the program's own output.
//!
//! Under an init the start always succeeds: the init is there. It then says on stderr that it cannot run the program,
//! and that line, where it comes before anything else, is an error of the machinery and nothing of the job's.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;

use crate::engine::{Chunk, EngineError};
use crate::event;

/// How the complaints of Docker's init (tini) and Podman's (catatonit) begin.
const COMPLAINTS: [&[u8]; 2] = [b"[FATAL tini (", b"ERROR (catatonit:"];
/// No complaint is longer, but for a very long name.
const LONGEST: usize = 4096;

/// A container's output, with the init's complaint as the error that it is.
pub(super) struct Watched<S> {
    output: S,
    state: State,
}

enum State {
    /// Nothing but the beginning of a complaint was seen, if that.
    Opening { held: Vec<u8>, program: String, image: String },
    /// What came after the bytes that were held.
    Behind(Option<Result<Chunk, EngineError>>),
    /// The program runs.
    Running,
}

/// Watches the beginning of a container's output, in which the init was asked to run `program`.
pub(super) fn watch<S>(output: S, program: &str, image: &str) -> Watched<S> {
    Watched { output, state: State::Opening { held: Vec::new(), program: program.to_owned(), image: image.to_owned() } }
}

impl<S: Stream<Item = Result<Chunk, EngineError>> + Unpin> Stream for Watched<S> {
    type Item = Result<Chunk, EngineError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let this = &mut *self;
            let State::Opening { held, program, image } = &mut this.state else {
                return match std::mem::replace(&mut this.state, State::Running) {
                    State::Behind(item) => Poll::Ready(item),
                    _ => Pin::new(&mut this.output).poll_next(context),
                };
            };
            match ready!(Pin::new(&mut this.output).poll_next(context)) {
                Some(Ok(Chunk { stream: event::Stream::Stderr, bytes })) => {
                    held.extend_from_slice(&bytes);
                    match verdict(held) {
                        Verdict::Undecided => continue,
                        Verdict::Missing => {
                            let error = EngineError::ProgramMissing {
                                program: std::mem::take(program),
                                image: std::mem::take(image),
                            };
                            self.state = State::Running;
                            return Poll::Ready(Some(Err(error)));
                        }
                        Verdict::Output => {
                            let held = chunk(std::mem::take(held));
                            self.state = State::Running;
                            return Poll::Ready(Some(Ok(held)));
                        }
                    }
                }
                item if held.is_empty() => {
                    self.state = State::Running;
                    return Poll::Ready(item);
                }
                item => {
                    let held = chunk(std::mem::take(held));
                    self.state = State::Behind(item);
                    return Poll::Ready(Some(Ok(held)));
                }
            }
        }
    }
}

fn chunk(bytes: Vec<u8>) -> Chunk {
    Chunk { stream: event::Stream::Stderr, bytes: bytes.into() }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It may still become a complaint.
    Undecided,
    /// The init says that there is no such program, or none that may be run.
    Missing,
    /// Something else.
    Output,
}

fn verdict(held: &[u8]) -> Verdict {
    let begins = COMPLAINTS.iter().any(|complaint| held.starts_with(complaint));
    let may_begin = COMPLAINTS.iter().any(|complaint| complaint.starts_with(held));
    let Some(end) = memchr::memchr(b'\n', held) else {
        return if may_begin || begins && held.len() < LONGEST { Verdict::Undecided } else { Verdict::Output };
    };
    let line = String::from_utf8_lossy(&held[..end]);
    let exec = line.contains("exec ") && line.contains("failed");
    let missing = ["No such file or directory", "Permission denied", "Not a directory"]
        .iter()
        .any(|reason| line.ends_with(reason));
    if begins && exec && missing { Verdict::Missing } else { Verdict::Output }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use event::Stream::{Stderr, Stdout};
    use futures_util::{FutureExt, StreamExt, stream};

    /// What a watched output gives: `o:` and `e:` for the streams, `missing` for the error.
    fn watched(pieces: &[(event::Stream, &'static str)]) -> Vec<String> {
        let pieces: Vec<_> =
            pieces.iter().map(|(stream, text)| Ok(Chunk { stream: *stream, bytes: (*text).into() })).collect();
        let items = watch(stream::iter(pieces), "nosuch", "image").map(|item| match item {
            Ok(Chunk { stream: Stdout, bytes }) => format!("o:{}", String::from_utf8_lossy(&bytes)),
            Ok(Chunk { stream: Stderr, bytes }) => format!("e:{}", String::from_utf8_lossy(&bytes)),
            Err(EngineError::ProgramMissing { program, image }) => {
                format!("missing {program} {image}")
            }
            Err(e) => panic!("{e}"),
        });
        items.collect().now_or_never().unwrap()
    }

    #[test]
    fn a_complaint_of_the_init_is_an_error() {
        let tini =
            [(Stderr, "[FATAL tini (7)] "), (Stderr, "exec nosuch failed: No such file or directory"), (Stderr, "\n")];
        assert_eq!(watched(&tini), ["missing nosuch image"]);
        assert_eq!(
            watched(&[(Stderr, "[FATAL tini (8)] exec /etc failed: Permission denied\n")]),
            ["missing nosuch image"]
        );
        assert_eq!(
            watched(&[(Stderr, "ERROR (catatonit:2): failed to exec pid1: No such file or directory\n")]),
            ["missing nosuch image"]
        );
    }

    #[test]
    fn everything_else_passes_unchanged() {
        for pieces in [
            &[(Stdout, "a"), (Stderr, "[FATAL tini (7)] exec nosuch failed: No such file or directory\n")][..],
            &[(Stderr, "[FATAL"), (Stdout, "a"), (Stderr, "b")],
            &[(Stderr, "[FATAL tini (7)] exec x failed: Exec format error\n"), (Stderr, "more")],
            &[(Stderr, "warn"), (Stderr, "[FATAL tini (7)] ")],
            &[(Stderr, "[FATAL tini (")],
            &[],
        ] {
            let same: Vec<_> =
                pieces.iter().map(|(s, t)| format!("{}:{t}", if *s == Stdout { 'o' } else { 'e' })).collect();
            assert_eq!(watched(pieces), same);
        }
    }
}

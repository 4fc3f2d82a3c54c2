//! The protocol's framing over a pair of streams: headers, an empty line, JSON.
//!
//! lsp-server's own reader ends at the first message that is no JSON. Here such a message is answered, and the next one
//! read, as JSON-RPC wants (<https://www.jsonrpc.org/specification#error_object>).

use std::io::{self, BufRead, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use lsp_server::{Connection, ErrorCode, Message};

/// The largest message that is read: 64 MiB. A text that is too large for a pipeline is answered with a finding; this is
/// far beyond.
const MAX_MESSAGE: u64 = 64 * 1024 * 1024;

/// The threads that serve a pair of streams.
#[derive(Debug)]
pub struct Threads {
    writer: JoinHandle<io::Result<()>>,
}

impl Threads {
    /// Waits until all answers are written; the connection must be dropped before. The reader is not waited for: only
    /// the other side can end it.
    ///
    /// # Errors
    /// Where they could not be written.
    pub fn finish(self) -> io::Result<()> {
        self.writer.join().unwrap_or_else(|_| Err(io::Error::other("the writer ended early")))
    }
}

/// A connection over a pair of streams.
///
/// # Errors
/// Where no thread can be started.
pub fn connect(
    mut input: impl BufRead + Send + 'static,
    output: impl Write + Send + 'static,
) -> io::Result<(Connection, Threads)> {
    let (server, far) = Connection::memory();
    let (to_server, from_server) = (far.sender, far.receiver);
    let output = Arc::new(Mutex::new(output));
    let shared = Arc::clone(&output);
    thread::Builder::new().name("lsp-reader".to_owned()).spawn(move || {
        // Without a length, nobody knows where the next message begins: such a stream has ended.
        while let Ok(Some(content)) = read(&mut input) {
            let goes_on = match serde_json::from_slice::<Message>(&content) {
                Ok(message) => to_server.send(message).is_ok(),
                Err(error) => refuse(&mut *shared.lock().unwrap_or_else(PoisonError::into_inner), &error).is_ok(),
            };
            if !goes_on {
                break;
            }
        }
    })?;
    let writer = thread::Builder::new().name("lsp-writer".to_owned()).spawn(move || {
        from_server.into_iter().try_for_each(|message| {
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            message.write(&mut *output)
        })
    })?;
    Ok((server, Threads { writer }))
}

/// The content of the next message; `None` at the end.
fn read(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut length: Option<u64> = None;
    loop {
        let mut line = Vec::new();
        if input.by_ref().take(4096).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok();
        }
    }
    let length = length.filter(|length| *length <= MAX_MESSAGE);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a message without a length"))?;
    let mut content = Vec::new();
    input.take(length).read_to_end(&mut content)?;
    Ok(Some(content))
}

/// Answers what could not be read. It has no id to answer to.
fn refuse(output: &mut impl Write, error: &serde_json::Error) -> io::Result<()> {
    // JSON that is no message of the protocol is a bad request.
    let code = if error.is_data() { ErrorCode::InvalidRequest } else { ErrorCode::ParseError };
    let answer = serde_json::json!({
        "jsonrpc": "2.0",
        "id": null,
        "error": { "code": code as i32, "message": error.to_string() },
    });
    let answer = answer.to_string();
    write!(output, "Content-Length: {}\r\n\r\n{answer}", answer.len())?;
    output.flush()
}

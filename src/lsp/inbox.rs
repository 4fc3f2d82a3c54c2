//! What a client sent and is not handled yet. Reading ahead shows what was taken back, and that more edits wait.

use std::collections::VecDeque;

use lsp_server::{Connection, Message, Notification, RequestId};
use lsp_types::notification::{Cancel, Notification as _};
use lsp_types::{CancelParams, NumberOrString};

/// The messages of a connection.
pub(super) struct Inbox<'c> {
    connection: &'c Connection,
    waiting: VecDeque<Message>,
}

/// Where no message is waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Empty {
    /// More may come.
    Waits,
    /// The client is gone.
    Gone,
}

impl<'c> Inbox<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self { connection, waiting: VecDeque::new() }
    }

    /// The next message, where one has come.
    pub(super) fn next(&mut self) -> Result<Message, Empty> {
        self.waiting.extend(self.connection.receiver.try_iter());
        self.waiting.pop_front().ok_or(Empty::Waits)
    }

    /// The next message.
    pub(super) fn wait(&mut self) -> Result<Message, Empty> {
        match self.next() {
            Ok(message) => Ok(message),
            Err(_) => self.connection.receiver.recv().map_err(|_| Empty::Gone),
        }
    }

    /// Whether a request was taken back since.
    pub(super) fn is_cancelled(&self, id: &RequestId) -> bool {
        self.waiting.iter().any(|message| match message {
            Message::Notification(notification) => cancelled(notification).as_ref() == Some(id),
            _ => false,
        })
    }
}

/// The request that a message takes back.
fn cancelled(notification: &Notification) -> Option<RequestId> {
    if notification.method != Cancel::METHOD {
        return None;
    }
    let params: CancelParams = serde_json::from_value(notification.params.clone()).ok()?;
    Some(match params.id {
        NumberOrString::Number(id) => id.into(),
        NumberOrString::String(id) => id.into(),
    })
}

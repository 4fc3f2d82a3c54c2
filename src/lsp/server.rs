//! The loop over a client's messages: which one is answered by what, and when a pipeline is looked at anew.

use lsp_server::{Connection, ErrorCode, Message, Notification, Request, RequestId, Response};
use lsp_types::notification::{
    DidChangeTextDocument, DidChangeWatchedFiles, DidCloseTextDocument, DidOpenTextDocument, DidSaveTextDocument, Exit,
    Notification as _, PublishDiagnostics,
};
use lsp_types::request::{
    CodeActionRequest, CodeLensRequest, Completion, DocumentHighlightRequest, DocumentSymbolRequest, ExecuteCommand,
    GotoDefinition, HoverRequest, Initialize, PrepareRenameRequest, References, Rename, Request as _, Shutdown,
};
use serde::de::DeserializeOwned;

use super::client::Client;
use super::inbox::{Empty, Inbox};
use super::publish::Published;
use super::workspace::Workspace;
use super::{Farewell, Options, actions, completion, hover, navigate, rename, symbols};

/// Why a request is not answered as it was meant.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: ErrorCode,
    /// For people.
    pub(super) message: String,
}

impl Refusal {
    /// The request is understood, and cannot be done.
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self { code: ErrorCode::RequestFailed, message: message.into() }
    }
}

/// What a request is answered from.
pub(super) struct Knowledge {
    pub(super) client: Client,
    pub(super) workspace: Workspace,
}

/// How far the conversation is.
enum Stage {
    /// Before `initialize`.
    Begins(Options),
    Talks(Box<Knowledge>),
    /// After `shutdown`.
    Ends,
}

/// A server and its client.
pub(super) struct Server<'c> {
    connection: &'c Connection,
    inbox: Inbox<'c>,
    stage: Stage,
    published: Published,
}

impl<'c> Server<'c> {
    pub(super) fn new(connection: &'c Connection, options: Options) -> Self {
        let inbox = Inbox::new(connection);
        Self { connection, inbox, stage: Stage::Begins(options), published: Published::default() }
    }

    /// Handles messages until the client leaves.
    pub(super) fn run(mut self) -> Farewell {
        loop {
            let message = match self.inbox.next() {
                Ok(message) => message,
                Err(_) => {
                    // Nothing waits: all edits that have come are in the text that is looked at now.
                    if self.publish().is_none() {
                        return Farewell::Abrupt;
                    }
                    match self.inbox.wait() {
                        Ok(message) => message,
                        Err(Empty::Gone | Empty::Waits) => return Farewell::Abrupt,
                    }
                }
            };
            match message {
                Message::Request(request) => {
                    let response = self.request(request);
                    if self.connection.sender.send(response.into()).is_err() {
                        return Farewell::Abrupt;
                    }
                }
                Message::Notification(notification) if notification.method == Exit::METHOD => {
                    return if matches!(self.stage, Stage::Ends) { Farewell::Proper } else { Farewell::Abrupt };
                }
                Message::Notification(notification) => self.notification(notification),
                // It was asked nothing.
                Message::Response(_) => {}
            }
        }
    }

    /// Looks at what changed, and says what was found. `None` where nobody listens.
    fn publish(&mut self) -> Option<()> {
        let Stage::Talks(knowledge) = &mut self.stage else { return Some(()) };
        knowledge.workspace.refresh();
        for params in self.published.news(&knowledge.workspace) {
            let notification = Notification::new(PublishDiagnostics::METHOD.to_owned(), params);
            self.connection.sender.send(notification.into()).ok()?;
        }
        Some(())
    }

    fn request(&mut self, request: Request) -> Response {
        let id = request.id.clone();
        if self.inbox.is_cancelled(&id) {
            return refused(id, ErrorCode::RequestCanceled, "the request was taken back");
        }
        let stage = std::mem::replace(&mut self.stage, Stage::Ends);
        let (stage, response) = match (stage, request.method.as_str()) {
            (Stage::Begins(options), Initialize::METHOD) => begin(request, options),
            (Stage::Begins(options), _) => {
                (Stage::Begins(options), refused(id, ErrorCode::ServerNotInitialized, "`initialize` comes first"))
            }
            (Stage::Talks(_), Shutdown::METHOD) => (Stage::Ends, Response::new_ok(id, ())),
            (Stage::Talks(mut knowledge), _) => {
                let response = knowledge.answer(request);
                (Stage::Talks(knowledge), response)
            }
            (Stage::Ends, _) => (Stage::Ends, refused(id, ErrorCode::InvalidRequest, "the server is shut down")),
        };
        self.stage = stage;
        response
    }

    fn notification(&mut self, notification: Notification) {
        let Stage::Talks(knowledge) = &mut self.stage else { return };
        let workspace = &mut knowledge.workspace;
        match notification.method.as_str() {
            DidOpenTextDocument::METHOD => {
                if let Some(params) = told::<DidOpenTextDocument>(notification) {
                    workspace.open(params.text_document);
                }
            }
            DidChangeTextDocument::METHOD => {
                if let Some(params) = told::<DidChangeTextDocument>(notification) {
                    let document = params.text_document;
                    workspace.change(&document.uri, document.version, params.content_changes);
                }
            }
            DidCloseTextDocument::METHOD => {
                if let Some(params) = told::<DidCloseTextDocument>(notification) {
                    workspace.close(&params.text_document.uri);
                }
            }
            DidSaveTextDocument::METHOD | DidChangeWatchedFiles::METHOD => workspace.look_again(),
            // `initialized`, `$/…`, and what is not for this server.
            _ => {}
        }
    }
}

fn begin(request: Request, options: Options) -> (Stage, Response) {
    let id = request.id;
    let params: lsp_types::InitializeParams = match serde_json::from_value(request.params) {
        Ok(params) => params,
        Err(error) => {
            return (Stage::Begins(options), refused(id, ErrorCode::InvalidParams, &error.to_string()));
        }
    };
    let client = Client::of(&params.capabilities);
    let workspace = Workspace::new(client.encoding, options.remote);
    (Stage::Talks(Box::new(Knowledge { client, workspace })), Response::new_ok(id, client.welcome()))
}

impl Knowledge {
    fn answer(&mut self, request: Request) -> Response {
        // Completion comes with every letter, and takes names from the texts as they are.
        if request.method != Completion::METHOD {
            self.workspace.refresh();
        }
        match request.method.as_str() {
            Completion::METHOD => self.with::<Completion>(request, completion::complete),
            HoverRequest::METHOD => self.with::<HoverRequest>(request, hover::hover),
            GotoDefinition::METHOD => self.with::<GotoDefinition>(request, navigate::definition),
            References::METHOD => self.with::<References>(request, navigate::references),
            DocumentHighlightRequest::METHOD => self.with::<DocumentHighlightRequest>(request, navigate::highlights),
            DocumentSymbolRequest::METHOD => self.with::<DocumentSymbolRequest>(request, symbols::symbols),
            PrepareRenameRequest::METHOD => self.with::<PrepareRenameRequest>(request, rename::prepare),
            Rename::METHOD => self.with::<Rename>(request, rename::rename),
            CodeActionRequest::METHOD => self.with::<CodeActionRequest>(request, actions::quick_fixes),
            CodeLensRequest::METHOD => self.with::<CodeLensRequest>(request, actions::lenses),
            ExecuteCommand::METHOD => refused(
                request.id,
                ErrorCode::RequestFailed,
                "`argon.run` and `argon.debug` are commands of the editor: this server starts no program",
            ),
            method => refused(request.id, ErrorCode::MethodNotFound, &format!("there is no method `{method}`")),
        }
    }

    fn with<R>(&mut self, request: Request, answer: fn(&Self, &R::Params) -> Result<R::Result, Refusal>) -> Response
    where
        R: lsp_types::request::Request,
        R::Params: DeserializeOwned,
        R::Result: serde::Serialize,
    {
        let id = request.id;
        let params: R::Params = match serde_json::from_value(request.params) {
            Ok(params) => params,
            Err(error) => return refused(id, ErrorCode::InvalidParams, &error.to_string()),
        };
        match answer(self, &params) {
            Ok(result) => Response::new_ok(id, result),
            Err(refusal) => refused(id, refusal.code, &refusal.message),
        }
    }
}

fn told<N>(notification: Notification) -> Option<N::Params>
where
    N: lsp_types::notification::Notification,
    N::Params: DeserializeOwned,
{
    serde_json::from_value(notification.params).ok()
}

fn refused(id: RequestId, code: ErrorCode, message: &str) -> Response {
    Response::new_err(id, code as i32, message.to_owned())
}

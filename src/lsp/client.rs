//! What a client can, as it says at the start, and what this server offers it.

use lsp_types::{
    ClientCapabilities, CodeActionKind, CodeActionOptions, CodeActionProviderCapability, CodeLensOptions,
    CompletionOptions, HoverProviderCapability, InitializeResult, InsertTextMode, OneOf, PositionEncodingKind,
    RenameOptions, SaveOptions, ServerCapabilities, ServerInfo, TextDocumentSyncCapability, TextDocumentSyncKind,
    TextDocumentSyncOptions, TextDocumentSyncSaveOptions,
};

use super::text::Encoding;

/// What the answers to a client may hold.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Client {
    pub(super) encoding: Encoding,
    pub(super) insertion: Insertion,
    pub(super) edits: Edits,
}

/// What a completion inserts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Insertion {
    /// One line.
    #[default]
    Plain,
    /// A snippet, the lines of which the client indents as the line they are inserted in.
    Snippet,
    /// A snippet whose lines stand as they are.
    SnippetAsIs,
}

/// How a change of several files is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Edits {
    /// By their URIs.
    #[default]
    Changes,
    /// By their URIs and versions.
    DocumentChanges,
}

impl Client {
    /// Reads what a client says of itself.
    pub(super) fn of(capabilities: &ClientCapabilities) -> Self {
        let encodings = capabilities.general.as_ref().and_then(|general| general.position_encodings.as_deref());
        let item = capabilities.text_document.as_ref().and_then(|document| document.completion.as_ref());
        let item = item.and_then(|completion| completion.completion_item.as_ref());
        let has_snippets = item.and_then(|item| item.snippet_support) == Some(true);
        let modes = item.and_then(|item| item.insert_text_mode_support.as_ref());
        let is_as_is = modes.is_some_and(|modes| modes.value_set.contains(&InsertTextMode::AS_IS));
        let edit = capabilities.workspace.as_ref().and_then(|workspace| workspace.workspace_edit.as_ref());
        Self {
            encoding: match encodings {
                Some(offered) if offered.contains(&PositionEncodingKind::UTF8) => Encoding::Utf8,
                _ => Encoding::Utf16,
            },
            insertion: match (has_snippets, is_as_is) {
                (true, true) => Insertion::SnippetAsIs,
                (true, false) => Insertion::Snippet,
                (false, _) => Insertion::Plain,
            },
            edits: match edit.and_then(|edit| edit.document_changes) {
                Some(true) => Edits::DocumentChanges,
                _ => Edits::Changes,
            },
        }
    }

    /// What the server offers.
    pub(super) fn welcome(self) -> InitializeResult {
        let sync = TextDocumentSyncOptions {
            open_close: Some(true),
            change: Some(TextDocumentSyncKind::INCREMENTAL),
            save: Some(TextDocumentSyncSaveOptions::SaveOptions(SaveOptions { include_text: Some(false) })),
            ..TextDocumentSyncOptions::default()
        };
        let triggers = [" ", ".", "[", "{", ",", "("].map(str::to_owned).to_vec();
        InitializeResult {
            capabilities: ServerCapabilities {
                position_encoding: Some(self.encoding.kind()),
                text_document_sync: Some(TextDocumentSyncCapability::Options(sync)),
                completion_provider: Some(CompletionOptions {
                    trigger_characters: Some(triggers),
                    ..CompletionOptions::default()
                }),
                hover_provider: Some(HoverProviderCapability::Simple(true)),
                definition_provider: Some(OneOf::Left(true)),
                references_provider: Some(OneOf::Left(true)),
                document_highlight_provider: Some(OneOf::Left(true)),
                document_symbol_provider: Some(OneOf::Left(true)),
                rename_provider: Some(OneOf::Right(RenameOptions {
                    prepare_provider: Some(true),
                    work_done_progress_options: lsp_types::WorkDoneProgressOptions::default(),
                })),
                code_action_provider: Some(CodeActionProviderCapability::Options(CodeActionOptions {
                    code_action_kinds: Some(vec![CodeActionKind::QUICKFIX]),
                    ..CodeActionOptions::default()
                })),
                code_lens_provider: Some(CodeLensOptions { resolve_provider: Some(false) }),
                ..ServerCapabilities::default()
            },
            server_info: Some(ServerInfo {
                name: "argon".to_owned(),
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            }),
        }
    }
}

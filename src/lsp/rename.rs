//! A new name for a job: at its key, in every `needs`, in every expression, in all files of the pipeline.

use std::collections::HashMap;

use lsp_types::{
    DocumentChanges, OneOf, OptionalVersionedTextDocumentIdentifier, PrepareRenameResponse, RenameParams,
    TextDocumentEdit, TextDocumentPositionParams, TextEdit, Uri, WorkspaceEdit,
};

use super::client::Edits;
use super::names::{Occurrence, Role, Symbol};
use super::navigate::Found;
use super::server::{Knowledge, Refusal};
use crate::pipeline::is_identifier;

/// What would be renamed at a position.
pub(super) fn prepare(
    knowledge: &Knowledge,
    params: &TextDocumentPositionParams,
) -> Result<Option<PrepareRenameResponse>, Refusal> {
    let found = job_at(knowledge, params)?;
    let span = &found.occurrence.span;
    let placeholder = found.view.text.slice(span).to_owned();
    Ok(Some(PrepareRenameResponse::RangeWithPlaceholder { range: found.view.text.range(span), placeholder }))
}

/// The edits that give a job another name.
pub(super) fn rename(knowledge: &Knowledge, params: &RenameParams) -> Result<Option<WorkspaceEdit>, Refusal> {
    let at = &params.text_document_position;
    let found = job_at(knowledge, at)?;
    let new = params.new_name.trim();
    let uri = &at.text_document.uri;
    let same = knowledge.same(uri, &found.occurrence);
    refuse_bad(new)?;
    refuse_taken(knowledge, uri, &found.occurrence, new)?;
    if !same.iter().any(|found| found.occurrence.role == Role::Definition) {
        let old = found.view.text.slice(&found.occurrence.span);
        return Err(Refusal::failed(format!("there is no job `{old}` that could be renamed")));
    }
    let mut by_file: Vec<(Uri, Vec<TextEdit>)> = Vec::new();
    for Found { view, occurrence } in &same {
        let edit = TextEdit { range: view.text.range(&occurrence.span), new_text: new.to_owned() };
        match by_file.iter_mut().find(|(uri, _)| *uri == view.uri) {
            Some((_, edits)) => edits.push(edit),
            None => by_file.push((view.uri.clone(), vec![edit])),
        }
    }
    Ok(Some(edit(knowledge, by_file)))
}

fn job_at(knowledge: &Knowledge, at: &TextDocumentPositionParams) -> Result<Found, Refusal> {
    let found = knowledge.named(at).filter(|found| matches!(found.occurrence.symbol, Symbol::Job(_)));
    found.ok_or_else(|| Refusal::failed("only jobs can be renamed: put the cursor on a job's key"))
}

fn refuse_bad(new: &str) -> Result<(), Refusal> {
    if is_identifier(new) {
        return Ok(());
    }
    Err(Refusal::failed(format!(
        "`{new}` cannot be the key of a job: begin with a letter or `_`, go on with letters, digits, `_` and `-`, 100 at most"
    )))
}

fn refuse_taken(knowledge: &Knowledge, uri: &Uri, renamed: &Occurrence, new: &str) -> Result<(), Refusal> {
    let taken = Symbol::Job(new.to_owned());
    if taken == renamed.symbol {
        return Ok(());
    }
    let files = knowledge.workspace.around(uri);
    let is_taken = files.iter().any(|view| view.text.names().said().any(|said| said.symbol == taken));
    if is_taken { Err(Refusal::failed(format!("there is a job `{new}` already"))) } else { Ok(()) }
}

/// The edits of several files, in the client's way.
pub(super) fn edit(knowledge: &Knowledge, by_file: Vec<(Uri, Vec<TextEdit>)>) -> WorkspaceEdit {
    match knowledge.client.edits {
        Edits::DocumentChanges => {
            let edits = by_file.into_iter().map(|(uri, edits)| {
                let version = knowledge.workspace.document(&uri).map(|document| document.version);
                let edits = edits.into_iter().map(OneOf::Left).collect();
                TextDocumentEdit { text_document: OptionalVersionedTextDocumentIdentifier { uri, version }, edits }
            });
            let changes = DocumentChanges::Edits(edits.collect());
            WorkspaceEdit { document_changes: Some(changes), ..WorkspaceEdit::default() }
        }
        Edits::Changes => {
            // The protocol's own type: a URI does not change while it is a key.
            #[expect(clippy::mutable_key_type)]
            let changes: HashMap<Uri, Vec<TextEdit>> = by_file.into_iter().collect();
            WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() }
        }
    }
}

//! From a name to where it is said, and to all places that use it.

use lsp_types::{
    DocumentHighlight, DocumentHighlightKind, DocumentHighlightParams, GotoDefinitionParams, GotoDefinitionResponse,
    Location, Range, ReferenceParams, TextDocumentPositionParams, Uri,
};

use super::disk;
use super::names::{Occurrence, Role, Symbol};
use super::server::{Knowledge, Refusal};
use super::workspace::View;

/// A place in one of the texts of a pipeline.
pub(super) struct Found {
    pub(super) view: View,
    pub(super) occurrence: Occurrence,
}

impl Found {
    fn location(&self) -> Location {
        Location { uri: self.view.uri.clone(), range: self.view.text.range(&self.occurrence.span) }
    }
}

impl Knowledge {
    /// What stands at a position of a document.
    pub(super) fn named(&self, at: &TextDocumentPositionParams) -> Option<Found> {
        let view = self.workspace.view(&at.text_document.uri)?;
        let offset = view.text.offset(at.position);
        let occurrence = view.text.names().at(offset)?.clone();
        Some(Found { view, occurrence })
    }

    /// All places that name the same, the document's own first.
    pub(super) fn same(&self, uri: &Uri, wanted: &Occurrence) -> Vec<Found> {
        let mut found = Vec::new();
        for view in self.workspace.around(uri) {
            let is_here = view.uri == *uri;
            let names = view.text.names();
            let same = names.occurrences.iter().filter(|occurrence| occurrence.symbol == wanted.symbol);
            let same = same.filter(|occurrence| is_one_scope(wanted, occurrence, is_here));
            found.extend(same.map(|occurrence| Found { view: view.clone(), occurrence: occurrence.clone() }));
        }
        found
    }
}

/// A variable is that of its job, or of its file; other names are known in the whole pipeline, or say their job.
fn is_one_scope(wanted: &Occurrence, other: &Occurrence, is_here: bool) -> bool {
    match wanted.symbol {
        Symbol::Variable(_) => is_here && (wanted.job.is_none() || other.job.is_none() || wanted.job == other.job),
        _ => true,
    }
}

/// Where a name is said; of a file's path: that file.
pub(super) fn definition(
    knowledge: &Knowledge,
    params: &GotoDefinitionParams,
) -> Result<Option<GotoDefinitionResponse>, Refusal> {
    let at = &params.text_document_position_params;
    let Some(found) = knowledge.named(at) else { return Ok(None) };
    if let Symbol::File(path) = &found.occurrence.symbol {
        return Ok(file(knowledge, &at.text_document.uri, path).map(GotoDefinitionResponse::Scalar));
    }
    let all = knowledge.same(&at.text_document.uri, &found.occurrence);
    let said = all.iter().filter(|found| found.occurrence.role == Role::Definition);
    let locations: Vec<Location> = said.map(Found::location).collect();
    Ok((!locations.is_empty()).then_some(GotoDefinitionResponse::Array(locations)))
}

fn file(knowledge: &Knowledge, from: &Uri, path: &str) -> Option<Location> {
    let document = knowledge.workspace.document(from)?;
    let root = match knowledge.workspace.pipeline(from).and_then(|pipeline| pipeline.root.clone()) {
        Some(root) => root,
        None => disk::repository_root(document.path.as_deref()?),
    };
    let target = root.join(path);
    let uri = disk::uri_of(&target)?;
    let uri = knowledge.workspace.document(&uri).map_or(uri, |document| document.uri.clone());
    target.is_file().then(|| Location { uri, range: Range::default() })
}

/// All places that use a name; where the client asks for it, also that which says it.
pub(super) fn references(knowledge: &Knowledge, params: &ReferenceParams) -> Result<Option<Vec<Location>>, Refusal> {
    let at = &params.text_document_position;
    let Some(found) = knowledge.named(at) else { return Ok(None) };
    let wants_all = params.context.include_declaration;
    let all = knowledge.same(&at.text_document.uri, &found.occurrence);
    let wanted = all.iter().filter(|found| wants_all || found.occurrence.role == Role::Reference);
    Ok(Some(wanted.map(Found::location).collect()))
}

/// The places of one document that name the same.
pub(super) fn highlights(
    knowledge: &Knowledge,
    params: &DocumentHighlightParams,
) -> Result<Option<Vec<DocumentHighlight>>, Refusal> {
    let at = &params.text_document_position_params;
    let Some(found) = knowledge.named(at) else { return Ok(None) };
    let all = knowledge.same(&at.text_document.uri, &found.occurrence);
    let here = all.iter().filter(|other| other.view.uri == found.view.uri);
    let highlights = here.map(|found| DocumentHighlight {
        range: found.location().range,
        kind: Some(match found.occurrence.role {
            Role::Definition => DocumentHighlightKind::WRITE,
            Role::Reference => DocumentHighlightKind::READ,
        }),
    });
    Ok(Some(highlights.collect()))
}

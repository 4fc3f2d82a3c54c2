//! The findings on their way to the client: only what it does not know yet, and nothing left standing that is mended.

use std::collections::BTreeMap;

use lsp_types::{Diagnostic, PublishDiagnosticsParams, Uri};

use super::disk;
use super::workspace::Workspace;

/// What the client was told.
#[derive(Debug, Default)]
pub(super) struct Published {
    looks: u64,
    by_document: BTreeMap<String, Told>,
}

#[derive(Debug, Clone, PartialEq)]
struct Told {
    uri: Uri,
    version: Option<i32>,
    diagnostics: Vec<Diagnostic>,
}

impl Published {
    /// What the client is to be told now.
    pub(super) fn news(&mut self, workspace: &Workspace) -> Vec<PublishDiagnosticsParams> {
        if self.looks == workspace.looks() {
            return Vec::new();
        }
        self.looks = workspace.looks();
        let now = current(workspace);
        let mut news: Vec<Told> = now
            .iter()
            .filter(|(id, told)| match self.by_document.get(*id) {
                Some(before) => before != *told,
                // Of an open document, that there is nothing is worth a word.
                None => told.version.is_some() || !told.diagnostics.is_empty(),
            })
            .map(|(_, told)| told.clone())
            .collect();
        let gone = self.by_document.iter().filter(|(id, told)| !now.contains_key(*id) && !told.diagnostics.is_empty());
        news.extend(gone.map(|(_, told)| Told { version: None, diagnostics: Vec::new(), uri: told.uri.clone() }));
        self.by_document = now;
        let params = news.into_iter().map(|told| PublishDiagnosticsParams {
            uri: told.uri,
            diagnostics: told.diagnostics,
            version: told.version,
        });
        params.collect()
    }
}

fn current(workspace: &Workspace) -> BTreeMap<String, Told> {
    let mut all: BTreeMap<String, Told> = BTreeMap::new();
    for pipeline in workspace.pipelines() {
        for file in &pipeline.files {
            let version = workspace.document(&file.uri).map(|document| document.version);
            let told = Told { uri: file.uri.clone(), version, diagnostics: Vec::new() };
            all.entry(disk::identity(&file.uri)).or_insert(told);
        }
        for finding in &pipeline.findings {
            if let Some(told) = all.get_mut(&disk::identity(&finding.uri))
                // A file that two pipelines include has some findings twice.
                && (workspace.pipelines().len() == 1 || !told.diagnostics.contains(&finding.diagnostic))
            {
                told.diagnostics.push(finding.diagnostic.clone());
            }
        }
    }
    all
}

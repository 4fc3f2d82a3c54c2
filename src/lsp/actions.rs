//! What an editor offers to do: quick fixes of findings, and above each job to run it.
//!
//! The commands `argon.run` and `argon.debug` are the editor's to carry out (`argon run JOB`, with `--debug`): a server
//! that starts containers because a client sent a message would be a way around the person.

use lsp_types::{
    CodeAction, CodeActionKind, CodeActionOrCommand, CodeActionParams, CodeActionResponse, CodeLens, CodeLensParams,
    Command, Range, TextEdit,
};
use serde_json::Value;

use super::disk;
use super::rename;
use super::server::{Knowledge, Refusal};

/// The fixes of the findings in a range.
pub(super) fn quick_fixes(
    knowledge: &Knowledge,
    params: &CodeActionParams,
) -> Result<Option<CodeActionResponse>, Refusal> {
    let uri = &params.text_document.uri;
    let wants = |kind: &CodeActionKind| CodeActionKind::QUICKFIX.as_str().starts_with(kind.as_str());
    if params.context.only.as_ref().is_some_and(|only| !only.iter().any(wants)) {
        return Ok(Some(Vec::new()));
    }
    let id = disk::identity(uri);
    let findings = knowledge.workspace.pipelines().iter().flat_map(|pipeline| &pipeline.findings);
    let here = findings.filter(|finding| disk::identity(&finding.uri) == id);
    let mut actions: Vec<CodeActionOrCommand> = Vec::new();
    for finding in here.filter(|finding| touches(&finding.diagnostic.range, &params.range)) {
        let Some(fix) = &finding.fix else { continue };
        let edit = TextEdit { range: fix.range, new_text: fix.replacement.clone() };
        actions.push(CodeActionOrCommand::CodeAction(CodeAction {
            title: fix.title.clone(),
            kind: Some(CodeActionKind::QUICKFIX),
            diagnostics: Some(vec![finding.diagnostic.clone()]),
            edit: Some(rename::edit(knowledge, vec![(uri.clone(), vec![edit])])),
            is_preferred: Some(true),
            ..CodeAction::default()
        }));
    }
    Ok(Some(actions))
}

fn touches(one: &Range, other: &Range) -> bool {
    one.start <= other.end && other.start <= one.end
}

/// `Run` and `Debug` above each job. Their arguments: the URI of the pipeline file, and the job's key.
pub(super) fn lenses(knowledge: &Knowledge, params: &CodeLensParams) -> Result<Option<Vec<CodeLens>>, Refusal> {
    let uri = &params.text_document.uri;
    let Some(view) = knowledge.workspace.view(uri) else { return Ok(None) };
    let main = knowledge.workspace.pipeline(uri).map_or(uri, |pipeline| pipeline.main());
    let lens = |range: Range, title: &str, command: &str, job: &str| CodeLens {
        range,
        command: Some(Command {
            title: title.to_owned(),
            command: command.to_owned(),
            arguments: Some(vec![Value::from(main.as_str()), Value::from(job)]),
        }),
        data: None,
    };
    let jobs = view.text.names().jobs.iter();
    let lenses = jobs.flat_map(|job| {
        let (range, key) = (view.text.range(&job.key.span), job.key.value.as_str());
        [lens(range, "Run", "argon.run", key), lens(range, "Debug", "argon.debug", key)]
    });
    Ok(Some(lenses.collect()))
}

//! What a place means, in words.

use lsp_types::{Hover, HoverContents, HoverParams, MarkupContent, MarkupKind};

use super::expression::{self, Word};
use super::names::{Occurrence, Role, Symbol};
use super::navigate::Found;
use super::outline::Kind as Shape;
use super::place;
use super::server::{Knowledge, Refusal};
use super::symbols;
use super::text::Text;
use crate::pipeline::Span;
use crate::pipeline::language::{Key, Kind};

/// What stands at a position, in Markdown.
pub(super) fn hover(knowledge: &Knowledge, params: &HoverParams) -> Result<Option<Hover>, Refusal> {
    let at = &params.text_document_position_params;
    let Some(view) = knowledge.workspace.view(&at.text_document.uri) else { return Ok(None) };
    let offset = view.text.offset(at.position);
    let told = named(knowledge, at)
        .or_else(|| word_of_expression(&view.text, offset))
        .or_else(|| key_or_value(&view.text, offset));
    Ok(told.map(|(span, value)| Hover {
        contents: HoverContents::Markup(MarkupContent { kind: MarkupKind::Markdown, value }),
        range: Some(view.text.range(&span)),
    }))
}

/// A name that is used: what it stands for.
fn named(knowledge: &Knowledge, at: &lsp_types::TextDocumentPositionParams) -> Option<(Span, String)> {
    let found = knowledge.named(at)?;
    let words = describe(knowledge, &at.text_document.uri, &found.occurrence)?;
    Some((found.occurrence.span, words))
}

fn describe(knowledge: &Knowledge, uri: &lsp_types::Uri, occurrence: &Occurrence) -> Option<String> {
    let said = || {
        let mut all = knowledge.same(uri, occurrence).into_iter();
        all.find(|found| found.occurrence.role == Role::Definition)
    };
    Some(match &occurrence.symbol {
        Symbol::Job(key) => match said() {
            Some(found) => job(&found, key)?,
            None => format!("There is no job `{key}`."),
        },
        Symbol::Output { job, name } => format!("`{name}`: an output of the job `{job}`.{}", value(said())),
        Symbol::Step { job, id } => {
            let name = said().and_then(|found| step_around(&found));
            format!("`{id}`: a step of the job `{job}`.{}", name.map(|name| format!("\n\n{name}")).unwrap_or_default())
        }
        Symbol::Axis { job, name } => format!("`{name}`: of the matrix of the job `{job}`.{}", value(said())),
        Symbol::Secret(name) => match said() {
            Some(_) => format!("`{name}`: a secret that the pipeline declares."),
            None => format!("`{name}`: a secret."),
        },
        Symbol::Variable(name) => format!("`{name}`: a variable.{}", value(said())),
        Symbol::File(path) => format!("`{path}`: a file of this repository; its jobs join this pipeline."),
    })
}

/// Where it is said, as it stands there.
fn value(said: Option<Found>) -> String {
    let Some(found) = said else { return String::new() };
    let text = &found.view.text;
    let line = text.outline().at(found.occurrence.span.start).map(|at| {
        let extent = &text.outline().get(at).extent;
        text.slice(extent).lines().next().unwrap_or_default().trim_end().to_owned()
    });
    line.map(|line| format!("\n\n```yaml\n{line}\n```")).unwrap_or_default()
}

fn step_around(found: &Found) -> Option<String> {
    let text = &found.view.text;
    let outline = text.outline();
    let at = outline.at(found.occurrence.span.start)?;
    let step = outline.line(at).find(|at| outline.get(*at).kind == Shape::Item)?;
    symbols::step_name(text, step)
}

/// A job in a few lines.
fn job(found: &Found, key: &str) -> Option<String> {
    let text = &found.view.text;
    let job = text.names().job(key)?;
    let outline = text.outline();
    let of = |name: &str| symbols::child_text(text, outline, job.at, name);
    let mut lines = vec![format!("**`{key}`**{}", of("name").map(|name| format!(": {name}")).unwrap_or_default())];
    let default = || symbols::child_text(text, outline, outline.child(None, "defaults")?, "image");
    if let Some(image) = of("image").or_else(default) {
        lines.push(format!("Image `{image}`."));
    }
    if !job.needs.is_empty() {
        let needs: Vec<String> = job.needs.iter().map(|need| format!("`{need}`")).collect();
        lines.push(format!("Needs {}.", needs.join(", ")));
    }
    let steps: Vec<String> = job
        .steps
        .iter()
        .enumerate()
        .map(|(at, step)| format!("{}. {}", at + 1, symbols::step_name(text, step.at).unwrap_or_default()))
        .collect();
    lines.push(steps.join("\n"));
    Some(lines.join("\n\n"))
}

/// A context or a function.
fn word_of_expression(text: &Text, offset: usize) -> Option<(Span, String)> {
    let inside = expression_at(text, offset)?;
    let chains = expression::chains(text.slice(&inside), inside.start);
    chains.into_iter().find_map(|chain| {
        let at = chain.names.iter().position(|name| name.span.start <= offset && offset <= name.span.end)?;
        let name = &chain.names[at];
        if at == 0 {
            let word = Word::find(&name.value, chain.is_call)?;
            return Some((name.span.clone(), format!("`{}`\n\n{}", word.shape(), word.doc())));
        }
        let (_, doc) = expression::MEMBERS.iter().find(|(member, _)| *member == name.value)?;
        matches!(chain.names[0].value.as_str(), "needs" | "steps").then(|| (name.span.clone(), (*doc).to_owned()))
    })
}

/// The expression that an offset lies in, whole or not.
pub(super) fn expression_at(text: &Text, offset: usize) -> Option<Span> {
    let outline = text.outline();
    let at = outline.at(offset)?;
    let element = outline.get(at);
    let value = element.value.as_ref()?.span.clone();
    if offset < value.start {
        return None;
    }
    let raw = text.slice(&value);
    if raw.contains("${{") {
        let insides = expression::insides(raw, value.start);
        return insides.into_iter().find(|inside| inside.start <= offset && offset <= inside.end);
    }
    place::allowed(outline, Some(at)).contains(&Kind::Condition).then_some(value)
}

/// A key of the language, or one of its words as a value.
fn key_or_value(text: &Text, offset: usize) -> Option<(Span, String)> {
    let outline = text.outline();
    let at = outline.at(offset)?;
    let element = outline.get(at);
    if let Some(key) = element.key().filter(|key| key.span.start <= offset && offset <= key.span.end) {
        let known = place::key(outline, at)?;
        return Some((key.span.clone(), about_key(known)));
    }
    let span = element.value.as_ref()?.span.clone();
    let words = place::choices(&place::allowed(outline, Some(at))).into_iter();
    let words = words.filter_map(|kind| if let Kind::Words(words) = kind { Some(words) } else { None }).flatten();
    let (_, doc) = words.into_iter().find(|(word, _)| *word == text.slice(&span))?;
    Some((span, (*doc).to_owned()))
}

/// The documentation of a key.
pub(super) fn about_key(key: &Key) -> String {
    let takes = key.kind.words();
    let default = match key.default {
        "required" => "Required.".to_owned(),
        default => format!("Where it does not stand: {default}."),
    };
    format!("{}\n\nTakes {takes}. {default}\n\n```yaml\n{}\n```", key.doc, example(key))
}

/// The example of a key, its lines indented as if the key stood at the left.
fn example(key: &Key) -> String {
    if !key.example.starts_with('\n') {
        return format!("{}: {}", key.name, key.example);
    }
    let lines: Vec<&str> = key.example.trim_start_matches('\n').lines().collect();
    let least = lines.iter().map(|line| line.len() - line.trim_start().len()).min().unwrap_or_default();
    let lines: Vec<String> = lines.iter().map(|line| format!("  {}", &line[least..])).collect();
    format!("{}:\n{}", key.name, lines.join("\n"))
}

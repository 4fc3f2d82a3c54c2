//! The steps of a job.

use std::rc::Rc;

use super::job::Surroundings;
use crate::pipeline::expr::Template;
use crate::pipeline::keys;
use crate::pipeline::language::Mapping;
use crate::pipeline::reader::{Reader, is_identifier};
use crate::pipeline::tree::{Entry, Kind, Node};
use crate::pipeline::{Code, Diagnostic, MAX_STEPS, OnError, Spanned, Step};

/// The steps, as far as they could be read, and whether nothing of them is missing.
pub(super) fn steps(reader: &mut Reader<'_>, entry: &Entry, around: &Surroundings<'_>) -> (Vec<Step>, bool) {
    let node = &entry.value;
    if node.is_null() || matches!(&node.kind, Kind::Seq(items) if items.is_empty()) {
        reader.report(
            Diagnostic::new(Code::NoSteps, entry.key.span.clone(), "`steps` has no step")
                .help("add at least one `- run: …`"),
        );
        return (Vec::new(), false);
    }
    let Some(items) = reader.list("steps", "a list of steps", node) else {
        return (Vec::new(), false);
    };
    if let Some(first_over) = items.get(MAX_STEPS) {
        let message = format!("the job has {} steps, more than {MAX_STEPS}", items.len());
        let at = first_over.span.start..first_over.span.start + 1;
        reader.report(
            Diagnostic::new(Code::TooManySteps, at, message).help("put commands that belong together into one `run`"),
        );
    }
    let read: Vec<(Step, bool)> = items.iter().take(MAX_STEPS).map(|item| step(reader, item, around)).collect();
    let is_whole = read.iter().all(|(_, is_whole)| *is_whole);
    let steps: Vec<Step> = read.into_iter().map(|(step, _)| step).collect();
    doubled_ids(reader, &steps);
    (steps, is_whole)
}

fn doubled_ids(reader: &mut Reader<'_>, steps: &[Step]) {
    let mut seen: std::collections::HashMap<&str, &Spanned<String>> = std::collections::HashMap::new();
    for id in steps.iter().filter_map(|step| step.id.as_ref()) {
        if let Some(first) = seen.insert(&id.value, id) {
            reader.report(
                Diagnostic::new(Code::DuplicateId, id.span.clone(), format!("two steps have the id `{}`", id.value))
                    .label(first.span.clone(), "it stands here first")
                    .help("give each its own: expressions name a step by it"),
            );
        }
    }
}

/// A step, as far as it could be read, and whether nothing of it is missing.
fn step(reader: &mut Reader<'_>, node: &Rc<Node>, around: &Surroundings<'_>) -> (Step, bool) {
    let mut step = Step {
        name: None,
        id: None,
        condition: None,
        run: Spanned { value: Template::default(), span: node.span.clone() },
        env: Vec::new(),
        secrets: Vec::new(),
        shell: None,
        working_directory: None,
        timeout: None,
        retry: None,
        on_error: OnError::default(),
    };
    if let Kind::Plain(text) | Kind::Text(text) = &node.kind
        && !node.is_null()
    {
        let first = text.lines().next().unwrap_or_default();
        reader.report(
            Diagnostic::new(Code::WrongType, node.span.clone(), "a step is a mapping, this is text")
                .help(format!("write `- run: {first}`")),
        );
        return (step, false);
    }
    let Some(entries) = reader.mapping("steps", Mapping::Step, node) else {
        return (step, false);
    };
    let mut run = None;
    for entry in &entries {
        let value = &entry.value;
        match entry.key.value.as_str() {
            "name" => step.name = reader.template("name", value),
            "id" => step.id = id(reader, value),
            "if" => step.condition = reader.condition(value),
            "run" => run = script(reader, entry),
            "env" => step.env = reader.env("env", value),
            "secrets" => step.secrets = reader.secrets(value),
            "shell" => step.shell = reader.shell(value),
            "working-directory" => step.working_directory = reader.working_directory(value),
            "timeout" => step.timeout = reader.duration("timeout", value),
            "continue-on-error" => step.on_error = reader.on_error(value),
            _ => {}
        }
    }
    for secret in &step.secrets {
        undeclared(reader, around, secret);
        if step.env.iter().any(|(name, _)| name.value == secret.value) {
            let message = format!("the step has `{}` both in `env` and in `secrets`", secret.value);
            reader.report(
                Diagnostic::new(Code::SecretIsEnv, secret.span.clone(), message)
                    .help("a secret becomes a variable of its own name: keep one of them"),
            );
        }
    }
    if !entries.iter().any(|entry| entry.key.value == "run") && !keys::is_meant(node, Mapping::Step, "run") {
        let at = entries.first().map_or_else(|| node.span.start..node.span.start + 1, |entry| entry.key.span.clone());
        reader.report(
            Diagnostic::new(Code::MissingKey, at, "the step has no `run`")
                .help("add `run:` with the commands of the step"),
        );
    }
    let is_whole = run.is_some();
    if let Some(run) = run {
        step.run = run;
    }
    (step, is_whole)
}

fn id(reader: &mut Reader<'_>, node: &Node) -> Option<Spanned<String>> {
    let text = reader.filled("id", node)?;
    if !is_identifier(text) {
        reader.report(
            Diagnostic::new(Code::StepId, node.span.clone(), format!("`{text}` cannot be the id of a step"))
                .help("begin with a letter or `_`, go on with letters, digits, `_` and `-`; `name` may be any text"),
        );
        return None;
    }
    Some(Spanned { value: text.to_owned(), span: node.span.clone() })
}

fn script(reader: &mut Reader<'_>, entry: &Entry) -> Option<Spanned<Template>> {
    let node = &entry.value;
    let is_blank = matches!(&node.kind, Kind::Plain(text) | Kind::Text(text) if text.trim().is_empty());
    if is_blank || node.is_null() {
        reader.report(
            Diagnostic::new(Code::EmptyRun, entry.key.span.clone(), "`run` has no command")
                .help("write the commands behind it, or below it after `run: |`"),
        );
        return None;
    }
    Some(Spanned { value: reader.template("run", node)?, span: node.span.clone() })
}

/// Reports a secret that no file declares, where any declares some.
fn undeclared(reader: &mut Reader<'_>, around: &Surroundings<'_>, asked: &Spanned<String>) {
    let Some(declared) = around.declared else {
        return;
    };
    if declared.iter().any(|secret| secret.value == asked.value) {
        return;
    }
    let finding = Diagnostic::new(
        Code::UndeclaredSecret,
        asked.span.clone(),
        format!("the file does not declare the secret `{}`", asked.value),
    );
    reader.report(match keys::near(&asked.value, declared.iter().map(|secret| secret.value.as_str())) {
        Some(near) => finding.suggest(near),
        None => finding.help("add it to `secrets` at the top of the file"),
    });
}

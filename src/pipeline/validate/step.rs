//! The steps of a job.

use std::rc::Rc;

use super::job::Surroundings;
use super::retry;
use super::scripts;
use crate::pipeline::expr::Template;
use crate::pipeline::keys;
use crate::pipeline::language::Mapping;
use crate::pipeline::reader::{Reader, is_identifier};
use crate::pipeline::tree::{Entry, Kind, Node};
use crate::pipeline::{Code, Diagnostic, Job, MAX_STEPS, OnError, Spanned, Step};

/// The steps of a job, as far as they could be read.
#[derive(Default)]
pub(super) struct Steps {
    pub(super) steps: Vec<Step>,
    /// Nothing of them is missing.
    pub(super) is_whole: bool,
    /// The files of the repository that their scripts cannot do without.
    pub(super) named_files: Vec<Spanned<String>>,
}

pub(super) fn steps(reader: &mut Reader<'_>, entry: &Entry, job: &Job, around: &Surroundings<'_>) -> Steps {
    let node = &entry.value;
    if node.is_null() || matches!(&node.kind, Kind::Seq(items) if items.is_empty()) {
        reader.report(
            Diagnostic::new(Code::NoSteps, entry.key.span.clone(), "`steps` has no step")
                .help("add at least one `- run: …`"),
        );
        return Steps::default();
    }
    let Some(items) = reader.list("steps", "a list of steps", node) else {
        return Steps::default();
    };
    if let Some(first_over) = items.get(MAX_STEPS) {
        let message = format!("the job has {} steps, more than {MAX_STEPS}", items.len());
        let at = reader.visible(first_over);
        reader.report(
            Diagnostic::new(Code::TooManySteps, at, message).help("put commands that belong together into one `run`"),
        );
    }
    let mut read = Steps { is_whole: true, ..Steps::default() };
    // Whether a file that a script names must have been there before the job.
    let mut none_made = true;
    for item in items.iter().take(MAX_STEPS) {
        let (step, run) = step(reader, item, around);
        read.is_whole &= run.is_some();
        if let Some(run) = run {
            let shell = step.shell.as_ref().or(job.shell.as_ref()).cloned().unwrap_or_default();
            scripts::check(reader, &run, &shell);
            if none_made {
                read.named_files.extend(scripts::named_files(reader, &run, &step, job, &shell));
            }
            none_made &= scripts::makes_no_files(&run, &shell);
        }
        read.steps.push(step);
    }
    doubled_ids(reader, &read.steps);
    read
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

/// A step, as far as it could be read, and its `run`, where that is one.
fn step(reader: &mut Reader<'_>, node: &Rc<Node>, around: &Surroundings<'_>) -> (Step, Option<Rc<Node>>) {
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
        return (step, None);
    }
    let Some(entries) = reader.mapping("steps", Mapping::Step, node) else {
        return (step, None);
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
            "retry" => step.retry = retry::read(reader, entry),
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
        let at = entries.first().map_or_else(|| reader.visible(node), |entry| entry.key.span.clone());
        reader.report(
            Diagnostic::new(Code::MissingKey, at, "the step has no `run`")
                .help("add `run:` with the commands of the step"),
        );
    }
    let node = run.map(|(script, node)| {
        step.run = script;
        node
    });
    (step, node)
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

fn script(reader: &mut Reader<'_>, entry: &Entry) -> Option<(Spanned<Template>, Rc<Node>)> {
    let node = &entry.value;
    let is_blank = matches!(&node.kind, Kind::Plain(text) | Kind::Text(text) if text.trim().is_empty());
    if is_blank || node.is_null() {
        reader.report(
            Diagnostic::new(Code::EmptyRun, entry.key.span.clone(), "`run` has no command")
                .help("write the commands behind it, or below it after `run: |`"),
        );
        return None;
    }
    let script = Spanned { value: reader.template("run", node)?, span: node.span.clone() };
    Some((script, Rc::clone(node)))
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

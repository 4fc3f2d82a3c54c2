//! The walk over the tree: the file's own keys and its jobs, every finding collected, the model built where it can be.

mod job;

use super::graph::{self, Needs};
use super::keys::Place;
use super::reader::Reader;
use super::tree::{Entry, Kind, Node};
use super::{Code, Defaults, Diagnostic, Job, MAX_JOBS, Pipeline, Spanned, keys};

/// What the jobs need to know of the rest of the file.
struct Context {
    defaults: Defaults,
    default_image: Option<Spanned<String>>,
    /// A default that is there and wrong: the jobs are not blamed for it.
    has_default_image: bool,
    declared: Option<Vec<Spanned<String>>>,
}

/// The pipeline of a file, as far as it can be built.
pub(super) fn pipeline(root: &Node, text: &str, findings: &mut Vec<Diagnostic>) -> Option<Pipeline> {
    if root.is_null() {
        return None;
    }
    let mut reader = Reader { findings, text };
    if !matches!(root.kind, Kind::Map(_)) {
        reader.report(
            Diagnostic::new(
                Code::WrongType,
                first_line(root, text),
                format!("a pipeline file is a mapping, this is {}", root.describe()),
            )
            .help("begin with `jobs:`"),
        );
        return None;
    }
    let entries = reader.mapping("the file", Place::Top, root)?;
    let find = |name: &str| entries.iter().find(|entry| entry.key.value == name);
    if let Some(entry) = find("version") {
        version(&mut reader, &entry.value);
    }
    let name = find("name").and_then(|entry| reader.filled("name", &entry.value)).map(str::to_owned);
    let env = find("env").map(|entry| reader.env(&entry.value)).unwrap_or_default();
    let declared = find("secrets").map(|entry| reader.secrets(&entry.value));
    let context = defaults(&mut reader, find("defaults").copied(), declared);
    let jobs = match find("jobs") {
        Some(entry) => jobs(&mut reader, entry, &context),
        None => {
            if !keys::is_meant(root, Place::Top, "jobs") {
                let at = first_line(root, text);
                reader.report(
                    Diagnostic::new(Code::MissingKey, at, "the file has no `jobs`")
                        .help("add `jobs:` with at least one job"),
                );
            }
            None
        }
    }?;
    unused_secrets(&mut reader, &context, &jobs);
    let secrets = context.declared.unwrap_or_default().into_iter().map(|secret| secret.value).collect();
    Some(Pipeline { name, env, secrets, defaults: context.defaults, jobs })
}

fn first_line(node: &Node, text: &str) -> super::Span {
    let source = text.get(node.span.clone()).unwrap_or_default();
    node.span.start..node.span.start + source.lines().next().unwrap_or_default().len()
}

fn version(reader: &mut Reader<'_>, node: &Node) {
    let Some(text) = reader.text("version", node) else {
        return;
    };
    if !matches!(text, "1" | "1.0") {
        reader.report(
            Diagnostic::new(
                Code::Version,
                node.span.clone(),
                format!("there is no version `{text}` of the pipeline language"),
            )
            .help("write `version: 1.0`"),
        );
    }
}

fn defaults(reader: &mut Reader<'_>, entry: Option<&Entry>, declared: Option<Vec<Spanned<String>>>) -> Context {
    let mut context =
        Context { defaults: Defaults::default(), default_image: None, has_default_image: false, declared };
    let Some(entries) = entry.and_then(|entry| reader.mapping("defaults", Place::Defaults, &entry.value)) else {
        return context;
    };
    for entry in entries {
        let value = &entry.value;
        match entry.key.value.as_str() {
            "image" => {
                context.has_default_image = true;
                context.default_image = reader.image(value);
            }
            "shell" => context.defaults.shell = reader.shell(value),
            "working-directory" => {
                context.defaults.working_directory = reader.working_directory(value);
            }
            "timeout" => context.defaults.timeout = reader.duration("timeout", value),
            _ => {}
        }
    }
    context.defaults.image = context.default_image.as_ref().map(|image| image.value.clone());
    context
}

fn jobs(reader: &mut Reader<'_>, entry: &Entry, context: &Context) -> Option<Vec<Job>> {
    if entry.value.is_null() || matches!(&entry.value.kind, Kind::Map(entries) if entries.is_empty()) {
        reader.report(
            Diagnostic::new(Code::NoJobs, entry.key.span.clone(), "`jobs` has no job")
                .help("add one: a key such as `build`, with `image` and `steps`"),
        );
        return None;
    }
    let entries = reader.open_mapping(
        "jobs",
        "write each job below a key of its own: `build:`, then `image:` and `steps:` below that",
        &entry.value,
    )?;
    if let Some(first_over) = entries.get(MAX_JOBS) {
        reader.report(
            Diagnostic::new(
                Code::TooManyJobs,
                first_over.key.span.clone(),
                format!("the file has {} jobs, more than {MAX_JOBS}", entries.len()),
            )
            .help("join small jobs: steps of one job share a container"),
        );
    }
    let read: Vec<_> = entries.iter().take(MAX_JOBS).map(|entry| (entry, job::read(reader, entry, context))).collect();
    let keys: Vec<&str> = entries.iter().map(|entry| entry.key.value.as_str()).collect();
    let needs: Vec<Needs<'_>> = read.iter().map(|(entry, job)| Needs { key: &entry.key, needs: &job.needs }).collect();
    graph::check(&needs, &keys, reader.findings);
    read.into_iter().map(|(_, job)| job.built).collect()
}

fn unused_secrets(reader: &mut Reader<'_>, context: &Context, jobs: &[Job]) {
    let used: std::collections::HashSet<&str> = jobs
        .iter()
        .flat_map(|job| &job.steps)
        .flat_map(|step| &step.secrets)
        .map(|secret| secret.value.as_str())
        .collect();
    for secret in context.declared.iter().flatten() {
        if !used.contains(secret.value.as_str()) {
            reader.report(
                Diagnostic::new(
                    Code::UnusedSecret,
                    secret.span.clone(),
                    format!("no step asks for the secret `{}`", secret.value),
                )
                .help("add it to the `secrets` of the step that needs it, or remove it here"),
            );
        }
    }
}

/// Reports a secret that the file does not declare, where it declares any.
fn undeclared(reader: &mut Reader<'_>, context: &Context, asked: &Spanned<String>) {
    let Some(declared) = &context.declared else {
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
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None => finding.help("add it to `secrets` at the top of the file"),
    });
}

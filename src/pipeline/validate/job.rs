//! One job and its steps.

use std::num::NonZeroU32;
use std::rc::Rc;

use super::{Context, undeclared};
use crate::pipeline::keys::{self, Place};
use crate::pipeline::reader::Reader;
use crate::pipeline::tree::{Entry, Kind, Node};
use crate::pipeline::{
    Code, Diagnostic, Env, Job, MAX_STEPS, NetworkAccess, OnError, OutputMode, Resources, Spanned, Step,
};

/// A job that was read: its needs count in the graph even where the job could not be built.
pub(super) struct ReadJob {
    pub(super) needs: Vec<Spanned<String>>,
    pub(super) built: Option<Job>,
}

pub(super) fn read(reader: &mut Reader<'_>, entry: &Entry, context: &Context) -> ReadJob {
    let key = &entry.key;
    let is_key = check_key(reader, key);
    let unread = ReadJob { needs: Vec::new(), built: None };
    let node = &entry.value;
    let what = format!("jobs.{}", key.value);
    if node.is_null() {
        reader.report(
            Diagnostic::new(Code::NoSteps, key.span.clone(), format!("the job `{}` is empty", key.value))
                .help("give it an `image` and `steps`"),
        );
        return unread;
    }
    let Some(entries) = reader.mapping(&what, Place::Job, node) else {
        return unread;
    };
    let mut draft = Draft::new(key, context);
    for entry in &entries {
        draft.take(reader, entry, context);
    }
    let has =
        |name: &str| entries.iter().any(|entry| entry.key.value == name) || keys::is_meant(node, Place::Job, name);
    if !has("steps") {
        reader.report(
            Diagnostic::new(Code::MissingKey, key.span.clone(), format!("the job `{}` has no `steps`", key.value))
                .help("add `steps:` with at least one `- run: …`"),
        );
    }
    if !context.has_default_image && !has("image") {
        reader.report(
            Diagnostic::new(Code::NoImage, key.span.clone(), format!("the job `{}` has no `image`", key.value))
                .help("add `image: python:3.10` or the like, or one for all jobs under `defaults`"),
        );
    }
    ReadJob { needs: draft.job.needs.clone(), built: draft.finish().filter(|_| is_key) }
}

fn check_key(reader: &mut Reader<'_>, key: &Spanned<String>) -> bool {
    let name = key.value.as_str();
    let is_good = name.len() <= 100
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if !is_good {
        let message = format!("`{name}` cannot be the key of a job");
        reader.report(Diagnostic::new(Code::JobKey, key.span.clone(), message).help(
            "begin with a letter or `_`, go on with letters, digits, `_` and `-`, 100 at most; `name` may be any text",
        ));
    }
    is_good
}

/// A job while its keys are read.
struct Draft {
    job: Job,
    image: Option<Spanned<String>>,
}

impl Draft {
    fn new(key: &Spanned<String>, context: &Context) -> Self {
        let job = Job {
            key: key.clone(),
            name: None,
            image: Spanned { value: String::new(), span: key.span.clone() },
            needs: Vec::new(),
            env: Env::new(),
            shell: context.defaults.shell.clone(),
            working_directory: context.defaults.working_directory.clone(),
            timeout: context.defaults.timeout,
            on_error: OnError::default(),
            resources: Resources::default(),
            network: NetworkAccess::default(),
            user: None,
            output: OutputMode::default(),
            steps: Vec::new(),
        };
        Self { job, image: context.default_image.clone() }
    }

    fn take(&mut self, reader: &mut Reader<'_>, entry: &Entry, context: &Context) {
        let (job, value) = (&mut self.job, &entry.value);
        match entry.key.value.as_str() {
            "name" => job.name = reader.filled("name", value).map(str::to_owned),
            "image" => self.image = reader.image(value),
            "needs" => job.needs = needs(reader, value),
            "env" => job.env = reader.env(value),
            "shell" => job.shell = reader.shell(value),
            "working-directory" => job.working_directory = reader.working_directory(value),
            "timeout" => job.timeout = reader.duration("timeout", value),
            "continue-on-error" => job.on_error = reader.on_error(value),
            "resources" => job.resources = resources(reader, value),
            "network" => {
                let choices = [("default", NetworkAccess::Default), ("none", NetworkAccess::None)];
                job.network = reader.choice("network", value, &choices).unwrap_or_default();
            }
            "user" => job.user = user(reader, value),
            "output" => {
                let choices = [("merged", OutputMode::Merged), ("split", OutputMode::Split)];
                job.output = reader.choice("output", value, &choices).unwrap_or_default();
            }
            "steps" => job.steps = steps(reader, entry, context),
            _ => {}
        }
    }

    fn finish(self) -> Option<Job> {
        let image = self.image?;
        (!self.job.steps.is_empty()).then_some(Job { image, ..self.job })
    }
}

fn needs(reader: &mut Reader<'_>, node: &Rc<Node>) -> Vec<Spanned<String>> {
    let one = [Rc::clone(node)];
    let items = match &node.kind {
        Kind::Plain(_) | Kind::Text(_) => &one[..],
        _ => reader.list("needs", "a job's key or a list of them", node).unwrap_or_default(),
    };
    items
        .iter()
        .filter_map(|item| Some(Spanned { value: reader.filled("needs", item)?.to_owned(), span: item.span.clone() }))
        .collect()
}

fn resources(reader: &mut Reader<'_>, node: &Node) -> Resources {
    let mut resources = Resources::default();
    for entry in reader.mapping("resources", Place::Resources, node).unwrap_or_default() {
        match entry.key.value.as_str() {
            "cpus" => resources.milli_cpus = cpus(reader, &entry.value),
            "memory" => resources.memory = memory(reader, &entry.value),
            "pids" => resources.pids = pids(reader, &entry.value),
            _ => {}
        }
    }
    resources
}

fn number(reader: &mut Reader<'_>, node: &Node, key: &str, help: &str) {
    let text = match &node.kind {
        Kind::Plain(text) | Kind::Text(text) => text.as_str(),
        _ => "",
    };
    reader.report(
        Diagnostic::new(Code::Number, node.span.clone(), format!("`{text}` is not a number for `{key}`")).help(help),
    );
}

/// Digits with up to three behind the point: exact, where a float would not be.
fn cpus(reader: &mut Reader<'_>, node: &Node) -> Option<NonZeroU32> {
    let text = reader.text("cpus", node)?;
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let milli = (is_digits(whole) && is_digits(part) && part.len() <= 3)
        .then(|| format!("{whole}{part:0<3}").parse::<u32>().ok())
        .flatten()
        .filter(|milli| (1..=1_024_000).contains(milli))
        .and_then(NonZeroU32::new);
    if milli.is_none() {
        number(
            reader,
            node,
            "cpus",
            "write `2` or `1.5`: more than 0, at most 1024, up to three digits behind the point",
        );
    }
    milli
}

fn memory(reader: &mut Reader<'_>, node: &Node) -> Option<u64> {
    /// What Docker itself refuses to go below.
    const LEAST: u64 = 6 * 1024 * 1024;
    let bytes = reader.size("memory", node)?;
    if !(LEAST..=i64::MAX.unsigned_abs()).contains(&bytes) {
        reader.report(
            Diagnostic::new(Code::Size, node.span.clone(), "`memory` is outside of what an engine takes")
                .help("at least `6MiB`"),
        );
        return None;
    }
    Some(bytes)
}

fn pids(reader: &mut Reader<'_>, node: &Node) -> Option<NonZeroU32> {
    let text = reader.text("pids", node)?;
    let is_digits = text.bytes().all(|b| b.is_ascii_digit());
    // The kernel's own bound on process ids is 2^22.
    let pids = text.parse::<u32>().ok().filter(|pids| is_digits && *pids <= 1 << 22).and_then(NonZeroU32::new);
    if pids.is_none() {
        number(reader, node, "pids", "write a whole number, 1 to 4194304, such as `512`");
    }
    pids
}

fn user(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.filled("user", node)?;
    let is_name = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
            && !name.starts_with('-')
    };
    let is_good = match text.split_once(':') {
        Some((user, group)) => is_name(user) && is_name(group),
        None => is_name(text),
    };
    if !is_good {
        reader.report(
            Diagnostic::new(Code::User, node.span.clone(), format!("`{text}` is not a user"))
                .help("write `name`, `1000` or `1000:1000`"),
        );
        return None;
    }
    Some(text.to_owned())
}

fn steps(reader: &mut Reader<'_>, entry: &Entry, context: &Context) -> Vec<Step> {
    let node = &entry.value;
    if node.is_null() || matches!(&node.kind, Kind::Seq(items) if items.is_empty()) {
        reader.report(
            Diagnostic::new(Code::NoSteps, entry.key.span.clone(), "`steps` has no step")
                .help("add at least one `- run: …`"),
        );
        return Vec::new();
    }
    let Some(items) = reader.list("steps", "a list of steps", node) else {
        return Vec::new();
    };
    if let Some(first_over) = items.get(MAX_STEPS) {
        let message = format!("the job has {} steps, more than {MAX_STEPS}", items.len());
        let at = first_over.span.start..first_over.span.start + 1;
        reader.report(
            Diagnostic::new(Code::TooManySteps, at, message).help("put commands that belong together into one `run`"),
        );
    }
    items.iter().take(MAX_STEPS).filter_map(|item| step(reader, item, context)).collect()
}

fn step(reader: &mut Reader<'_>, node: &Node, context: &Context) -> Option<Step> {
    if let Kind::Plain(text) | Kind::Text(text) = &node.kind
        && !node.is_null()
    {
        let first = text.lines().next().unwrap_or_default();
        reader.report(
            Diagnostic::new(Code::WrongType, node.span.clone(), "a step is a mapping, this is text")
                .help(format!("write `- run: {first}`")),
        );
        return None;
    }
    let entries = reader.mapping("steps", Place::Step, node)?;
    let mut step = Step {
        name: None,
        run: Spanned { value: String::new(), span: node.span.clone() },
        env: Env::new(),
        secrets: Vec::new(),
        shell: None,
        working_directory: None,
        timeout: None,
        on_error: OnError::default(),
    };
    let mut run = None;
    for entry in &entries {
        let value = &entry.value;
        match entry.key.value.as_str() {
            "name" => step.name = reader.filled("name", value).map(str::to_owned),
            "run" => run = script(reader, entry),
            "env" => step.env = reader.env(value),
            "secrets" => step.secrets = reader.secrets(value),
            "shell" => step.shell = reader.shell(value),
            "working-directory" => step.working_directory = reader.working_directory(value),
            "timeout" => step.timeout = reader.duration("timeout", value),
            "continue-on-error" => step.on_error = reader.on_error(value),
            _ => {}
        }
    }
    for secret in &step.secrets {
        undeclared(reader, context, secret);
        if step.env.iter().any(|(name, _)| *name == secret.value) {
            let message = format!("the step has `{}` both in `env` and in `secrets`", secret.value);
            reader.report(
                Diagnostic::new(Code::SecretIsEnv, secret.span.clone(), message)
                    .help("a secret becomes a variable of its own name: keep one of them"),
            );
        }
    }
    if !entries.iter().any(|entry| entry.key.value == "run") && !keys::is_meant(node, Place::Step, "run") {
        let at = entries.first().map_or_else(|| node.span.start..node.span.start + 1, |entry| entry.key.span.clone());
        reader.report(
            Diagnostic::new(Code::MissingKey, at, "the step has no `run`")
                .help("add `run:` with the commands of the step"),
        );
    }
    Some(Step { run: run?, ..step })
}

fn script(reader: &mut Reader<'_>, entry: &Entry) -> Option<Spanned<String>> {
    let node = &entry.value;
    let is_blank = matches!(&node.kind, Kind::Plain(text) | Kind::Text(text) if text.trim().is_empty());
    if is_blank || node.is_null() {
        reader.report(
            Diagnostic::new(Code::EmptyRun, entry.key.span.clone(), "`run` has no command")
                .help("write the commands behind it, or below it after `run: |`"),
        );
        return None;
    }
    let text = reader.text("run", node)?;
    Some(Spanned { value: text.to_owned(), span: node.span.clone() })
}

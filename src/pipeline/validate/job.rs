//! One job.

use std::num::NonZeroU32;
use std::rc::Rc;

use super::head::{DefaultImage, Head};
use super::patterns::{self, Of};
use super::{build, matrix, retry, security, service, step, storage};
use crate::pipeline::expr::Template;
use crate::pipeline::keys;
use crate::pipeline::language::Mapping;
use crate::pipeline::reader::{Reader, is_identifier};
use crate::pipeline::tree::{Entry, Kind, Node};
use crate::pipeline::{Code, Diagnostic, Job, JobImage, NetworkAccess, OnError, OutputMode, Resources, Spanned};

/// A job that was read, as far as it could be: what is there of it counts in the graph and in expressions.
pub(super) struct ReadJob {
    pub(super) job: Job,
    /// Nothing of it is missing.
    pub(super) is_whole: bool,
    /// How many jobs its matrix makes.
    pub(super) count: usize,
    /// The files of the repository that its scripts plainly name.
    pub(super) named_files: Vec<Spanned<String>>,
}

/// What a job needs to know of the rest of its file, and of the others.
pub(super) struct Surroundings<'a> {
    pub(super) head: &'a Head,
    /// The secrets that may be asked for, where any are declared.
    pub(super) declared: Option<&'a [Spanned<String>]>,
}

pub(super) fn read(reader: &mut Reader<'_>, entry: &Entry, around: &Surroundings<'_>) -> ReadJob {
    let key = &entry.key;
    let is_key = check_key(reader, key);
    let mut read = ReadJob { job: blank(key, around.head), is_whole: false, count: 1, named_files: Vec::new() };
    let node = &entry.value;
    if node.is_null() {
        reader.report(
            Diagnostic::new(Code::NoSteps, key.span.clone(), format!("the job `{}` is empty", key.value))
                .help("give it an `image` and `steps`"),
        );
        return read;
    }
    let Some(entries) = reader.mapping(&format!("jobs.{}", key.value), Mapping::Job, node) else {
        return read;
    };
    let mut image = match &around.head.defaults.image {
        DefaultImage::Is(image) => Some(JobImage::Reference(image.clone())),
        DefaultImage::None | DefaultImage::Broken => None,
    };
    for entry in &entries {
        match entry.key.value.as_str() {
            "image" => image = job_image(reader, entry),
            "steps" => {}
            "matrix" => {
                let (matrix, count) = matrix::read(reader, entry);
                (read.job.matrix, read.count) = (matrix, count);
            }
            _ => take(&mut read.job, reader, entry),
        }
    }
    // Last: what else the job says decides how its scripts are read.
    let steps = entries.iter().find(|entry| entry.key.value == "steps");
    let steps = steps.map(|entry| step::steps(reader, entry, &read.job, around)).unwrap_or_default();
    (read.job.steps, read.named_files) = (steps.steps, steps.named_files);
    let has =
        |name: &str| entries.iter().any(|entry| entry.key.value == name) || keys::is_meant(node, Mapping::Job, name);
    if !has("steps") {
        reader.report(
            Diagnostic::new(Code::MissingKey, key.span.clone(), format!("the job `{}` has no `steps`", key.value))
                .help("add `steps:` with at least one `- run: …`"),
        );
    }
    if matches!(around.head.defaults.image, DefaultImage::None) && !has("image") {
        reader.report(
            Diagnostic::new(Code::NoImage, key.span.clone(), format!("the job `{}` has no `image`", key.value))
                .help("add `image: python:3.10` or the like, or one for all jobs under `defaults`"),
        );
    }
    read.is_whole = is_key && image.is_some() && steps.is_whole;
    if let Some(image) = image {
        read.job.image = image;
    }
    read
}

fn check_key(reader: &mut Reader<'_>, key: &Spanned<String>) -> bool {
    let is_good = is_identifier(&key.value);
    if !is_good {
        let message = format!("`{}` cannot be the key of a job", key.value);
        reader.report(Diagnostic::new(Code::JobKey, key.span.clone(), message).help(
            "begin with a letter or `_`, go on with letters, digits, `_` and `-`, 100 at most; `name` may be any text",
        ));
    }
    is_good
}

/// A job that says nothing of its own.
fn blank(key: &Spanned<String>, head: &Head) -> Job {
    Job {
        key: key.clone(),
        name: None,
        image: JobImage::Reference(Spanned { value: Template::default(), span: key.span.clone() }),
        needs: Vec::new(),
        condition: None,
        matrix: None,
        env: if head.is_included() { head.env.clone() } else { Vec::new() },
        shell: head.defaults.shell.clone(),
        working_directory: head.defaults.working_directory.clone(),
        timeout: head.defaults.timeout,
        on_error: OnError::default(),
        resources: Resources::default(),
        network: NetworkAccess::default(),
        user: None,
        output: OutputMode::default(),
        outputs: Vec::new(),
        services: Vec::new(),
        retry: None,
        cache: Vec::new(),
        artifacts: Vec::new(),
        inputs: Vec::new(),
        security: None,
        steps: Vec::new(),
    }
}

fn take(job: &mut Job, reader: &mut Reader<'_>, entry: &Entry) {
    let value = &entry.value;
    match entry.key.value.as_str() {
        "name" => job.name = reader.template("name", value),
        "needs" => job.needs = needs(reader, value),
        "if" => job.condition = reader.condition(value),
        "env" => {
            let own = reader.env("env", value);
            job.env.retain(|(name, _)| !own.iter().any(|(other, _)| other.value == name.value));
            job.env.extend(own);
        }
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
        "outputs" => job.outputs = reader.outputs(value),
        "services" => job.services = service::services(reader, &job.key.value, entry),
        "retry" => job.retry = retry::read(reader, entry),
        "cache" => job.cache = storage::caches(reader, entry),
        "artifacts" => job.artifacts = storage::artifacts(reader, &job.key.value, entry),
        "inputs" => job.inputs = patterns::read(reader, "inputs", Of::Files, value),
        "security" => job.security = security::read(reader, value),
        _ => {}
    }
}

fn job_image(reader: &mut Reader<'_>, entry: &Entry) -> Option<JobImage> {
    match &entry.value.kind {
        Kind::Map(_) => build::read(reader, entry).map(JobImage::Build),
        _ => reader.image(&entry.value).map(JobImage::Reference),
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

pub(super) fn resources(reader: &mut Reader<'_>, node: &Node) -> Resources {
    let mut resources = Resources::default();
    for entry in reader.mapping("resources", Mapping::Resources, node).unwrap_or_default() {
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

/// The kernel's own bound on process ids is 2^22.
fn pids(reader: &mut Reader<'_>, node: &Node) -> Option<NonZeroU32> {
    reader.integer("pids", node, 1, 1 << 22).and_then(NonZeroU32::new)
}

pub(super) fn user(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
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

//! The walk over the trees of a pipeline's files: every finding collected, the model built where it can be.
//!
//! First the files are read, with what they include (`files`), then the heads of all of them (`head`), then their jobs
//! (`job`, `step`, `matrix`); what rests on names of elsewhere comes last: the graph, expressions, limits of the whole.

mod build;
mod container_path;
mod expressions;
mod files;
mod head;
mod job;
mod matrix;
mod patterns;
mod retry;
mod schedule;
mod scripts;
mod security;
mod service;
mod step;
mod storage;
mod trigger;
mod whole;

pub use security::capability_or_privileged;

use super::graph::{self, Needs};
use super::reader::Reader;
use super::sources::Sources;
use super::tree::{Entry, Kind, Node};
use super::{Code, Diagnostic, Includes, Pipeline, Spanned, keys};
use files::Unit;
use head::Head;
use job::ReadJob;

/// The pipeline of a file and what it includes, as far as it can be built.
pub(super) fn files(
    bytes: &[u8],
    includes: &mut dyn Includes,
    sources: &mut Sources,
    findings: &mut Vec<Diagnostic>,
) -> (Option<Pipeline>, Vec<Spanned<String>>) {
    let units = files::read(bytes, includes, sources, findings);
    let heads: Vec<Head> = units
        .iter()
        .map(|unit| {
            let mut reader = reader(unit, sources, findings);
            head::read(&mut reader, unit)
        })
        .collect();
    let declared = head::declared(&heads);
    let mut jobs: Vec<ReadJob> = Vec::new();
    for (unit, head) in units.iter().zip(&heads) {
        let mut reader = reader(unit, sources, findings);
        let defaults = job::Surroundings { head, declared: declared.as_deref() };
        for entry in job_entries(&mut reader, unit) {
            jobs.push(job::read(&mut reader, entry, &defaults));
        }
    }
    whole::doubled(&jobs, findings);
    if jobs.is_empty() {
        no_jobs(&units, findings);
        return (None, Vec::new());
    }
    // What another repository's scripts name lies in this one all the same.
    let named_files = jobs.iter_mut().flat_map(|read| std::mem::take(&mut read.named_files)).collect();
    let keys: Vec<&str> = jobs.iter().map(|read| read.job.key.value.as_str()).collect();
    let needs: Vec<Needs<'_>> = jobs.iter().map(|read| Needs { key: &read.job.key, needs: &read.job.needs }).collect();
    graph::check(&needs, &keys, findings);
    whole::check(&jobs, findings);
    whole::never_runs(&jobs, findings);
    expressions::check(&heads, &jobs, declared.as_deref(), findings);
    let Some(main) = heads.into_iter().next() else {
        return (None, Vec::new());
    };
    whole::unused_secrets(declared.as_deref(), &jobs, findings);
    let is_whole = jobs.iter().all(|read| read.is_whole);
    let pipeline = is_whole.then(|| Pipeline {
        name: main.name,
        on: main.on,
        concurrency: main.concurrency,
        env: main.env,
        secrets: declared.unwrap_or_default().into_iter().map(|secret| secret.value).collect(),
        jobs: jobs.into_iter().map(|read| read.job).collect(),
    });
    (pipeline, named_files)
}

fn reader<'a>(unit: &Unit, sources: &'a Sources, findings: &'a mut Vec<Diagnostic>) -> Reader<'a> {
    let source = &sources.files()[unit.source];
    Reader { findings, text: &source.text, base: source.base }
}

/// The jobs of a file, each with its key.
fn job_entries<'n>(reader: &mut Reader<'_>, unit: &'n Unit) -> &'n [Entry] {
    let Some(entry) = unit.entry("jobs") else {
        return &[];
    };
    let is_empty = entry.value.is_null() || matches!(&entry.value.kind, Kind::Map(entries) if entries.is_empty());
    if is_empty {
        reader.report(
            Diagnostic::new(Code::NoJobs, entry.key.span.clone(), "`jobs` has no job")
                .help("add one: a key such as `build`, with `image` and `steps`"),
        );
        return &[];
    }
    let help = "write each job below a key of its own: `build:`, then `image:` and `steps:` below that";
    reader.open_mapping("jobs", help, &entry.value).unwrap_or_default()
}

/// A pipeline without jobs; silent where its `jobs` has a finding of its own.
fn no_jobs(units: &[Unit], findings: &mut Vec<Diagnostic>) {
    let Some(main) = units.first() else {
        return;
    };
    if units.iter().any(|unit| unit.entry("jobs").is_some())
        || keys::is_meant(&main.root, super::language::Mapping::Top, "jobs")
    {
        return;
    }
    if main.entry("include").is_some() {
        if findings.is_empty() {
            let at = main.first_line.clone();
            findings.push(
                Diagnostic::new(Code::NoJobs, at, "neither this file nor what it includes has a job")
                    .help("add `jobs:` with at least one job"),
            );
        }
        return;
    }
    findings.push(
        Diagnostic::new(Code::MissingKey, main.first_line.clone(), "the file has no `jobs`")
            .help("add `jobs:` with at least one job"),
    );
}

fn first_line(node: &Node, reader: &Reader<'_>) -> super::Span {
    let source = reader.source(&node.span);
    node.span.start..node.span.start + source.lines().next().unwrap_or_default().len()
}

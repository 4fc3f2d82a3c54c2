//! What is named in a text: jobs, steps, outputs, axes, secrets, variables, files; where each is said, where it is used.

use std::collections::HashMap;

use super::expression::{self, Chain};
use super::outline::{At, Outline, Style};
use super::place;
use crate::pipeline::language::Kind;
use crate::pipeline::{Span, Spanned};

/// Something that has a name. Two places with equal symbols mean the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Symbol {
    /// A job, by its key.
    Job(String),
    /// A value in a job's `outputs`.
    Output { job: String, name: String },
    /// A step, by its id.
    Step { job: String, id: String },
    /// A name of a job's `matrix`.
    Axis { job: String, name: String },
    /// A secret.
    Secret(String),
    /// A variable.
    Variable(String),
    /// A file of this repository, by its path.
    File(String),
}

/// What a place has to do with its symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It is said here.
    Definition,
    /// It is used here.
    Reference,
}

/// A place that names something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Occurrence {
    pub(super) symbol: Symbol,
    pub(super) role: Role,
    /// The name, without quotes.
    pub(super) span: Span,
    /// The job that it stands in.
    pub(super) job: Option<String>,
}

/// A job of the text.
#[derive(Debug)]
pub(super) struct JobAt {
    pub(super) key: Spanned<String>,
    pub(super) at: At,
    pub(super) needs: Vec<String>,
    pub(super) steps: Vec<StepAt>,
}

/// A step of a job.
#[derive(Debug)]
pub(super) struct StepAt {
    pub(super) at: At,
    pub(super) id: Option<String>,
}

/// All that is named in a text.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) jobs: Vec<JobAt>,
    pub(super) occurrences: Vec<Occurrence>,
}

impl Names {
    /// Looks through a text.
    pub(super) fn of(text: &str, outline: &Outline) -> Self {
        let mut finder = Finder { text, outline, names: Self::default() };
        finder.head();
        if let Some(jobs) = outline.child(None, "jobs") {
            for at in outline.below(Some(jobs)) {
                finder.job(at);
            }
        }
        finder.expressions();
        finder.names.occurrences.sort_by_key(|occurrence| (occurrence.span.start, occurrence.span.end));
        finder.names.occurrences.dedup();
        finder.names
    }

    /// What a place names.
    pub(super) fn at(&self, offset: usize) -> Option<&Occurrence> {
        self.occurrences.iter().find(|occurrence| occurrence.span.start <= offset && offset <= occurrence.span.end)
    }

    /// The job of this key.
    pub(super) fn job(&self, key: &str) -> Option<&JobAt> {
        self.jobs.iter().find(|job| job.key.value == key)
    }

    /// The symbols that are said here.
    pub(super) fn said(&self) -> impl Iterator<Item = &Occurrence> {
        self.occurrences.iter().filter(|occurrence| occurrence.role == Role::Definition)
    }
}

struct Finder<'a> {
    text: &'a str,
    outline: &'a Outline,
    names: Names,
}

impl Finder<'_> {
    fn head(&mut self) {
        if let Some(secrets) = self.outline.child(None, "secrets") {
            for name in self.texts(secrets) {
                self.add(Symbol::Secret(name.value), Role::Definition, name.span, None);
            }
        }
        if let Some(include) = self.outline.child(None, "include") {
            let items = self.outline.below(Some(include));
            let paths = self.texts(include).into_iter().chain(items.into_iter().chain([include]).filter_map(|item| {
                self.outline.child(Some(item), "git").is_none().then(|| self.child_text(item, "file")).flatten()
            }));
            for path in paths.collect::<Vec<_>>() {
                self.add(Symbol::File(normal(&path.value)), Role::Reference, path.span, None);
            }
        }
        if let Some(env) = self.outline.child(None, "env") {
            self.variables(env, None);
        }
    }

    fn job(&mut self, at: At) {
        let Some(key) = self.outline.get(at).key().cloned() else { return };
        let job = key.value.clone();
        self.add(Symbol::Job(job.clone()), Role::Definition, key.span.clone(), None);
        let mut read = JobAt { key, at, needs: Vec::new(), steps: Vec::new() };
        for child in self.outline.below(Some(at)) {
            match self.outline.get(child).name().unwrap_or_default() {
                "needs" => {
                    for need in self.texts(child) {
                        self.add(Symbol::Job(need.value.clone()), Role::Reference, need.span, Some(&job));
                        read.needs.push(need.value);
                    }
                }
                "outputs" => self.keys(child, &job, |job, name| Symbol::Output { job, name }),
                "env" => self.variables(child, Some(&job)),
                "matrix" => self.matrix(child, &job),
                "steps" => {
                    for step in self.outline.below(Some(child)) {
                        let id = self.step(step, &job);
                        read.steps.push(StepAt { at: step, id });
                    }
                }
                _ => {}
            }
        }
        self.names.jobs.push(read);
    }

    fn step(&mut self, at: At, job: &str) -> Option<String> {
        let id = self.child_text(at, "id");
        if let Some(id) = id.clone() {
            let symbol = Symbol::Step { job: job.to_owned(), id: id.value };
            self.add(symbol, Role::Definition, id.span, Some(job));
        }
        // Its `env` is in no expression: those know what the file and the job set.
        if let Some(secrets) = self.outline.child(Some(at), "secrets") {
            for name in self.texts(secrets) {
                self.add(Symbol::Secret(name.value), Role::Reference, name.span, Some(job));
            }
        }
        id.map(|id| id.value)
    }

    fn matrix(&mut self, at: At, job: &str) {
        let axis = |job, name| Symbol::Axis { job, name };
        for child in self.outline.below(Some(at)) {
            let Some(key) = self.outline.get(child).key().cloned() else { continue };
            match key.value.as_str() {
                "include" => self.outline.below(Some(child)).into_iter().for_each(|item| self.keys(item, job, axis)),
                "exclude" => {
                    for item in self.outline.below(Some(child)) {
                        for pair in self.outline.below(Some(item)) {
                            let Some(key) = self.outline.get(pair).key().cloned() else { continue };
                            self.add(axis(job.to_owned(), key.value), Role::Reference, key.span, Some(job));
                        }
                    }
                }
                "max-parallel" => {}
                _ => self.add(axis(job.to_owned(), key.value), Role::Definition, key.span, Some(job)),
            }
        }
    }

    fn variables(&mut self, env: At, job: Option<&str>) {
        for at in self.outline.below(Some(env)) {
            if let Some(key) = self.outline.get(at).key().cloned() {
                self.add(Symbol::Variable(key.value), Role::Definition, key.span, job);
            }
        }
    }

    fn keys(&mut self, parent: At, job: &str, symbol: fn(String, String) -> Symbol) {
        for at in self.outline.below(Some(parent)) {
            if let Some(key) = self.outline.get(at).key().cloned() {
                self.add(symbol(job.to_owned(), key.value), Role::Definition, key.span, Some(job));
            }
        }
    }

    /// The names in all expressions of the text.
    fn expressions(&mut self) {
        let keys: HashMap<At, String> = self.names.jobs.iter().map(|job| (job.at, job.key.value.clone())).collect();
        for (at, element) in self.outline.all() {
            let Some(value) = &element.value else { continue };
            let raw = self.text.get(value.span.clone()).unwrap_or_default();
            let has_template = memchr::memmem::find(raw.as_bytes(), b"${{").is_some();
            let is_condition = element.name() == Some("if") && is_condition(self.outline, at);
            if !has_template && !is_condition {
                continue;
            }
            let job = self.outline.line(at).find_map(|around| keys.get(&around).cloned());
            let insides =
                if has_template { expression::insides(raw, value.span.start) } else { vec![value.span.clone()] };
            for inside in insides {
                let text = self.text.get(inside.clone()).unwrap_or_default();
                for chain in expression::chains(text, inside.start) {
                    self.chain(&chain, job.as_deref());
                }
            }
        }
    }

    fn chain(&mut self, chain: &Chain, job: Option<&str>) {
        let [context, name, rest @ ..] = chain.names.as_slice() else { return };
        let of_job = |make: fn(String, String) -> Symbol| job.map(|job| make(job.to_owned(), name.value.clone()));
        // As in the language, case does not count for contexts.
        let symbol = match context.value.to_ascii_lowercase().as_str() {
            "needs" => Some(Symbol::Job(name.value.clone())),
            "steps" => of_job(|job, id| Symbol::Step { job, id }),
            "matrix" => of_job(|job, name| Symbol::Axis { job, name }),
            "env" => Some(Symbol::Variable(name.value.clone())),
            "secrets" => Some(Symbol::Secret(name.value.clone())),
            _ => None,
        };
        let Some(symbol) = symbol else { return };
        if let (Symbol::Job(needed), [outputs, output, ..]) = (&symbol, rest)
            && outputs.value == "outputs"
        {
            let symbol = Symbol::Output { job: needed.clone(), name: output.value.clone() };
            self.add(symbol, Role::Reference, output.span.clone(), job);
        }
        self.add(symbol, Role::Reference, name.span.clone(), job);
    }

    /// A value that is a text, or each text of a list.
    fn texts(&self, at: At) -> Vec<Spanned<String>> {
        let own = std::iter::once(at);
        let all =
            own.chain(self.outline.below(Some(at)).into_iter().filter(|at| self.outline.get(*at).key().is_none()));
        let values = all.map(|at| self.outline.get(at));
        values
            .filter(|element| element.value.as_ref().is_some_and(|value| value.style != Style::Block))
            .filter_map(|element| element.text(self.text))
            .filter(|text| !text.value.is_empty() && !text.value.starts_with('*'))
            .collect()
    }

    fn child_text(&self, at: At, name: &str) -> Option<Spanned<String>> {
        self.outline.get(self.outline.child(Some(at), name)?).text(self.text)
    }

    fn add(&mut self, symbol: Symbol, role: Role, span: Span, job: Option<&str>) {
        self.names.occurrences.push(Occurrence { symbol, role, span, job: job.map(str::to_owned) });
    }
}

/// Whether an `if` is the language's, not a variable of that name.
pub(super) fn is_condition(outline: &Outline, at: At) -> bool {
    place::allowed(outline, Some(at)).contains(&Kind::Condition)
}

/// A path as `include` takes it, without what means nothing.
fn normal(path: &str) -> String {
    path.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests;

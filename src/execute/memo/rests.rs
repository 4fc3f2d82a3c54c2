//! What a job's result rests on, each thing apart, so that a job that runs again can say why.
//!
//! Whatever is known before a job's first step counts by its value: branch, tag, event, commit, files that are hashed, whether a
//! secret was given, variables, matrix, needs. What its own earlier steps come to is decided by those, so that there the text of
//! an expression is enough.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::inputs::{Unread, VARIABLES};
use crate::artifact::content_hash;
use crate::engine::{Engine, Image};
use crate::execute::job::JobRun;
use crate::execute::redact::Mask;
use crate::pipeline::Env;
use crate::pipeline::expr::{Context, EvalError, Expr, ExprKind, Files, Read, Scope, Standing};
use crate::plan::PlannedImage;
use crate::trigger;

/// How many changes a reason names.
const NAMED: usize = 3;

/// The longest value that a reason shows.
const SHOWN: usize = 80;

/// A thing that a result rests on. Each kind apart: a file may have any name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Rest {
    Image {
        name: String,
    },
    Built {
        name: String,
    },
    /// What an expression reads.
    Read {
        expression: String,
    },
    /// A variable that Argon sets, and that the job names.
    Own {
        name: String,
    },
    Step {
        number: usize,
    },
    Definition,
    Matrix,
    Needs,
    Artifact {
        name: String,
        job: String,
    },
    Variable {
        name: String,
    },
    File {
        path: String,
    },
}

impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image { name } | Self::Built { name } => write!(f, "image {name}"),
            Self::Step { number } => write!(f, "step {number}"),
            Self::Definition => f.write_str("the job's definition"),
            Self::Matrix => f.write_str("its matrix"),
            Self::Needs => f.write_str("what the jobs it needs hand on"),
            Self::Artifact { name, job } => write!(f, "artifact {name} of {job}"),
            Self::Variable { name } => write!(f, "variable {name}"),
            Self::Read { expression } => f.write_str(expression),
            Self::Own { name } => write!(f, "${name}"),
            Self::File { path } => f.write_str(path),
        }
    }
}

/// How a thing is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counted {
    digest: String,
    /// Its value, where people may see it.
    shown: Option<String>,
    /// What people know it by, besides.
    label: Option<String>,
}

impl Counted {
    fn hidden(text: &str) -> Self {
        Self { digest: blake3::hash(text.as_bytes()).to_hex()[..32].to_owned(), shown: None, label: None }
    }

    fn shown(text: &str) -> Self {
        let shown = (text.len() <= SHOWN).then(|| text.to_owned());
        Self { shown, ..Self::hidden(text) }
    }
}

/// What a result rests on.
pub(super) type Rests = BTreeMap<Rest, Counted>;

/// What a job rests on now.
pub(super) struct Basis {
    pub(super) rests: Rests,
    /// The values of which digests would be kept: none may hold a secret.
    pub(super) values: Vec<(Rest, String)>,
    /// Patterns of its inputs that match no file.
    pub(super) idle: Vec<String>,
    /// Whether any file matches.
    pub(super) has_files: bool,
}

/// Why it cannot be told what a job rests on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Untold {
    #[error("its inputs cannot be read: {0}")]
    Files(#[from] Unread),
    #[error("what it rests on has no value: {0}")]
    NoValue(#[from] EvalError),
    #[error("the artifact {name} cannot be read: {source}")]
    Artifact { name: String, source: std::io::Error },
}

impl Basis {
    /// The first thing whose value holds a secret.
    pub(super) fn secret(&self, mask: &Mask) -> Option<&Rest> {
        self.values.iter().find(|(_, value)| mask.holds(value)).map(|(rest, _)| rest)
    }

    fn count(&mut self, rest: Rest, value: &str) {
        self.values.push((rest.clone(), value.to_owned()));
        self.rests.insert(rest, Counted::hidden(value));
    }
}

impl<E: Engine> JobRun<'_, E> {
    /// What the job rests on.
    pub(super) async fn basis(&self, images: &[Image]) -> Result<Basis, Untold> {
        let mut basis = Basis { rests: Rests::new(), values: Vec::new(), idle: Vec::new(), has_files: false };
        for (planned, image) in self.job.images().zip(images) {
            let rest = match &planned {
                PlannedImage::Named(name) => Rest::Image { name: name.clone() },
                PlannedImage::Built(_) => Rest::Built { name: planned.to_string() },
            };
            basis.rests.insert(rest, Counted::hidden(&image.id));
        }
        let definition = self.job.definition();
        for (step, text) in self.job.steps.iter().zip(&definition.steps) {
            let rest = Rest::Step { number: step.index.0 + 1 };
            basis.count(rest.clone(), text);
            basis.rests.insert(rest, Counted { label: Some(step.name.clone()), ..Counted::hidden(text) });
        }
        basis.count(Rest::Definition, &definition.job);
        basis.count(Rest::Matrix, &self.contexts.matrix.to_string());
        basis.count(Rest::Needs, &self.contexts.needs.to_string());
        basis.values.extend(texts_in(&self.contexts.needs).map(|text| (Rest::Needs, text)));
        self.count_artifacts(&mut basis).await?;
        let mut mentions = mentioned(definition.steps.iter().chain([&definition.job]).map(String::as_str));
        mentions.extend(self.count_values(&mut basis).await?);
        self.count_own_variables(&mut basis, &mentions);
        Ok(basis)
    }

    async fn count_artifacts(&self, basis: &mut Basis) -> Result<(), Untold> {
        let Some(depot) = &self.context.settings.artifacts else { return Ok(()) };
        for artifact in self.job.needed().flat_map(|need| self.context.shelf.of(need)) {
            let path = depot.tar(&artifact);
            let hashing = tokio::task::spawn_blocking(move || content_hash(&path));
            let hash = hashing.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
            let hash = hash.map_err(|source| Untold::Artifact { name: artifact.name.clone(), source })?;
            basis.rests.insert(Rest::Artifact { name: artifact.name, job: artifact.job }, Counted::hidden(&hash));
        }
        Ok(())
    }

    /// Counts variables, what expressions read, and files. Gives the variables of Argon's that files name.
    async fn count_values(&self, basis: &mut Basis) -> Result<BTreeSet<String>, Untold> {
        let (job, contexts, inputs) = (self.job.clone(), self.contexts.clone(), self.context.inputs.clone());
        let asked = self.context.evaluate(true, move |files| {
            let scope = Scope { contexts: &contexts, standing: Standing::Success, files };
            let env = job.base_env(&scope)?;
            let mut read = BTreeMap::new();
            for found in job.definition().expressions.iter().flat_map(|expr| expr.reads()) {
                let (name, value, is_shown) = value_of(found, &scope)?;
                read.insert(name, (value, is_shown));
            }
            Ok((env, job.overrides.clone(), read, inputs.declared_by(&job)))
        });
        let (env, overrides, read, declared): (Env, Env, _, _) = asked.await?;
        for (name, value) in env.into_iter().chain(overrides) {
            let rest = Rest::Variable { name };
            basis.count(rest, &value);
        }
        for (expression, (value, is_shown)) in read {
            let rest = Rest::Read { expression };
            basis.count(rest.clone(), &value);
            if is_shown {
                basis.rests.insert(rest, Counted::shown(&value));
            }
        }
        let declared = declared?;
        basis.has_files = !declared.digests.is_empty();
        basis.idle = declared.idle;
        for (path, hash) in declared.digests {
            basis.rests.insert(Rest::File { path }, Counted::hidden(&hash));
        }
        Ok(declared.mentions)
    }

    /// Counts those variables of Argon's that a script, a value or an input names. Not the others: a commit id changes with each
    /// commit, and a job that does not ask for it does not rest on it.
    fn count_own_variables(&self, basis: &mut Basis, mentions: &BTreeSet<String>) {
        let run = ("ARGON_RUN_ID", self.context.settings.run.as_str().to_owned());
        for (name, value) in trigger::variables(&self.job.contexts).into_iter().chain([run]) {
            if mentions.contains(name) {
                let rest = Rest::Own { name: name.to_owned() };
                basis.count(rest.clone(), &value);
                basis.rests.insert(rest, Counted::shown(&value));
            }
        }
    }
}

/// What an expression reads: its name for people, its value, and whether that is for people too.
fn value_of(read: Read<'_>, scope: &Scope<'_>) -> Result<(String, String, bool), EvalError> {
    match read {
        Read::Value(expr) => {
            let value = match (expr.root(), expr.evaluate(scope)?) {
                // A secret that nobody has: to people it is not given, rather than `null`.
                (Some(Context::Secrets), Value::Null) => Value::Bool(false),
                (_, value) => value,
            };
            let is_shown = value.is_boolean()
                || matches!(expr.root(), Some(Context::Branch | Context::Tag | Context::Commit))
                || is_event_name(expr);
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            Ok((expr.to_string(), text, is_shown))
        }
        Read::AnyFiles(function) => {
            let failed = |message| EvalError { message, span: 0..0 };
            let files: &dyn Files = scope.files;
            let hash = files.hash(&["**".to_owned()]).map_err(failed)?;
            Ok((format!("{}() of files that a step names", function.name()), hash, false))
        }
    }
}

fn is_event_name(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Property { of, name }
        if name.value == "name" && matches!(of.kind, ExprKind::Context(Context::Event)))
}

/// The names in texts that begin as the variables do that Argon sets.
fn mentioned<'t>(texts: impl Iterator<Item = &'t str>) -> BTreeSet<String> {
    let is_other = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let words = texts.flat_map(move |text| text.match_indices(VARIABLES).map(move |(at, _)| &text[at..]));
    words.map(|rest| rest.split(is_other).next().unwrap_or_default().to_owned()).collect()
}

/// All texts in a value.
fn texts_in(value: &Value) -> Box<dyn Iterator<Item = String> + '_> {
    match value {
        Value::String(text) => Box::new(std::iter::once(text.clone())),
        Value::Array(list) => Box::new(list.iter().flat_map(texts_in)),
        Value::Object(map) => Box::new(map.values().flat_map(texts_in)),
        _ => Box::new(std::iter::empty()),
    }
}

/// What differs between what a result rested on and what there is now, for people; `None` where nothing does.
pub(super) fn differences(was: &Rests, now: &Rests) -> Option<String> {
    let mut changes: Vec<String> = Vec::new();
    let named = |rest: &Rest, counted: &Counted| match &counted.label {
        Some(label) => format!("{rest} ({label})"),
        None => rest.to_string(),
    };
    for (key, counted) in now {
        let rest = named(key, counted);
        match was.get(key) {
            None => changes.push(format!("{rest} is new")),
            Some(old) if old.digest != counted.digest => changes.push(match (&counted.shown, &old.shown) {
                (Some(now), Some(was)) => format!("{rest} is {}, was {}", quoted(now), quoted(was)),
                _ if matches!(key, Rest::Image { .. }) => format!("{rest} moved"),
                _ => format!("{rest} changed"),
            }),
            Some(_) => {}
        }
    }
    let gone = was.iter().filter(|(rest, _)| !now.contains_key(*rest));
    changes.extend(gone.map(|(rest, counted)| format!("{} is gone", named(rest, counted))));
    let more = changes.len().saturating_sub(NAMED);
    changes.truncate(NAMED);
    match (changes.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(changes.join(", ")),
        (false, more) => Some(format!("{}, and {more} more", changes.join(", "))),
    }
}

/// A value in a sentence: one that is empty must show.
fn quoted(value: &str) -> &str {
    if value.is_empty() { "empty" } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_miss_says_what_changed() {
        let rest = |name: &str| match name.strip_prefix("image ") {
            Some(name) => Rest::Image { name: name.to_owned() },
            None => Rest::File { path: name.to_owned() },
        };
        let rests = |pairs: &[(&str, &str)]| -> Rests {
            pairs.iter().map(|(name, value)| (rest(name), Counted::hidden(value))).collect()
        };
        let was = rests(&[("requirements.txt", "1"), ("image python:3.12", "a"), ("old.py", "2")]);
        assert_eq!(differences(&was, &was), None);
        let now = rests(&[("requirements.txt", "2"), ("image python:3.12", "a"), ("old.py", "2")]);
        assert_eq!(differences(&was, &now).unwrap(), "requirements.txt changed");
        let now = rests(&[("requirements.txt", "1"), ("image python:3.12", "b"), ("new.py", "3")]);
        assert_eq!(differences(&was, &now).unwrap(), "image python:3.12 moved, new.py is new, old.py is gone");
        let now: Rests = (0..5).map(|n| (Rest::File { path: n.to_string() }, Counted::hidden(""))).collect();
        assert!(differences(&was, &now).unwrap().ends_with(", and 5 more"));
        let branch =
            |name: &str| -> Rests { [(Rest::Read { expression: "branch".to_owned() }, Counted::shown(name))].into() };
        assert_eq!(differences(&branch("feature"), &branch("main")).unwrap(), "branch is main, was feature");
        assert_eq!(differences(&branch(""), &branch("main")).unwrap(), "branch is main, was empty");
    }

    #[test]
    fn a_file_cannot_pass_for_something_else() {
        let file: Rests = [(Rest::File { path: "its matrix".to_owned() }, Counted::hidden("x"))].into();
        let matrix: Rests = [(Rest::Matrix, Counted::hidden("x"))].into();
        assert!(differences(&matrix, &file).is_some());
    }
}

//! Expressions: `if:` and `${{ … }}`. Text to a syntax tree with spans, checked against the names that exist, evaluated.
//!
//! The syntax is that of GitHub Actions' expressions
//! (<https://docs.github.com/actions/reference/workflows-and-actions/expressions>), without loops: an expression costs at
//! most what its text is long. Pure: what it wants to know of files it asks through [`Files`].

mod check;
mod eval;
mod functions;
mod lexer;
mod parser;
mod reads;
mod references;
mod show;
mod template;
mod values;
mod vocabulary;

use std::sync::Arc;

use serde_json::Value;

pub(in crate::pipeline) use check::{Names, check_condition, check_template};
pub use reads::Read;
pub use references::{Reference, Referred};
pub(in crate::pipeline) use template::Places;

use super::{Span, Spanned};

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands in its file.
    pub span: Span,
}

/// What an expression is.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// `null`, `true`, `42`, `'text'`.
    Literal(Value),
    /// `matrix`, `branch`, …
    Context(Context),
    /// `OF.NAME`; `OF['NAME']` with a literal is the same.
    Property {
        /// What has the property.
        of: Box<Expr>,
        /// Its name.
        name: Spanned<String>,
    },
    /// `OF[INDEX]`.
    Index {
        /// What is indexed.
        of: Box<Expr>,
        /// By what.
        index: Box<Expr>,
    },
    /// `FUNCTION(ARGUMENT, …)`.
    Call {
        /// The function.
        function: Spanned<Function>,
        /// What it is given.
        arguments: Vec<Expr>,
    },
    /// `!OF`.
    Not(Box<Expr>),
    /// `LEFT OPERATOR RIGHT`.
    Binary {
        /// The operator.
        operator: Operator,
        /// Left of it.
        left: Box<Expr>,
        /// Right of it.
        right: Box<Expr>,
    },
}

/// An operator with two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `&&`
    And,
    /// `||`
    Or,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// What an expression may look into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Context {
    /// `event`: its `name`, and the fields of its payload.
    Event,
    /// `branch`: text, empty where there is none.
    Branch,
    /// `tag`: text, empty where there is none.
    Tag,
    /// `commit`: the full id, empty where there is none.
    Commit,
    /// `matrix`: the values of this combination.
    Matrix,
    /// `env`: variables of the file, the job and the earlier steps.
    Env,
    /// `needs`: `needs.JOB.status`, `needs.JOB.outputs.NAME`.
    Needs,
    /// `steps`: `steps.ID.status`, `steps.ID.outputs.NAME`.
    Steps,
    /// `secrets`: `secrets.NAME` is true where the run was given it. The value is in no expression.
    Secrets,
}

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Function {
    /// `contains(text or list, what)`
    Contains,
    /// `startsWith(text, what)`
    StartsWith,
    /// `endsWith(text, what)`
    EndsWith,
    /// `format('{0} …', value, …)`
    Format,
    /// `join(list, separator)`
    Join,
    /// `toJSON(value)`
    ToJson,
    /// `fromJSON(text)`
    FromJson,
    /// `success()`: all went well so far.
    Success,
    /// `failure()`: something failed.
    Failure,
    /// `always()`: true, also after a stop.
    Always,
    /// `cancelled()`: the run was stopped.
    Cancelled,
    /// `hash('glob', …)`: of the content of all files that match, as 64 hex digits; empty where none does.
    Hash,
    /// `changed('glob', …)`: whether a file that matches differs from the base of the event.
    Changed,
}

/// A text in which `${{ … }}` may stand.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Template {
    /// Its pieces, in order.
    pub parts: Vec<Part>,
}

/// A piece of a [`Template`].
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Text as it is.
    Text(String),
    /// `${{ … }}`.
    Expr(Expr),
}

/// An `if:`. Where it calls none of `success failure always cancelled`, it also wants `success()`.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// What was written.
    pub expr: Expr,
}

/// Where an expression stands: that decides what it may look into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Position {
    /// `if` of a job.
    JobIf,
    /// `if` of a step.
    StepIf,
    /// A value in the file's `env`.
    FileEnv,
    /// A value in a job's `env`.
    JobEnv,
    /// A value in a step's `env`, or its `working-directory`.
    Step,
    /// A name, an image, a key of a cache: known before the first job runs.
    Static,
    /// A script.
    Run,
    /// A value of a job's `outputs`.
    Output,
}

/// How things stand where an expression is evaluated: what the status functions say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Standing {
    /// All went well so far.
    #[default]
    Success,
    /// An earlier step failed; for a job: one that it needs.
    Failure,
    /// The run was stopped.
    Cancelled,
    /// A job that this one needs was skipped: neither `success()` nor `failure()`.
    Skipped,
}

/// The values of the contexts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contexts {
    /// `event`
    pub event: Arc<Value>,
    /// `branch`
    pub branch: Value,
    /// `tag`
    pub tag: Value,
    /// `commit`
    pub commit: Value,
    /// `matrix`
    pub matrix: Value,
    /// `env`
    pub env: Value,
    /// `needs`
    pub needs: Value,
    /// `steps`
    pub steps: Value,
    /// `secrets`
    pub secrets: Value,
}

/// What expressions ask of the source. Globs are those of `on.push.paths`: `*` stays within a folder, `**` does not, a
/// leading `!` takes out what an earlier one took in.
pub trait Files: Send + Sync {
    /// The BLAKE3 of the content and names of all files that match, as 64 hex digits; empty where none does.
    ///
    /// # Errors
    /// What went wrong, for people.
    fn hash(&self, globs: &[String]) -> Result<String, String>;
    /// Whether any file that matches differs from the base.
    ///
    /// # Errors
    /// What went wrong, for people.
    fn changed(&self, globs: &[String]) -> Result<bool, String>;
}

/// For expressions that ask no file: what they rest on was checked.
#[derive(Debug, Clone, Copy)]
pub struct NoFiles;

impl Files for NoFiles {
    fn hash(&self, _: &[String]) -> Result<String, String> {
        Err("`hash()` is known only when the run goes on".to_owned())
    }

    fn changed(&self, _: &[String]) -> Result<bool, String> {
        Err("`changed()` is known only when the run goes on".to_owned())
    }
}

/// All that an evaluation rests on.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The values of the contexts.
    pub contexts: &'a Contexts,
    /// What the status functions say.
    pub standing: Standing,
    /// The source's files.
    pub files: &'a dyn Files,
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    /// What happened, for people.
    pub message: String,
    /// The expression, or the part of it, that has no value.
    pub span: Span,
}

impl Template {
    /// A text without expressions.
    #[must_use]
    pub fn literal(text: &str) -> Self {
        Self { parts: vec![Part::Text(text.to_owned())] }
    }

    /// The text, where there is no expression in it.
    #[must_use]
    pub fn as_literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;

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
mod references;
mod show;
mod template;
mod values;

use serde_json::Value;

pub(in crate::pipeline) use check::{Names, check_condition, check_template};
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
    pub event: Value,
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

impl Context {
    /// Every context.
    pub const ALL: &'static [Self] = &[
        Self::Event,
        Self::Branch,
        Self::Tag,
        Self::Commit,
        Self::Matrix,
        Self::Env,
        Self::Needs,
        Self::Steps,
        Self::Secrets,
    ];

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Branch => "branch",
            Self::Tag => "tag",
            Self::Commit => "commit",
            Self::Matrix => "matrix",
            Self::Env => "env",
            Self::Needs => "needs",
            Self::Steps => "steps",
            Self::Secrets => "secrets",
        }
    }

    /// What it is, in a sentence of Markdown.
    #[must_use]
    pub fn doc(self) -> &'static str {
        match self {
            Self::Event => "What started the run: `event.name` is `push`, `pull-request`, `schedule` or `manual`.",
            Self::Branch => "The branch; empty where there is none.",
            Self::Tag => "The tag; empty where there is none.",
            Self::Commit => "The full id of the commit; empty where there is none.",
            Self::Matrix => "The values of this combination: `matrix.NAME`.",
            Self::Env => "The variables of the file, the job and the steps before: `env.NAME`.",
            Self::Needs => "The jobs that this one needs: `needs.JOB.status`, `needs.JOB.outputs.NAME`.",
            Self::Steps => "The steps before that have an `id`: `steps.ID.status`, `steps.ID.outputs.NAME`.",
            Self::Secrets => "Whether the run was given a secret: `secrets.NAME`. Its value is in no expression.",
        }
    }
}

impl Function {
    /// Every function.
    pub const ALL: &'static [Self] = &[
        Self::Success,
        Self::Failure,
        Self::Always,
        Self::Cancelled,
        Self::Changed,
        Self::Hash,
        Self::Contains,
        Self::StartsWith,
        Self::EndsWith,
        Self::Format,
        Self::Join,
        Self::ToJson,
        Self::FromJson,
    ];

    /// As it is written; case does not count.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Contains => "contains",
            Self::StartsWith => "startsWith",
            Self::EndsWith => "endsWith",
            Self::Format => "format",
            Self::Join => "join",
            Self::ToJson => "toJSON",
            Self::FromJson => "fromJSON",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Always => "always",
            Self::Cancelled => "cancelled",
            Self::Hash => "hash",
            Self::Changed => "changed",
        }
    }

    /// What it takes, as it would be written.
    #[must_use]
    pub fn arguments(self) -> &'static str {
        match self {
            Self::Contains => "text or list, value",
            Self::StartsWith | Self::EndsWith => "text, part",
            Self::Format => "'{0} …', value, …",
            Self::Join => "list, separator",
            Self::ToJson => "value",
            Self::FromJson => "text",
            Self::Success | Self::Failure | Self::Always | Self::Cancelled => "",
            Self::Hash | Self::Changed => "'glob', …",
        }
    }

    /// What it does, in a sentence of Markdown.
    #[must_use]
    pub fn doc(self) -> &'static str {
        match self {
            Self::Contains => "Whether a text has a part, or a list an item. Case does not count.",
            Self::StartsWith => "Whether a text begins so. Case does not count.",
            Self::EndsWith => "Whether a text ends so. Case does not count.",
            Self::Format => "The text with `{0}`, `{1}`, … replaced by the values.",
            Self::Join => "The items of a list as one text; `,` stands between them where nothing else is said.",
            Self::ToJson => "A value as JSON.",
            Self::FromJson => "The value that a JSON text stands for.",
            Self::Success => "Whether all went well so far: the steps before, or the jobs that are needed.",
            Self::Failure => "Whether something failed: a step before, or a job that is needed.",
            Self::Always => "True, also after a failure or a stop.",
            Self::Cancelled => "Whether the run was stopped.",
            Self::Hash => "The BLAKE3 hash of all files that match, as 64 hex digits; empty where none does.",
            Self::Changed => {
                "Whether a file that matches differs from the base: what a push or pull request changed, or what you did since the branch began."
            }
        }
    }

    /// The least and the most arguments that it takes.
    fn count(self) -> (usize, usize) {
        match self {
            Self::Contains | Self::StartsWith | Self::EndsWith => (2, 2),
            Self::Format => (1, usize::MAX),
            Self::Join => (1, 2),
            Self::ToJson | Self::FromJson => (1, 1),
            Self::Success | Self::Failure | Self::Always | Self::Cancelled => (0, 0),
            Self::Hash | Self::Changed => (1, usize::MAX),
        }
    }

    /// Whether it tells how things stand.
    #[must_use]
    pub fn is_status(self) -> bool {
        matches!(self, Self::Success | Self::Failure | Self::Always | Self::Cancelled)
    }
}

impl Operator {
    /// As it is written.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::And => "&&",
            Self::Or => "||",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// How tightly it binds.
    fn rank(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Equal | Self::NotEqual => 3,
            Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual => 4,
        }
    }
}

impl Position {
    /// What may be looked into here.
    #[must_use]
    pub fn contexts(self) -> &'static [Context] {
        use Context::{Branch, Commit, Env, Event, Matrix, Needs, Secrets, Steps, Tag};
        match self {
            Self::JobIf => &[Event, Branch, Tag, Commit, Matrix, Env, Needs, Secrets],
            Self::StepIf => &[Event, Branch, Tag, Commit, Matrix, Env, Needs, Steps, Secrets],
            Self::FileEnv => &[Event, Branch, Tag, Commit],
            Self::JobEnv => &[Event, Branch, Tag, Commit, Matrix, Env, Needs],
            Self::Step | Self::Output => &[Event, Branch, Tag, Commit, Matrix, Env, Needs, Steps],
            Self::Static => &[Event, Branch, Tag, Commit, Matrix, Env],
            Self::Run => &[Matrix, Commit],
        }
    }

    /// Whether a function may be called here.
    #[must_use]
    pub fn allows(self, function: Function) -> bool {
        match function {
            _ if function.is_status() => matches!(self, Self::JobIf | Self::StepIf),
            Function::Changed => matches!(self, Self::JobIf | Self::StepIf),
            _ => true,
        }
    }

    /// What people call it.
    fn title(self) -> &'static str {
        match self {
            Self::JobIf => "the `if` of a job",
            Self::StepIf => "the `if` of a step",
            Self::FileEnv => "the `env` of the file",
            Self::JobEnv => "the `env` of a job",
            Self::Step => "a step",
            Self::Static => "a name, an image or a key",
            Self::Run => "a script",
            Self::Output => "the `outputs` of a job",
        }
    }
}

#[cfg(test)]
mod tests;

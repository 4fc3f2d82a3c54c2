//! The words of expressions: contexts, functions, operators; what each is, and where it may stand.

use super::{Context, Function, Operator, Position};

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
    pub(super) fn count(self) -> (usize, usize) {
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
    pub(super) fn rank(self) -> u8 {
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
    pub(super) fn title(self) -> &'static str {
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

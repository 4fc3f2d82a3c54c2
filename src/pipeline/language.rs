//! The keys of the language, as a table: what each does, what it takes, what it is where it is not said.
//!
//! The validator asks it which keys exist, the schema is written from it, an editor's hover and completion show it, and
//! docs/pipeline.md is held against it. So a key is described here, and nowhere else.

mod keys;

/// A mapping of the language: a place where keys may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mapping {
    /// The file itself.
    Top,
    /// `defaults`.
    Defaults,
    /// `on`.
    On,
    /// `on.push`.
    Push,
    /// `on.pull-request`.
    PullRequest,
    /// An item of `on.schedule`.
    Schedule,
    /// An item of `include`.
    Include,
    /// `concurrency`.
    Concurrency,
    /// A job, below `jobs`.
    Job,
    /// `image` of a job, where it is built.
    Build,
    /// `matrix` of a job; besides its keys, the axes.
    Matrix,
    /// A service, below `services` of a job.
    Service,
    /// `ready` of a service.
    Ready,
    /// `resources` of a job or a service.
    Resources,
    /// `retry` of a job or a step.
    Retry,
    /// `cache` of a job, or an item of it.
    Cache,
    /// `artifacts` of a job, or an item of it.
    Artifacts,
    /// `security` of a job.
    Security,
    /// An item of `steps`.
    Step,
}

/// A key.
#[derive(Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it does, in one or two sentences of Markdown.
    pub doc: &'static str,
    /// What holds where it does not stand; `required` where it must.
    pub default: &'static str,
    /// A value, as YAML behind `key:`; several lines begin with a newline.
    pub example: &'static str,
}

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// `1`, `1.0` or `"1.0"`.
    Version,
    /// Text that says something, as it was typed.
    Text,
    /// Text that says something, in which `${{ … }}` may stand.
    Template,
    /// A shell script.
    Script,
    /// An expression.
    Condition,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer {
        /// The least.
        min: u32,
        /// The largest.
        max: u32,
    },
    /// A number of CPUs.
    Cpus,
    /// `90s`, `10m`, `1h30m`.
    Duration,
    /// `512MiB`, `2GiB`.
    Size,
    /// One of a few words, each with what it does.
    Words(&'static [(&'static str, &'static str)]),
    /// An image reference.
    Image,
    /// `sh`, `bash`, `python` or a command.
    Shell,
    /// `name`, `1000` or `1000:1000`.
    User,
    /// A path: of the repository, or absolute in the container where the key says so.
    Path,
    /// A pattern of paths, branches or tags.
    Glob,
    /// A cron expression of five fields.
    Cron,
    /// A time zone of the IANA database.
    TimeZone,
    /// A full commit id.
    Commit,
    /// A name that identifies: of a step, an artifact.
    Id,
    /// The key of a job of the file.
    JobKey,
    /// The name of a secret.
    SecretName,
    /// A Linux capability.
    Capability,
    /// Names of variables with their values.
    Env,
    /// Names with templates.
    Outputs,
    /// The values of an axis, or a combination, of a matrix.
    Combination,
    /// A mapping of the language.
    Of(Mapping),
    /// A mapping from names that the user chooses.
    Named(Mapping),
    /// A list.
    List(&'static Kind),
    /// One, or a list.
    OneOrMany(&'static Kind),
    /// Any of these.
    Either(&'static [Kind]),
    /// Nothing, or this.
    Optional(&'static Kind),
}

impl Mapping {
    /// Every mapping, the outer ones first.
    pub const ALL: &'static [Self] = &[
        Self::Top,
        Self::Defaults,
        Self::On,
        Self::Push,
        Self::PullRequest,
        Self::Schedule,
        Self::Include,
        Self::Concurrency,
        Self::Job,
        Self::Build,
        Self::Matrix,
        Self::Service,
        Self::Ready,
        Self::Resources,
        Self::Retry,
        Self::Cache,
        Self::Artifacts,
        Self::Security,
        Self::Step,
    ];

    /// Its keys, in the order in which people write them.
    #[must_use]
    pub fn keys(self) -> &'static [Key] {
        match self {
            Self::Top => keys::TOP,
            Self::Defaults => keys::DEFAULTS,
            Self::On => keys::ON,
            Self::Push => keys::PUSH,
            Self::PullRequest => keys::PULL_REQUEST,
            Self::Schedule => keys::SCHEDULE,
            Self::Include => keys::INCLUDE,
            Self::Concurrency => keys::CONCURRENCY,
            Self::Job => keys::JOB,
            Self::Build => keys::BUILD,
            Self::Matrix => keys::MATRIX,
            Self::Service => keys::SERVICE,
            Self::Ready => keys::READY,
            Self::Resources => keys::RESOURCES,
            Self::Retry => keys::RETRY,
            Self::Cache => keys::CACHE,
            Self::Artifacts => keys::ARTIFACTS,
            Self::Security => keys::SECURITY,
            Self::Step => keys::STEP,
        }
    }

    /// The key of this name.
    #[must_use]
    pub fn key(self, name: &str) -> Option<&'static Key> {
        self.keys().iter().find(|key| key.name == name)
    }

    /// The names of its keys.
    pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        self.keys().iter().map(|key| key.name)
    }

    /// Whether keys of the user's own may stand beside its keys.
    #[must_use]
    pub fn is_open(self) -> bool {
        self == Self::Matrix
    }

    /// What people call it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Top => "the file",
            Self::Defaults => "`defaults`",
            Self::On => "`on`",
            Self::Push => "`push`",
            Self::PullRequest => "`pull-request`",
            Self::Schedule => "a `schedule`",
            Self::Include => "an `include`",
            Self::Concurrency => "`concurrency`",
            Self::Job => "a job",
            Self::Build => "an `image` that is built",
            Self::Matrix => "`matrix`",
            Self::Service => "a service",
            Self::Ready => "`ready`",
            Self::Resources => "`resources`",
            Self::Retry => "`retry`",
            Self::Cache => "`cache`",
            Self::Artifacts => "`artifacts`",
            Self::Security => "`security`",
            Self::Step => "a step",
        }
    }

    /// Where its keys belong, behind "it belongs".
    #[must_use]
    pub fn belongs(self) -> &'static str {
        match self {
            Self::Top => "at the top of the file",
            Self::Defaults => "in `defaults`",
            Self::On => "in `on`",
            Self::Push => "in `push`, under `on`",
            Self::PullRequest => "in `pull-request`, under `on`",
            Self::Schedule => "in an item of `schedule`, under `on`",
            Self::Include => "in an item of `include`",
            Self::Concurrency => "in `concurrency`",
            Self::Job => "in a job",
            Self::Build => "in the `image` of a job, as a mapping",
            Self::Matrix => "in a job's `matrix`",
            Self::Service => "in a service, under `services`",
            Self::Ready => "in a service's `ready`",
            Self::Resources => "in a job's `resources`",
            Self::Retry => "in `retry`",
            Self::Cache => "in a job's `cache`",
            Self::Artifacts => "in a job's `artifacts`",
            Self::Security => "in a job's `security`",
            Self::Step => "in a step, under `steps`",
        }
    }
}

impl Kind {
    /// What it is called, in a few words of Markdown.
    #[must_use]
    pub fn words(self) -> String {
        match self {
            Kind::Version => "a version".to_owned(),
            Kind::Text => "text".to_owned(),
            Kind::Template => "text, in which `${{ … }}` may stand".to_owned(),
            Kind::Script => "a script".to_owned(),
            Kind::Condition => "an expression".to_owned(),
            Kind::Boolean => "`true` or `false`".to_owned(),
            Kind::Integer { min, max } => format!("a whole number, {min} to {max}"),
            Kind::Cpus => "a number of CPUs".to_owned(),
            Kind::Duration => "a duration, such as `90s` or `1h30m`".to_owned(),
            Kind::Size => "a size, such as `512MiB`".to_owned(),
            Kind::Words(words) => {
                let quoted: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
                quoted.join(" or ")
            }
            Kind::Image => "an image".to_owned(),
            Kind::Shell => "`sh`, `bash`, `python` or a command".to_owned(),
            Kind::User => "a user".to_owned(),
            Kind::Path => "a path".to_owned(),
            Kind::Glob => "a pattern".to_owned(),
            Kind::Cron => "a cron expression".to_owned(),
            Kind::TimeZone => "a time zone".to_owned(),
            Kind::Commit => "a full commit id".to_owned(),
            Kind::Id => "an identifier".to_owned(),
            Kind::JobKey => "the key of a job".to_owned(),
            Kind::SecretName => "the name of a secret".to_owned(),
            Kind::Capability => "a capability".to_owned(),
            Kind::Env => "names with their values".to_owned(),
            Kind::Outputs => "names with texts".to_owned(),
            Kind::Combination => "names with values of the matrix, or a value".to_owned(),
            Kind::Of(mapping) => format!("a mapping: {}", names(mapping)),
            Kind::Named(mapping) => format!("a mapping from names to {}", mapping.title().replacen("a ", "", 1) + "s"),
            Kind::List(kind) => format!("a list, each {}", kind.words()),
            Kind::OneOrMany(kind) => format!("{}; or a list of such", kind.words()),
            Kind::Either(kinds) => kinds.iter().map(|kind| kind.words()).collect::<Vec<_>>().join("; or "),
            Kind::Optional(kind) => format!("nothing; or {}", kind.words()),
        }
    }
}

fn names(mapping: Mapping) -> String {
    mapping.names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl Key {
    /// Whether it must stand.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.default == "required"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_described() {
        for mapping in Mapping::ALL {
            let mut seen = std::collections::BTreeSet::new();
            for key in mapping.keys() {
                let what = format!("{mapping:?}.{}", key.name);
                assert!(seen.insert(key.name), "{what} stands twice");
                assert!(key.doc.ends_with('.') && key.doc.starts_with(char::is_uppercase), "{what}: {}", key.doc);
                assert!(!key.default.is_empty() && !key.example.is_empty(), "{what}");
            }
        }
    }
}

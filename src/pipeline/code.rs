//! The codes of findings: stable names that tools may match on. docs/diagnostics.md has a section for each.

use std::fmt;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The pipeline cannot run.
    Error,
    /// It can run; something is likely not meant.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// What kind of finding. Grouped by hundreds: 00 the file, 01 keys, 02 jobs, 03 values, 04 environment and secrets,
        /// 05 expressions, 06 triggers, 07 what a job has beside its steps.
        /// A code is never used again for something else.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable name, like `E0101`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

codes! {
    /// The file is not UTF-8.
    NotUtf8 = "E0001",
    /// The file is larger than the limit.
    TooLarge = "E0002",
    /// Not YAML.
    Syntax = "E0003",
    /// Nothing in the file.
    Empty = "E0004",
    /// More than one YAML document.
    ManyDocuments = "E0005",
    /// Nested deeper than the limit.
    TooDeep = "E0006",
    /// More values or aliases than the limit, aliases counted as what they stand for.
    TooManyNodes = "E0007",
    /// An alias without its anchor.
    UnknownAnchor = "E0008",
    /// `<<` with something that is no mapping.
    BadMerge = "E0009",
    /// A YAML tag.
    Tag = "E0010",
    /// A key that stands twice in one mapping.
    DuplicateKey = "E0011",
    /// A key that is no plain text.
    BadKey = "E0012",
    /// There is no file, or none that may be read: `validate` reports it beside what is in files.
    Unreadable = "E0013",
    /// A key that means nothing.
    UnknownKey = "E0101",
    /// A key that belongs somewhere else.
    MisplacedKey = "E0102",
    /// A key that must be there and is not.
    MissingKey = "E0104",
    /// A value of the wrong kind.
    WrongType = "E0105",
    /// A version of the language that does not exist.
    Version = "E0106",
    /// A `${{ … }}` where none is evaluated.
    NoExpressionHere = "E0108",
    /// A key that only the pipeline file itself may have.
    MainFileOnly = "E0109",
    /// A file that cannot be included.
    Include = "E0110",
    /// An included file's path that leaves its repository.
    IncludePath = "E0111",
    /// An include of another repository without a full commit id.
    IncludeCommit = "E0112",
    /// An include's repository that is no address.
    IncludeAddress = "E0113",
    /// More files than the limit.
    TooManyFiles = "E0114",
    /// `jobs` without a job.
    NoJobs = "E0201",
    /// A job's key that is no identifier.
    JobKey = "E0202",
    /// `needs` names a job that does not exist.
    UnknownNeed = "E0203",
    /// A job that needs itself.
    SelfNeed = "E0204",
    /// Jobs that wait for each other.
    Cycle = "E0205",
    /// The same need twice.
    DuplicateNeed = "E0206",
    /// `steps` without a step.
    NoSteps = "E0207",
    /// More jobs than the limit.
    TooManyJobs = "E0208",
    /// More steps in a job than the limit.
    TooManySteps = "E0209",
    /// A job without an image, its own or the default.
    NoImage = "E0210",
    /// A job's key that two files have.
    DuplicateJob = "E0211",
    /// A step's id that is no identifier.
    StepId = "E0212",
    /// Two steps of one id.
    DuplicateId = "E0213",
    /// The name of an output that is no identifier.
    OutputName = "E0214",
    /// An axis without values, or with one that is no single value.
    MatrixValue = "E0215",
    /// The name of an axis that is no identifier.
    MatrixKey = "E0216",
    /// A matrix without a combination.
    EmptyMatrix = "E0217",
    /// `exclude` names what no axis has.
    UnknownAxis = "E0218",
    /// The same value twice in an axis.
    DuplicateValue = "E0219",
    /// Not a duration.
    Duration = "E0301",
    /// Not a size.
    Size = "E0302",
    /// Not an image reference.
    Image = "E0303",
    /// Not `true` or `false`.
    Boolean = "E0304",
    /// None of the values that a key takes.
    Choice = "E0305",
    /// Not a number in the range.
    Number = "E0306",
    /// A `working-directory` outside the workspace.
    WorkingDirectory = "E0307",
    /// Not a shell.
    Shell = "E0308",
    /// `run` without a command.
    EmptyRun = "E0309",
    /// Text with a NUL character.
    Nul = "E0310",
    /// Not a user.
    User = "E0311",
    /// Text that must not be empty.
    EmptyText = "E0312",
    /// A list without an item.
    EmptyList = "E0313",
    /// The same item twice in a list.
    DuplicateItem = "E0314",
    /// The name of a variable that no shell takes.
    EnvName = "E0401",
    /// A variable that Argon sets.
    ReservedEnv = "E0402",
    /// A variable's value that is no text.
    EnvValue = "E0403",
    /// The name of a secret that cannot be a variable.
    SecretName = "E0404",
    /// A secret that the file does not declare.
    UndeclaredSecret = "E0405",
    /// The same secret twice.
    DuplicateSecret = "E0406",
    /// A step's secret and variable of one name.
    SecretIsEnv = "E0407",
    /// Not an expression.
    ExpressionSyntax = "E0501",
    /// A `${{` without its `}}`.
    ExpressionUnterminated = "E0502",
    /// An expression that is too long or too deep.
    ExpressionTooLarge = "E0503",
    /// A name that is no context.
    UnknownContext = "E0504",
    /// A function that does not exist.
    UnknownFunction = "E0505",
    /// A function with arguments that it does not take.
    Arguments = "E0506",
    /// A context or function where it has no value.
    NotHere = "E0507",
    /// A name that the matrix does not have.
    UnknownMatrixName = "E0508",
    /// A job that `needs` does not name.
    UnknownNeedName = "E0509",
    /// An output that the job does not have.
    UnknownOutput = "E0510",
    /// A step's id that is not there, or comes later.
    UnknownStepId = "E0511",
    /// A property that a context does not have.
    UnknownProperty = "E0512",
    /// A secret that the file does not declare, in an expression.
    UnknownSecretName = "E0513",
    /// Text of an event or a program in a script.
    EventInScript = "E0514",
    /// The value of a secret.
    SecretValue = "E0515",
    /// A comparison that can never hold.
    ImpossibleComparison = "E0516",
    /// A pattern of files that matches nothing.
    BadGlob = "E0517",
    /// `on` without an event.
    NoEvent = "E0601",
    /// The same event twice.
    DuplicateEvent = "E0602",
    /// Not a pattern, or one that matches nothing.
    Glob = "E0603",
    /// A branch or a tag with what git puts before it.
    RefPrefix = "E0604",
    /// Not a cron expression of five fields, or one whose time never comes.
    Cron = "E0605",
    /// Not a time zone.
    TimeZone = "E0606",
    /// The name of a service that is no label of DNS.
    ServiceName = "E0701",
    /// A service with the name of its job.
    ServiceIsJob = "E0702",
    /// `services` without a service.
    NoServices = "E0703",
    /// A command whose quotes do not close.
    CommandQuotes = "E0704",
    /// `ready` that asks twice, or nothing.
    Ready = "E0705",
    /// Not a folder of a container that can be kept in memory.
    ContainerPath = "E0706",
    /// Not a folder that a cache can keep.
    CachePath = "E0707",
    /// Two caches of one folder.
    DuplicateCachePath = "E0708",
    /// Not the name of an artifact.
    ArtifactName = "E0709",
    /// Two artifacts of one name.
    DuplicateArtifact = "E0710",
    /// A path of `image` that leaves the repository.
    BuildPath = "E0711",
    /// Not a Linux capability.
    Capability = "E0712",
    /// A job that can never run.
    NeverRuns = "W0201",
    /// `exclude` takes nothing out.
    ExcludesNothing = "W0202",
    /// An image without tag or digest.
    ImageNotPinned = "W0301",
    /// A script that no shell takes.
    ScriptSyntax = "W0302",
    /// A script names a file that git ignores.
    IgnoredFile = "W0303",
    /// A declared secret that no step asks for.
    UnusedSecret = "W0401",
    /// A variable that nothing in the file sets, in an expression.
    UnknownVariable = "W0501",
    /// A condition that rests on nothing.
    ConstantCondition = "W0502",
    /// `paths` where only tags count.
    PathsOfTags = "W0601",
    /// A cache whose key never changes.
    ConstantCacheKey = "W0701",
    /// A capability that the sandbox has.
    CapabilityInSandbox = "W0702",
}

impl Code {
    /// Errors begin with `E`, warnings with `W`.
    #[must_use]
    pub fn severity(self) -> Severity {
        if self.as_str().starts_with('W') { Severity::Warning } else { Severity::Error }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

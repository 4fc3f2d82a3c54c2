//! The table itself.

use super::{Key, Kind, Mapping};

const fn key(name: &'static str, kind: Kind, default: &'static str, example: &'static str, doc: &'static str) -> Key {
    Key { name, kind, doc, default, example }
}

pub(super) const TOP: &[Key] = &[
    key("version", Kind::Version, "`1.0`", "1.0", "The version of the language."),
    key("name", Kind::Text, "the folder's name", "Build and test", "What people see in the place of the file's name."),
    key(
        "on",
        Kind::Either(&[Kind::OneOrMany(&Kind::Words(EVENTS)), Kind::Of(Mapping::On)]),
        "`push` and `manual`",
        "\n  push:\n    branches: [main]",
        "Which events start the pipeline on a runner (`argon listen`). `argon run` asks it only with `--event`.",
    ),
    key(
        "env",
        Kind::Env,
        "none",
        "\n  MODE: release",
        "Variables of every step. A job's and a step's of the same name win.",
    ),
    key(
        "defaults",
        Kind::Of(Mapping::Defaults),
        "none",
        "\n  image: python:3.10",
        "What jobs of this file have where they do not say otherwise.",
    ),
    key(
        "secrets",
        Kind::List(&Kind::SecretName),
        "any may be asked for",
        "[DEPLOY_TOKEN]",
        "The secrets that steps may ask for. Where it stands, others are refused.",
    ),
    key(
        "include",
        Kind::OneOrMany(&Kind::Either(&[Kind::Path, Kind::Of(Mapping::Include)])),
        "none",
        "ci/lint.yml",
        "Files whose jobs join this pipeline: paths of this repository, or a file of another one at a commit.",
    ),
    key(
        "concurrency",
        Kind::Either(&[Kind::Template, Kind::Of(Mapping::Concurrency)]),
        "every run for itself",
        "deploy-${{ branch }}",
        "Runs of one group do not run at once on a runner (`argon listen`): the newest waits, what waited before is dropped.",
    ),
    key(
        "jobs",
        Kind::Named(Mapping::Job),
        "required",
        "\n  build:\n    image: python:3.10\n    steps:\n      - run: make",
        "The jobs by their keys. A key begins with a letter or `_` and goes on with letters, digits, `_` and `-`. \
         A file that includes others may do without.",
    ),
];

const EVENTS: &[(&str, &str)] = &[
    ("push", "A commit or a tag was pushed."),
    ("pull-request", "A pull request was opened or got new commits."),
    ("manual", "A person asked for it: `argon trigger`, or a button."),
];

pub(super) const DEFAULTS: &[Key] = &[
    key("image", Kind::Image, "none", "python:3.10", "The image of jobs that name none."),
    key("shell", Kind::Shell, "`sh`", "bash", "The shell of steps that name none, and whose job names none."),
    key("working-directory", Kind::Path, "the workspace", "src", "Where steps begin."),
    key("timeout", Kind::Duration, "none", "30m", "Time for a whole job."),
];

pub(super) const ON: &[Key] = &[
    key(
        "push",
        Kind::Optional(&Kind::Of(Mapping::Push)),
        "not on a push",
        "\n    branches: [main]",
        "A commit or a tag was pushed.",
    ),
    key(
        "pull-request",
        Kind::Optional(&Kind::Of(Mapping::PullRequest)),
        "not on a pull request",
        "\n    branches: [main]",
        "A pull request was opened or got new commits.",
    ),
    key(
        "schedule",
        Kind::OneOrMany(&Kind::Of(Mapping::Schedule)),
        "at no time",
        "\n    - cron: 0 3 * * *",
        "At certain times.",
    ),
    key(
        "manual",
        Kind::Optional(&Kind::Boolean),
        "`false` where `on` stands",
        "true",
        "A person asked for it: `argon trigger`, or a button.",
    ),
];

const GLOBS: Kind = Kind::OneOrMany(&Kind::Glob);

pub(super) const PUSH: &[Key] = &[
    key(
        "branches",
        GLOBS,
        "every branch; none where `tags` stands",
        "[main, release/*]",
        "The branches that count. `*` stays between two `/`, `**` crosses them, `!` takes out again; the last match decides.",
    ),
    key("tags", GLOBS, "every tag; none where `branches` stands", "[v*]", "The tags that count."),
    key("paths", GLOBS, "every file", "[src/**, \"!**/*.md\"]", "Only where a file that matches was changed."),
];

pub(super) const PULL_REQUEST: &[Key] = &[
    key("branches", GLOBS, "every branch", "[main]", "The branches that it is to be merged into."),
    key("paths", GLOBS, "every file", "[src/**]", "Only where a file that matches was changed."),
];

pub(super) const SCHEDULE: &[Key] = &[
    key(
        "cron",
        Kind::Cron,
        "required",
        "0 3 * * 1-5",
        "Minute, hour, day of the month, month, day of the week (0 and 7 are Sunday), in numbers.",
    ),
    key("time-zone", Kind::TimeZone, "`UTC`", "Europe/Berlin", "The time zone in which it counts."),
];

pub(super) const INCLUDE: &[Key] = &[
    key("file", Kind::Path, "required", "ci/lint.yml", "The file, by its path from the top of its repository."),
    key(
        "git",
        Kind::Text,
        "this repository",
        "https://example.com/team/ci.git",
        "The repository that has the file: an address or a path, as `git clone` takes it.",
    ),
    key(
        "commit",
        Kind::Commit,
        "required with `git`",
        "3f786850e387550fdab836ed7e6dc881de23001b",
        "The commit whose file it is, in full: what a branch holds tomorrow is not what you read today.",
    ),
];

pub(super) const CONCURRENCY: &[Key] = &[
    key("group", Kind::Template, "required", "deploy-${{ branch }}", "The name of the group."),
    key(
        "cancel-in-progress",
        Kind::Boolean,
        "`false`",
        "true",
        "Whether a new run of the group stops the one that runs.",
    ),
];

const RETRY_KIND: Kind = Kind::Either(&[Kind::Integer { min: 0, max: 10 }, Kind::Of(Mapping::Retry)]);

pub(super) const JOB: &[Key] = &[
    key("name", Kind::Template, "the job's key", "Test on ${{ matrix.os }}", "What people see beside the job's key."),
    key(
        "image",
        Kind::Either(&[Kind::Image, Kind::Of(Mapping::Build)]),
        "that of `defaults`; one of both is required",
        "python:3.10",
        "What the container is made of: an image, or how to build one.",
    ),
    key(
        "needs",
        Kind::OneOrMany(&Kind::JobKey),
        "none",
        "[lint, build]",
        "The jobs that must be done first, and green where `if` does not say otherwise.",
    ),
    key(
        "if",
        Kind::Condition,
        "`success()`",
        "branch == 'main'",
        "Whether the job runs. Without `success()`, `failure()`, `always()` or `cancelled()` in it, all that it needs must be green.",
    ),
    key(
        "matrix",
        Kind::Of(Mapping::Matrix),
        "one job",
        "\n      python: [\"3.11\", \"3.12\"]",
        "Runs the job once for each combination of these values.",
    ),
    key("env", Kind::Env, "none", "\n      MODE: release", "Variables of its steps."),
    key(
        "services",
        Kind::Named(Mapping::Service),
        "none",
        "\n      db:\n        image: postgres:17",
        "Containers that run beside the job, reachable by their names: small letters, digits and `-`.",
    ),
    key("resources", Kind::Of(Mapping::Resources), "`pids` 512", "\n      memory: 2GiB", "Bounds of its container."),
    key(
        "network",
        Kind::Words(&[("default", "What the engine's bridge reaches."), ("none", "Nothing but itself.")]),
        "`default`",
        "none",
        "What the job may reach.",
    ),
    key("user", Kind::User, "the image's", "1000:1000", "Who its steps run as."),
    key("shell", Kind::Shell, "that of `defaults`, or `sh`", "bash", "The shell of its steps."),
    key(
        "working-directory",
        Kind::Path,
        "that of `defaults`, or the workspace",
        "src",
        "Where its steps begin: in the workspace, or an absolute path in the container.",
    ),
    key("timeout", Kind::Duration, "that of `defaults`, or none", "30m", "Time for all of it."),
    key("retry", RETRY_KIND, "`0`", "2", "How often it is tried again after a failure."),
    key(
        "continue-on-error",
        Kind::Boolean,
        "`false`",
        "true",
        "Whether the run stays green when it fails, and jobs that need it go on.",
    ),
    key(
        "cache",
        Kind::OneOrMany(&Kind::Of(Mapping::Cache)),
        "none",
        "\n      key: pip-${{ hash('requirements.txt') }}\n      paths: [/root/.cache/pip]",
        "Folders that are kept from run to run.",
    ),
    key(
        "artifacts",
        Kind::OneOrMany(&Kind::Of(Mapping::Artifacts)),
        "none",
        "\n      name: packages\n      paths: [dist/**]",
        "Files that outlive the job: for later jobs, and for you.",
    ),
    key(
        "inputs",
        Kind::OneOrMany(&Kind::Glob),
        "it always runs",
        "[src/**, Cargo.lock]",
        "The files that decide what it does: where none of them changed since it was green, it does not run again.",
    ),
    key(
        "outputs",
        Kind::Outputs,
        "none",
        "\n      version: ${{ steps.version.outputs.number }}",
        "What it tells jobs that need it: each a name and a text, usually of a step's output.",
    ),
    key(
        "output",
        Kind::Words(&[
            ("merged", "Standard error joins standard output, in the order written."),
            ("split", "The two stay apart."),
        ]),
        "`merged`",
        "split",
        "What becomes of a step's standard error.",
    ),
    key(
        "security",
        Kind::Of(Mapping::Security),
        "the sandbox",
        "\n      capabilities: [SYS_PTRACE]",
        "What the job wants beyond the sandbox. It gets it only where the command line allows it.",
    ),
    key("steps", Kind::List(&Kind::Of(Mapping::Step)), "required", "\n      - run: make", "What it does, in order."),
];

pub(super) const BUILD: &[Key] = &[
    key("build", Kind::Path, "required", ".", "The folder that is sent to the build."),
    key(
        "dockerfile",
        Kind::Path,
        "`Dockerfile` in that folder",
        "ci/Dockerfile",
        "The Dockerfile, by its path in the repository.",
    ),
    key("target", Kind::Text, "the last stage", "test", "The stage to build."),
    key("args", Kind::Env, "none", "\n        PYTHON: 3.12", "Build arguments."),
];

pub(super) const MATRIX: &[Key] = &[
    key(
        "include",
        Kind::List(&Kind::Combination),
        "none",
        "\n        - { python: \"3.13\", experimental: true }",
        "Adds to combinations: an item adds its values to each combination that it contradicts in nothing, or is one more where there is none.",
    ),
    key(
        "exclude",
        Kind::List(&Kind::Combination),
        "none",
        "\n        - { python: \"3.11\", os: alpine }",
        "Takes combinations out: those that have all the values of an item.",
    ),
    key(
        "max-parallel",
        Kind::Integer { min: 1, max: 256 },
        "as many as `--jobs`",
        "2",
        "How many of its jobs run at once.",
    ),
];

pub(super) const SERVICE: &[Key] = &[
    key("image", Kind::Image, "required", "postgres:17", "What the service is made of."),
    key("env", Kind::Env, "none", "\n          POSTGRES_PASSWORD: test", "Its variables."),
    key(
        "command",
        Kind::OneOrMany(&Kind::Template),
        "the image's",
        "[postgres, -c, fsync=off]",
        "The arguments it is started with; one text is split as a shell would.",
    ),
    key(
        "entrypoint",
        Kind::OneOrMany(&Kind::Template),
        "the image's",
        "[/usr/bin/env]",
        "The program it is started with; one text is split as a shell would.",
    ),
    key("user", Kind::User, "the image's", "999", "Who it runs as."),
    key(
        "tmpfs",
        Kind::OneOrMany(&Kind::Path),
        "none",
        "/var/lib/postgresql/data",
        "Folders of it that are kept in memory.",
    ),
    key(
        "resources",
        Kind::Of(Mapping::Resources),
        "`pids` 512",
        "\n          memory: 1GiB",
        "Bounds of its container.",
    ),
    key(
        "ready",
        Kind::Of(Mapping::Ready),
        "the image's HEALTHCHECK, or its exposed port",
        "\n          port: 5432",
        "What must hold before the steps begin.",
    ),
];

pub(super) const READY: &[Key] = &[
    key(
        "command",
        Kind::Template,
        "none",
        "pg_isready -U postgres",
        "A command in the service that ends with 0 when it is ready.",
    ),
    key(
        "port",
        Kind::Integer { min: 1, max: 65535 },
        "none",
        "5432",
        "A port that takes connections when it is ready.",
    ),
    key("timeout", Kind::Duration, "`1m`", "30s", "How long to wait for it."),
];

pub(super) const RESOURCES: &[Key] = &[
    key("cpus", Kind::Cpus, "all", "1.5", "CPUs: more than 0, up to three digits behind the point."),
    key("memory", Kind::Size, "no bound", "2GiB", "Memory, at least `6MiB`."),
    key("pids", Kind::Integer { min: 1, max: 4_194_304 }, "512", "256", "Processes and threads."),
];

pub(super) const RETRY: &[Key] = &[
    key("max", Kind::Integer { min: 0, max: 10 }, "required", "2", "How often it is tried again."),
    key(
        "when",
        Kind::OneOrMany(&Kind::Words(&[
            ("failure", "Its own work failed."),
            ("timeout", "Its time was up."),
            ("error", "The machinery under it failed."),
        ])),
        "all three",
        "[timeout, error]",
        "After which ends.",
    ),
    key(
        "backoff",
        Kind::Duration,
        "none",
        "5s",
        "How long to wait before the first new try; twice as long before each one after it.",
    ),
];

pub(super) const CACHE: &[Key] = &[
    key("key", Kind::Template, "required", "pip-${{ hash('requirements.txt') }}", "What the cache is found by."),
    key(
        "restore-keys",
        Kind::OneOrMany(&Kind::Template),
        "none",
        "pip-",
        "Beginnings of keys to take the newest of where the key itself is not there.",
    ),
    key(
        "paths",
        Kind::OneOrMany(&Kind::Path),
        "required",
        "[/root/.cache/pip]",
        "The folders that are kept, no patterns: in the workspace, or absolute in the container.",
    ),
    key(
        "mode",
        Kind::Words(&[
            ("shared", "Jobs use it at once; its tools must stand that."),
            ("locked", "One job at a time."),
            ("private", "Each job works on a copy."),
        ]),
        "`private`",
        "shared",
        "What happens when two jobs want it at once.",
    ),
    key(
        "save",
        Kind::Words(&[("success", "When the job is green."), ("always", "Also when it failed.")]),
        "`success`",
        "always",
        "When it is kept.",
    ),
];

pub(super) const ARTIFACTS: &[Key] = &[
    key("name", Kind::Template, "the job's key", "packages", "What it is asked for by."),
    key("paths", Kind::OneOrMany(&Kind::Glob), "required", "[dist/**]", "The files, from the workspace."),
    key(
        "when",
        Kind::Words(&[
            ("success", "When the job is green."),
            ("failure", "When it failed."),
            ("always", "Either way."),
        ]),
        "`success`",
        "always",
        "When they are kept.",
    ),
    key("expire", Kind::Duration, "as the history", "168h", "How long they are kept."),
];

pub(super) const SECURITY: &[Key] = &[
    key(
        "privileged",
        Kind::Boolean,
        "`false`",
        "true",
        "All that the engine's host may do. A container with it is no sandbox.",
    ),
    key(
        "capabilities",
        Kind::OneOrMany(&Kind::Capability),
        "those of the sandbox",
        "[SYS_PTRACE]",
        "Linux capabilities beside those of the sandbox, with or without `CAP_`.",
    ),
];

pub(super) const STEP: &[Key] = &[
    key("name", Kind::Template, "the first line of `run`", "Install dependencies", "What people see."),
    key("id", Kind::Id, "none", "version", "What expressions name it by: `steps.ID.outputs.NAME`."),
    key(
        "if",
        Kind::Condition,
        "`success()`",
        "failure()",
        "Whether the step runs. Without `success()`, `failure()`, `always()` or `cancelled()` in it, the steps before must be green.",
    ),
    key("run", Kind::Script, "required", "\n          make\n          make test", "The script."),
    key("env", Kind::Env, "none", "\n          TARGET: production", "Variables of this step."),
    key(
        "secrets",
        Kind::List(&Kind::SecretName),
        "none",
        "[DEPLOY_TOKEN]",
        "The secrets it gets, each as the variable of its name.",
    ),
    key("shell", Kind::Shell, "the job's", "bash", "What runs the script."),
    key(
        "working-directory",
        Kind::Path,
        "the job's",
        "site",
        "Where it begins: in the workspace, or an absolute path in the container.",
    ),
    key("timeout", Kind::Duration, "none", "10m", "Time for this step."),
    key("retry", RETRY_KIND, "`0`", "2", "How often it is tried again after a failure."),
    key("continue-on-error", Kind::Boolean, "`false`", "true", "Whether the job goes on when it fails."),
];

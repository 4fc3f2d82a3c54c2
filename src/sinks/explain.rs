//! Why something failed, in plain words, and what to do about it.

use crate::event::{CacheFound, Cause, Event, Level, RunId, ServiceState, Status, StepIndex, TimeoutScope};

use super::sanitize::one_line;
use super::style::{bytes, human};

/// A cause in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What happened: a clause without a full stop.
    pub what: String,
    /// What to do about it: a sentence.
    pub hint: Option<String>,
}

/// What a cause does not say by itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct About<'a> {
    /// The job's image.
    pub image: Option<&'a str>,
    /// The names of the job's steps.
    pub steps: &'a [crate::event::StepInfo],
}

impl About<'_> {
    fn in_image(&self) -> String {
        self.image.map_or_else(|| "in the image".to_owned(), |image| format!("in image {image}"))
    }

    fn step(&self, step: StepIndex) -> String {
        match self.steps.get(step.0) {
            Some(info) => format!("step {step} ({})", info.name),
            None => format!("step {step}"),
        }
    }
}

/// The cause in words.
pub fn explain(cause: &Cause, about: About<'_>) -> Explanation {
    let (what, hint) = match cause {
        Cause::Exit { code: 126 } => (
            "exit code 126: a command was found and cannot be run".to_owned(),
            Some("Is it executable (`chmod +x`, `git update-index --chmod=+x`), and built for this platform?".to_owned()),
        ),
        Cause::Exit { code } => (format!("exit code {code}"), None),
        Cause::CommandNotFound { command } => command_not_found(command.as_deref(), about),
        Cause::ShellNotFound { shell } => (
            format!("the shell `{shell}` is not {}", about.in_image()),
            Some("Set `shell:` to one that the image has (most have `sh`), or choose another image.".to_owned()),
        ),
        Cause::WorkingDirectory { directory } => (
            format!("the working directory {directory} does not exist in the container"),
            Some("Make it in an earlier step, or correct `working-directory:`. Files that git ignores are not in the workspace.".to_owned()),
        ),
        Cause::Signal { signal } => signalled(*signal),
        Cause::OutOfMemory { limit } => out_of_memory(*limit),
        Cause::TimedOut { scope, limit } => {
            let setting = match scope {
                TimeoutScope::Step => "Raise the step's `timeout:`",
                TimeoutScope::Job => "Raise the job's `timeout:`",
                TimeoutScope::Run => "Raise `--timeout`",
            };
            (
                format!("timed out: the {} may take {}", scope.word(), human(*limit)),
                Some(format!("{setting} if it needs longer; else look for what it waits for.")),
            )
        }
        Cause::StepFailed { step } => (format!("{} failed", about.step(*step)), None),
        Cause::NeedFailed { need, status } => (format!("needs {need}, {}", ended(*status)), None),
        Cause::FailFast { job } => (
            format!("stopped, as {job} failed"),
            Some("`--keep-going` runs the other jobs all the same.".to_owned()),
        ),
        Cause::EarlierStepFailed => ("an earlier step failed".to_owned(), None),
        Cause::Condition { condition } => (format!("its `if` does not hold: {condition}"), None),
        Cause::Handover { file, message } => (
            format!("what the step left in ${file} cannot be read: {message}"),
            Some(format!("Write lines as `echo \"name=value\" >>\"${file}\"`; docs/run.md shows values of several lines.")),
        ),
        Cause::Expression { key, message } => (
            format!("an expression in `{key}` has no value: {message}"),
            Some("Look at what it takes its values from: outputs and variables of earlier jobs and steps.".to_owned()),
        ),
        Cause::Service { service, message } => (
            format!("the service {service} {message}"),
            Some("What it wrote stands above; `ready:` says what Argon waits for, and for how long.".to_owned()),
        ),
        Cause::Secret { name, message } => (
            format!("the secret {name} is not to be had: {message}"),
            Some("`argon secret list` says where each is kept; docs/secrets.md how.".to_owned()),
        ),
        Cause::Artifact { name, message } => (
            format!("the artifact {name} cannot be kept: {message}"),
            Some("An artifact has files, folders and symlinks of the workspace that stay inside it: narrow its `paths:`.".to_owned()),
        ),
        Cause::ImageBuild { message, .. } => (
            format!("its image cannot be built: {message}"),
            Some("Mend the Dockerfile, or what it copies: a build sees the folder less what git and .dockerignore ignore.".to_owned()),
        ),
        Cause::Interrupted => ("interrupted".to_owned(), None),
        Cause::Infrastructure { message, hint } => (message.clone(), hint.clone()),
    };
    // Some of it is in the words of others: commands, registries.
    Explanation { what: one_line(&what), hint: hint.as_deref().map(one_line) }
}

/// What Argon says, in a line, of what becomes of a job beside its steps; `None` for other events, and for what is said elsewhere.
pub fn aside(event: &Event, about: About<'_>) -> Option<(Level, String)> {
    let line = match event {
        Event::Retrying { step, attempt, of, wait, cause, .. } => {
            let what = step.map_or_else(|| "the job".to_owned(), |step| about.step(step));
            let when = if wait.is_zero() { "again now".to_owned() } else { format!("again in {}", human(*wait)) };
            (Level::Warn, format!("try {attempt} of {of} of {what} failed: {}; {when}", explain(cause, about).what))
        }
        Event::Service { service, state, .. } => match state {
            ServiceState::Started { image } => (Level::Debug, format!("service {service}: started {image}")),
            ServiceState::Ready { after } => {
                (Level::Info, format!("service {service} is ready after {}", human(*after)))
            }
            ServiceState::Ended { exit_code } => {
                let code = exit_code.map(|code| format!(" with {code}")).unwrap_or_default();
                (Level::Warn, format!("service {service} ended{code}, while the job goes on"))
            }
        },
        Event::Cache { key, found, .. } => match found {
            CacheFound::Hit => (Level::Info, format!("cache {key}: hit")),
            CacheFound::Partial { key: of } => (Level::Info, format!("cache {key}: partly, from {of}")),
            CacheFound::Miss { why } => (Level::Info, format!("cache {key}: miss ({why})")),
        },
        Event::JobCached { from, .. } => {
            (Level::Info, format!("cached: nothing that it rests on has changed since run {}", short(from)))
        }
        Event::Artifact { name, files, bytes: size, .. } => {
            (Level::Info, format!("artifact {name}: {}, {}", super::style::files(*files), bytes(*size)))
        }
        _ => return None,
    };
    Some((line.0, one_line(&line.1)))
}

/// The end of a run's id, by which people know it.
fn short(run: &RunId) -> &str {
    let id = run.as_str();
    &id[id.len().saturating_sub(8)..]
}

/// How a job ended, after its name.
fn ended(status: Status) -> &'static str {
    match status {
        Status::Success => "which succeeded",
        Status::Failure => "which failed",
        Status::Cancelled => "which was cancelled",
        Status::Skipped => "which was skipped",
        Status::Error => "which could not run",
    }
}

fn command_not_found(command: Option<&str>, about: About<'_>) -> (String, Option<String>) {
    let what = match command {
        Some(command) => format!("exit code 127: `{command}`: command not found {}", about.in_image()),
        None => format!("exit code 127: a command was not found {}", about.in_image()),
    };
    let hint = match command {
        // A path is a file of the workspace (or its missing interpreter), not a package.
        Some(command) if command.contains('/') => {
            "Is the file committed or at least not ignored by git, and is the interpreter of its first line in the image?"
        }
        _ => "Install it in an earlier step, choose an image that has it, or check its spelling.",
    };
    (what, Some(hint.to_owned()))
}

fn out_of_memory(limit: Option<u64>) -> (String, Option<String>) {
    match limit {
        Some(limit) => (
            format!("out of memory: the job may use {}", bytes(limit)),
            Some(format!(
                "Set `resources: {{ memory: {} }}` on the job, or make the step need less.",
                more_than(limit)
            )),
        ),
        None => (
            "out of memory: the engine's machine has no more".to_owned(),
            Some("Give the engine more memory, or run fewer jobs at once (`--jobs 1`).".to_owned()),
        ),
    }
}

/// Twice the limit, as one would write it in the file.
fn more_than(limit: u64) -> String {
    bytes(limit.saturating_mul(2)).replace(' ', "")
}

fn signalled(signal: i32) -> (String, Option<String>) {
    // Numbers of Linux, which is what runs in containers: signal(7).
    let (name, hint) = match signal {
        1 => ("SIGHUP", None),
        2 => ("SIGINT", None),
        3 => ("SIGQUIT", None),
        4 => ("SIGILL", Some("The program uses instructions that this CPU (or its emulation) does not have.")),
        5 => ("SIGTRAP", None),
        6 => ("SIGABRT", Some("The program gave up by itself; its last lines may say why.")),
        7 => ("SIGBUS", Some("Often a full /dev/shm or a mapped file that shrank.")),
        8 => ("SIGFPE", Some("A division by zero, or like it.")),
        9 => ("SIGKILL", Some("Something killed it from outside; Argon did not.")),
        11 => ("SIGSEGV", Some("The program crashed: an access to memory that is not its own.")),
        13 => ("SIGPIPE", Some("It wrote to a pipe whose reader had ended.")),
        14 => ("SIGALRM", None),
        15 => ("SIGTERM", Some("Something asked it to end; Argon did not.")),
        24 => ("SIGXCPU", Some("A limit of CPU time (`ulimit -t`) passed.")),
        25 => ("SIGXFSZ", Some("A limit of file size (`ulimit -f`) passed.")),
        31 => ("SIGSYS", Some("A system call that the sandbox does not allow.")),
        _ => return (format!("ended by signal {signal}"), None),
    };
    (format!("ended by signal {signal} ({name})"), hint.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::time::Duration;

    use super::*;
    use crate::event::{JobId, StepInfo};

    #[test]
    fn every_cause_is_explained() {
        let steps = [StepInfo { name: "Install".into() }, StepInfo { name: "Test".into() }];
        let about = About { image: Some("python:3.10"), steps: &steps };
        let minute = Duration::from_secs(90);
        let causes = [
            Cause::Exit { code: 1 },
            Cause::Exit { code: 126 },
            Cause::CommandNotFound { command: Some("foo".into()) },
            Cause::CommandNotFound { command: Some("./run.sh".into()) },
            Cause::CommandNotFound { command: None },
            Cause::ShellNotFound { shell: "bash".into() },
            Cause::WorkingDirectory { directory: "/workspace/dist".into() },
            Cause::Signal { signal: 11 },
            Cause::Signal { signal: 40 },
            Cause::OutOfMemory { limit: Some(512 << 20) },
            Cause::OutOfMemory { limit: None },
            Cause::TimedOut { scope: TimeoutScope::Step, limit: minute },
            Cause::TimedOut { scope: TimeoutScope::Job, limit: minute },
            Cause::TimedOut { scope: TimeoutScope::Run, limit: minute },
            Cause::StepFailed { step: StepIndex(1) },
            Cause::StepFailed { step: StepIndex(7) },
            Cause::NeedFailed { need: JobId::new("build"), status: Status::Failure },
            Cause::NeedFailed { need: JobId::new("build"), status: Status::Skipped },
            Cause::FailFast { job: JobId::new("build") },
            Cause::EarlierStepFailed,
            Cause::Condition { condition: "branch == 'main'".into() },
            Cause::Handover {
                file: "ARGON_OUTPUT",
                message: "line 2: `x` is neither `name=value` nor `name<<WORD`".into(),
            },
            Cause::Expression { key: "if", message: "`fromJSON` was given no JSON".into() },
            Cause::ImageBuild { message: "`[2/3] RUN make` failed: exit code: 2".into(), output: "no rule\n".into() },
            Cause::Interrupted,
            Cause::Infrastructure { message: "the engine went away".into(), hint: Some("Start it.".into()) },
        ];
        let mut text = String::new();
        for cause in causes {
            let Explanation { what, hint } = explain(&cause, about);
            let _ = writeln!(text, "{what}");
            if let Some(hint) = hint {
                let _ = writeln!(text, "    {hint}");
            }
        }
        insta::assert_snapshot!(text);
    }
}

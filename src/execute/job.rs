//! One job's life: image, slot, container, workspace, steps, end. Whatever happens in it, its container is gone after it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::conversation::{Conversation, Heard};
use super::images::Images;
use super::schedule::{forgiven, skipped_step};
use super::step::{self, StepRun};
use super::stop::Stop;
use super::supervisor::{self, Counters, Nonce, Report, Unpacker};
use super::upload::{self, UploadError};
use super::{Context, StepColor};
use crate::engine::{self, ContainerId, ContainerSpec, Engine, EngineError, Image, Labels, Limits};
use crate::event::{Cause, Event, JobResult, Level, Status, StepIndex, StepResult, TimeoutScope};
use crate::pipeline::{NetworkAccess, Resources};
use crate::plan::{PlannedJob, PlannedStep, WORKSPACE};
use crate::source::{Owner, TarSummary};

/// Processes and threads of a job that does not say otherwise.
const DEFAULT_PIDS: u32 = 512;

/// The supervisor is a shell that has nothing to do before it says that it is ready.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// A container that was told to end does so in milliseconds; after this it is removed by force.
const END_LIMIT: Duration = Duration::from_secs(10);

/// Why a job could not go on, other than by its own work.
#[derive(Debug)]
enum Broken {
    /// The machinery failed.
    Infrastructure { message: String, hint: Option<String> },
    /// It was stopped, or its time was up.
    Stopped(Cause),
    /// The engine has no init for containers.
    NoInit,
}

impl Broken {
    fn status(&self) -> Status {
        match self {
            Self::Infrastructure { .. } | Self::NoInit => Status::Error,
            Self::Stopped(Cause::TimedOut { scope: TimeoutScope::Job, .. }) => Status::Failure,
            Self::Stopped(_) => Status::Cancelled,
        }
    }

    fn into_cause(self) -> Cause {
        match self {
            Self::Infrastructure { message, hint } => Cause::Infrastructure { message, hint },
            Self::Stopped(cause) => cause,
            Self::NoInit => {
                let error = EngineError::InitMissing;
                Cause::Infrastructure { message: error.to_string(), hint: error.hint() }
            }
        }
    }
}

impl From<EngineError> for Broken {
    fn from(error: EngineError) -> Self {
        Self::Infrastructure { message: error.to_string(), hint: error.hint() }
    }
}

impl From<UploadError> for Broken {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Engine(error) => error.into(),
            UploadError::Source(error) => Self::Infrastructure { message: error.to_string(), hint: error.hint() },
            UploadError::Pipe(_) => {
                Self::Infrastructure { message: format!("the workspace could not be brought in: {error}"), hint: None }
            }
        }
    }
}

/// How a job's steps went.
struct Outcome {
    status: Status,
    cause: Option<Cause>,
    exit_code: Option<i32>,
}

/// Runs a job to its end.
pub(super) async fn run<E: Engine>(
    context: &Context<E>,
    job: &PlannedJob,
    images: &Images,
    slots: &Arc<Semaphore>,
) -> JobResult {
    let mut stop = context.stopper.watch();
    let ready = tokio::select! {
        ready = prepare(job, images, slots) => ready,
        reason = stop.stopped() => Err(Broken::Stopped(reason.cause())),
    };
    let began = Instant::now();
    let outcome = match ready {
        Err(broken) => never_started(broken),
        Ok((image, _slot)) => {
            context.emit(Event::JobStarted { job: job.id.clone() }).await;
            JobRun { context, job, image, deadline: job.timeout.map(|limit| (began + limit, limit)) }.live().await
        }
    };
    JobResult {
        status: outcome.status,
        cause: outcome.cause,
        exit_code: outcome.exit_code,
        duration: began.elapsed(),
        forgiven: forgiven(outcome.status, job.on_error),
    }
}

fn never_started(broken: Broken) -> Outcome {
    let status = match broken.status() {
        Status::Error => Status::Error,
        _ => Status::Skipped,
    };
    Outcome { status, cause: Some(broken.into_cause()), exit_code: None }
}

/// Waits for the image, then for a slot: a slow pull holds no slot.
async fn prepare(
    job: &PlannedJob,
    images: &Images,
    slots: &Arc<Semaphore>,
) -> Result<(Image, tokio::sync::OwnedSemaphorePermit), Broken> {
    let pending = images.get(&job.image).ok_or_else(|| EngineError::ImageMissing { image: job.image.clone() })?;
    let image = pending.await?;
    match slots.clone().acquire_owned().await {
        Ok(slot) => Ok((image, slot)),
        Err(_) => Err(Broken::Infrastructure { message: "the scheduler is gone".to_owned(), hint: None }),
    }
}

/// A job that runs.
struct JobRun<'a, E> {
    context: &'a Context<E>,
    job: &'a PlannedJob,
    image: Image,
    deadline: Option<(Instant, Duration)>,
}

impl<E: Engine> JobRun<'_, E> {
    async fn live(&self) -> Outcome {
        let mut tries = 0;
        loop {
            tries += 1;
            // Not raced against a stop: a container whose making was cut short could not be removed.
            let session = match self.context.engine.create(&self.spec()).await {
                Ok(session) => session,
                Err(error) => return self.broken(error.into(), 0, None).await,
            };
            let id = session.id.clone();
            let mut talk = Conversation::new(session, Nonce::generate(), &self.context.mask);
            let outcome = match self.until_stopped(self.begin(&mut talk)).await {
                Ok(counters) => self.steps(&mut talk, counters).await,
                Err(broken) => {
                    // Removed before anything is drained: it may be in the middle of an upload.
                    let _ = self.context.engine.remove(&id).await;
                    // The engine remembers that it has no init, so the next container does without.
                    if matches!(broken, Broken::NoInit) && tries == 1 {
                        continue;
                    }
                    self.broken(broken, 0, None).await
                }
            };
            self.end(talk, &id, &outcome).await;
            return outcome;
        }
    }

    /// Starts the container and brings the workspace in.
    async fn begin(&self, talk: &mut Conversation) -> Result<Counters, Broken> {
        let engine = &*self.context.engine;
        let id = talk.id().clone();
        let owner = self.workspace_owner(&id).await?;
        if let Some(owner) = owner {
            self.note_upload(upload::by_engine(engine, &id, &self.context.workspace, owner).await?).await;
        }
        engine.start(&id).await.map_err(|error| self.explain_start(error))?;
        talk.say(&format!("{}\n", talk.nonce().as_str())).await;
        let (unpacker, counters) = self.ready(talk).await?;
        match (owner, unpacker) {
            (Some(_), _) => {}
            (None, Unpacker::InContainer) => {
                let sent = upload::by_supervisor(&self.context.workspace, talk).await;
                self.unpacked(talk).await?;
                self.note_upload(sent?).await;
            }
            (None, Unpacker::Engine) => {
                self.note_upload(upload::by_engine(engine, &id, &self.context.workspace, Owner::default()).await?)
                    .await;
            }
        }
        Ok(counters)
    }

    /// Who the workspace must be made to belong to; `None` for root, who owns what the supervisor unpacks.
    async fn workspace_owner(&self, id: &ContainerId) -> Result<Option<Owner>, Broken> {
        let user = self.job.user.as_deref().unwrap_or(&self.image.user);
        match user.split_once(':').unwrap_or((user, "")) {
            ("" | "0" | "root", "" | "0" | "root") => Ok(None),
            (user, group) => {
                let passwd = self.read_text(id, "/etc/passwd").await?;
                let groups = self.read_text(id, "/etc/group").await?;
                match owner_from(user, group, &passwd, &groups) {
                    Some(owner) => Ok(Some(owner)),
                    None => Err(Broken::Infrastructure {
                        message: format!("the image {} has no user `{user}`", self.job.image),
                        hint: Some("name a user that is in its /etc/passwd, or give a number".to_owned()),
                    }),
                }
            }
        }
    }

    /// A text file of the container; empty where there is none.
    async fn read_text(&self, id: &ContainerId, path: &str) -> Result<String, Broken> {
        match self.context.engine.read_file(id, path).await {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(EngineError::Refused { status: 404, .. }) => Ok(String::new()),
            Err(error) => Err(error.into()),
        }
    }

    async fn ready(&self, talk: &mut Conversation) -> Result<(Unpacker, Counters), Broken> {
        let heard = tokio::time::timeout(READY_LIMIT, async {
            loop {
                // An init that starts and does not find `sh` says so in the output.
                match talk.listen().await.map_err(|error| self.explain_start(error))? {
                    Heard::Report { report: Report::Ready { unpacker, counters }, .. } => {
                        return Ok((unpacker, counters));
                    }
                    Heard::Closed => return Err(self.ended_early(talk.id()).await),
                    Heard::Log { .. } | Heard::Report { .. } => {}
                }
            }
        });
        heard.await.unwrap_or_else(|_| {
            Err(Broken::Infrastructure {
                message: format!("the container did not begin its work within {} s", READY_LIMIT.as_secs()),
                hint: Some("look at the engine's log; `argon doctor` shows its state".to_owned()),
            })
        })
    }

    async fn unpacked(&self, talk: &mut Conversation) -> Result<(), Broken> {
        let mut words = Vec::new();
        loop {
            match talk.listen().await? {
                Heard::Report { report: Report::Unpacked { status: 0 }, .. } => return Ok(()),
                Heard::Report { report: Report::Unpacked { status }, .. } => {
                    let words = String::from_utf8_lossy(&words).trim().to_owned();
                    return Err(Broken::Infrastructure {
                        message: format!("tar in the container ended with {status}: {words}"),
                        hint: Some("is the engine's disk full? `docker system df` tells".to_owned()),
                    });
                }
                Heard::Log { bytes, .. } => {
                    words.extend_from_slice(&bytes[..bytes.len().min(1024)]);
                }
                Heard::Closed => return Err(self.ended_early(talk.id()).await),
                Heard::Report { .. } => {}
            }
        }
    }

    async fn note_upload(&self, summary: TarSummary) {
        let job = Some(self.job.id.clone());
        for message in summary.warnings {
            self.context.emit(Event::Notice { level: Level::Warn, job: job.clone(), message }).await;
        }
        let message = format!("workspace: {} files, {} bytes", summary.files, summary.bytes);
        self.context.emit(Event::Notice { level: Level::Debug, job, message }).await;
    }

    /// Runs the steps in their order; what comes after a failure is skipped, and said to be.
    async fn steps(&self, talk: &mut Conversation, mut counters: Counters) -> Outcome {
        for step in &self.job.steps {
            let stopped = self.context.stopper.watch().now();
            if let Some(reason) = stopped.reason() {
                let cause = reason.cause();
                self.skip_from(step.index.0, &cause).await;
                return Outcome { status: Status::Cancelled, cause: Some(cause), exit_code: None };
            }
            self.context.emit(Event::StepStarted { job: self.job.id.clone(), step: step.index }).await;
            let env = self.environment(step);
            let run = StepRun {
                context: self.context,
                job: self.job,
                step,
                env: &env,
                job_deadline: self.deadline,
                counters: &mut counters,
            };
            match run.run(talk).await {
                Ok(result) => {
                    self.finish_step(step.index, result.clone()).await;
                    if let Some(outcome) = after_step(step.index, &result) {
                        self.skip_from(step.index.0 + 1, &Cause::EarlierStepFailed).await;
                        return outcome;
                    }
                }
                Err(step::Lost { error, duration }) => {
                    let broken = match error {
                        Some(error) => error.into(),
                        None => self.ended_early(talk.id()).await,
                    };
                    return self.broken(broken, step.index.0, Some(duration)).await;
                }
            }
        }
        Outcome { status: Status::Success, cause: None, exit_code: None }
    }

    /// What a step's shell sees, but for its secrets.
    fn environment(&self, step: &PlannedStep) -> Vec<(String, String)> {
        let info = &self.context.workspace.info;
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut env = vec![
            pair("CI", "true"),
            pair("ARGON", "true"),
            pair("ARGON_RUN_ID", self.context.settings.run.as_str()),
            pair("ARGON_JOB", self.job.id.as_str()),
            pair("ARGON_STEP", &step.name),
            pair("ARGON_WORKSPACE", WORKSPACE),
        ];
        env.extend(info.branch.iter().map(|branch| pair("ARGON_BRANCH", branch)));
        env.extend(info.commit.iter().map(|commit| pair("ARGON_COMMIT", commit)));
        if self.context.settings.color == StepColor::Forced {
            env.extend([pair("FORCE_COLOR", "1"), pair("CLICOLOR_FORCE", "1"), pair("TERM", "xterm-256color")]);
        }
        env.retain(|(name, _)| !step.env.iter().any(|(own, _)| own == name));
        env.extend(step.env.iter().cloned());
        env
    }

    async fn finish_step(&self, step: StepIndex, result: StepResult) {
        self.context.emit(Event::StepFinished { job: self.job.id.clone(), step, result }).await;
    }

    async fn skip_from(&self, first: usize, cause: &Cause) {
        for step in self.job.steps.iter().skip(first) {
            self.finish_step(step.index, skipped_step(cause.clone())).await;
        }
    }

    /// The job cannot go on: ends the step it was in, skips the others.
    async fn broken(&self, broken: Broken, at: usize, in_step: Option<Duration>) -> Outcome {
        let status = broken.status();
        let cause = broken.into_cause();
        if let Some(duration) = in_step {
            let result = StepResult { status, duration, ..skipped_step(cause.clone()) };
            self.finish_step(StepIndex(at), result).await;
        }
        self.skip_from(at + usize::from(in_step.is_some()), &Cause::EarlierStepFailed).await;
        Outcome { status, cause: Some(cause), exit_code: None }
    }

    /// The container ended before its work did. Says what is known of why.
    async fn ended_early(&self, id: &ContainerId) -> Broken {
        let end = tokio::time::timeout(Duration::from_secs(3), self.context.engine.removed(id)).await;
        let how = match end {
            Ok(Err(error)) => {
                return Broken::Infrastructure {
                    message: format!("the engine went away in the middle of the job: {error}"),
                    hint: Some(
                        "it stopped, restarted or crashed; see that it runs (`argon doctor`), and run the job again"
                            .to_owned(),
                    ),
                };
            }
            Ok(Ok(end)) => end.exit_code.map(|code| format!(" (exit code {code})")).unwrap_or_default(),
            Err(_) => String::new(),
        };
        Broken::Infrastructure {
            message: format!("the container ended in the middle of the job{how}"),
            hint: Some(
                "it was removed from outside, the engine stopped or restarted, or a step killed every process; run the job again".to_owned(),
            ),
        }
    }

    fn explain_start(&self, error: EngineError) -> Broken {
        match error {
            EngineError::InitMissing => Broken::NoInit,
            EngineError::ProgramMissing { .. } => Broken::Infrastructure {
                message: format!("the image {} has no `sh`, so it cannot run steps", self.job.image),
                hint: Some(
                    "use an image with a shell: the `-debug`, `-slim` or `alpine` variant of most images has one"
                        .to_owned(),
                ),
            },
            other => other.into(),
        }
    }

    /// Races what comes before the steps against stops and the job's timeout.
    async fn until_stopped<T>(&self, work: impl Future<Output = Result<T, Broken>>) -> Result<T, Broken> {
        let mut stop = self.context.stopper.watch();
        let timeout = async {
            match self.deadline {
                Some((at, limit)) => {
                    tokio::time::sleep_until(at.into()).await;
                    Cause::TimedOut { scope: TimeoutScope::Job, limit }
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            done = work => done,
            reason = stop.stopped() => Err(Broken::Stopped(reason.cause())),
            cause = timeout => Err(Broken::Stopped(cause)),
        }
    }

    /// Ends the container.
    ///
    /// After a success it is enough that the container has ended: the engine removes it by itself (AutoRemove) within
    /// some 60 ms, a quarter of a short run, and what an engine fails to remove the next sweep takes. After anything
    /// else somebody is likely to look, so it is seen gone.
    async fn end(&self, talk: Conversation, id: &ContainerId, outcome: &Outcome) {
        let engine = &*self.context.engine;
        let gently = async {
            talk.hang_up().await;
            match outcome.status {
                Status::Success => Ok(()),
                _ => engine.removed(id).await.map(|_| ()),
            }
        };
        let gone = match self.context.stopper.watch().now() {
            Stop::AtOnce(_) => engine.remove(id).await,
            Stop::No | Stop::Gracefully(_) => match tokio::time::timeout(END_LIMIT, gently).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) | Err(_) => engine.remove(id).await,
            },
        };
        if let Err(error) = gone {
            let message = format!(
                "the container {id} may be left on the engine: {error}; the next run, or `argon clean`, removes it"
            );
            let job = Some(self.job.id.clone());
            self.context.emit(Event::Notice { level: Level::Warn, job, message }).await;
        }
    }

    fn spec(&self) -> ContainerSpec {
        ContainerSpec {
            image: self.job.image.clone(),
            user: self.job.user.clone(),
            command: supervisor::command(),
            working_directory: WORKSPACE.to_owned(),
            scratch: supervisor::SCRATCH.to_owned(),
            limits: limits(&self.job.resources),
            network: match self.job.network {
                NetworkAccess::Default => engine::Network::Bridge,
                NetworkAccess::None => engine::Network::None,
            },
            labels: Labels {
                run: self.context.settings.run.as_str().to_owned(),
                job: self.job.id.as_str().to_owned(),
                owner: self.context.owner.to_label(),
            },
            hostname: hostname(self.job.id.as_str()),
        }
    }
}

/// What a step's end means for its job: `None` where the job goes on.
fn after_step(step: StepIndex, result: &StepResult) -> Option<Outcome> {
    match result.status {
        Status::Success => None,
        Status::Failure if result.forgiven => None,
        Status::Cancelled => Some(Outcome { status: Status::Cancelled, cause: result.cause.clone(), exit_code: None }),
        Status::Failure if matches!(result.cause, Some(Cause::TimedOut { scope: TimeoutScope::Job, .. })) => {
            Some(Outcome { status: Status::Failure, cause: result.cause.clone(), exit_code: result.exit_code })
        }
        status => Some(Outcome { status, cause: Some(Cause::StepFailed { step }), exit_code: result.exit_code }),
    }
}

fn limits(resources: &Resources) -> Limits {
    Limits {
        nano_cpus: resources.milli_cpus.map(|milli| i64::from(milli.get()) * 1_000_000),
        memory: resources.memory.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        pids: i64::from(resources.pids.map_or(DEFAULT_PIDS, |pids| pids.get())),
    }
}

/// A host name from a job's name (RFC 1123: 63 letters, digits and hyphens).
fn hostname(job: &str) -> String {
    let name: String = job.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    match name.trim_matches('-') {
        "" => "job".to_owned(),
        name => name.to_owned(),
    }
}

/// The ids of a user and group, given by name or number, as passwd(5) and group(5) have them.
fn owner_from(user: &str, group: &str, passwd: &str, groups: &str) -> Option<Owner> {
    let field = |line: &str, at: usize| line.split(':').nth(at).map(str::to_owned);
    let number = |text: Option<String>| text.and_then(|text| text.parse::<u32>().ok());
    let entry =
        passwd.lines().find(|line| field(line, 0).as_deref() == Some(user) || field(line, 2).as_deref() == Some(user));
    let uid = user.parse().ok().or_else(|| number(entry.and_then(|line| field(line, 2))))?;
    let gid = match group {
        "" => number(entry.and_then(|line| field(line, 3))).unwrap_or(0),
        group => group.parse().ok().or_else(|| {
            number(groups.lines().find(|line| field(line, 0).as_deref() == Some(group)).and_then(|line| field(line, 2)))
        })?,
    };
    Some(Owner { uid, gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_by_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\ndev:x:1000:1001::/home/dev:/bin/sh\n";
        let groups = "root:x:0:\nstaff:x:50:\n";
        let find = |user, group| owner_from(user, group, passwd, groups).map(|owner| (owner.uid, owner.gid));
        assert_eq!(find("dev", ""), Some((1000, 1001)));
        assert_eq!(find("1000", ""), Some((1000, 1001)));
        assert_eq!(find("4711", ""), Some((4711, 0)));
        assert_eq!(find("dev", "staff"), Some((1000, 50)));
        assert_eq!(find("dev", "7"), Some((1000, 7)));
        assert_eq!(find("nobody", ""), None);
        assert_eq!(find("dev", "nogroup"), None);
    }

    #[test]
    fn host_names_are_valid() {
        assert_eq!(hostname("test (python 3.11, linux)"), "test--python-3-11--linux");
        assert_eq!(hostname("_"), "job");
    }
}

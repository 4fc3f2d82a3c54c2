//! One step's life: its script goes in, its output comes out, and it ends by itself, by a timeout or by a stop.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::conversation::{Conversation, Heard};
use super::handover::{BadHandover, Files, HandedOn};
use super::memo::Noting;
use super::missing_command;
use super::stop::{StopReason, StopWatch};
use super::supervisor::{self, Counters, NotStarted, Report, Surroundings};
use super::{Context, forgiven};
use crate::engine::{ContainerId, Engine, EngineError};
use crate::event::{Cause, Event, Level, Status, StepIndex, StepResult, Stream, TimeoutScope};
use crate::pipeline::OutputMode;
use crate::plan::{PlannedJob, ReadyStep};

/// How much of the end of a step's output is kept to explain its exit code.
const TAIL: usize = 4096;

/// The largest piece of output that one event carries.
const LARGEST_PIECE: usize = 64 * 1024;

/// How long a step that got KILL may take to be reported dead before its container is removed.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// The container went away in the middle of the step.
pub(super) struct Lost {
    /// What the engine said, where it said anything.
    pub(super) error: Option<EngineError>,
    /// How long the step had run.
    pub(super) duration: Duration,
}

/// What the step is told to do.
enum Phase {
    /// It runs.
    Running,
    /// It got TERM, and gets KILL when the grace is over.
    Terminating { why: Cause, kill_at: Instant },
    /// It got KILL.
    Killing { why: Cause, give_up_at: Instant },
}

/// What happened next.
enum Moment {
    Heard(Heard),
    Deadline,
    Stopped(Cause),
    AtOnce(Cause),
}

/// A step, about to run.
pub(super) struct StepRun<'a, E> {
    pub(super) context: &'a Context<E>,
    pub(super) job: &'a PlannedJob,
    pub(super) step: &'a ReadyStep,
    /// What the supervisor calls this try of it: no two of a container have one name.
    pub(super) call: StepIndex,
    /// Who wants to know what it prints.
    pub(super) noting: Option<&'a Noting>,
    pub(super) env: &'a [(String, String)],
    /// Folders for the front of its `PATH`.
    pub(super) path: &'a [String],
    pub(super) limit: Limit,
    pub(super) counters: &'a mut Counters,
}

/// What ends a step from outside, besides its own timeout and a stop at once.
#[derive(Debug, Clone)]
pub(super) enum Limit {
    /// The job's deadline, and a stop of the run.
    Job { stop: StopWatch, deadline: Option<(Instant, Duration)> },
    /// It runs although the job is being ended (`if: always()`): so much time is left to it.
    CleanUp { until: Instant, why: Cause },
}

/// The supervisor's report of the step's end.
struct End {
    code: i32,
    not_started: Option<NotStarted>,
    counters: Counters,
}

impl<E: Engine> StepRun<'_, E> {
    /// Runs the step to its end. All of its output has been emitted then.
    pub(super) async fn run(self, talk: &mut Conversation) -> Result<(StepResult, HandedOn), Lost> {
        let began = Instant::now();
        let lost = |error| Lost { error, duration: began.elapsed() };
        let deadline = self.deadline(began);
        let mut stop = self.stop();
        let mut at_once = self.context.stopper.watch();
        let mut phase = Phase::Running;
        let mut tail = Tail::default();
        let mut stderr_done = self.job.output == OutputMode::Merged;
        let mut end = None;
        let mut files = Files::default();
        // Waits here while the sinks are behind: a reader that stalls must not keep a stop or a timeout from the step.
        let mut unsent: VecDeque<Event> = VecDeque::new();

        let around = Surroundings { env: self.env, path: self.path, output: self.job.output };
        talk.say(&supervisor::start_step(talk.nonce(), self.call, self.step, &around)).await;
        while end.is_none() || !stderr_done {
            let wake = match &phase {
                Phase::Running => deadline.as_ref().map(|(at, _)| *at),
                Phase::Terminating { kill_at, .. } => Some(*kill_at),
                Phase::Killing { give_up_at, .. } => Some(*give_up_at),
            };
            let moment = tokio::select! {
                biased;
                reason = at_once.at_once() => Moment::AtOnce(reason.cause()),
                reason = stopped(&mut stop), if matches!(phase, Phase::Running) => Moment::Stopped(reason.cause()),
                () = sleep_until(wake) => Moment::Deadline,
                permit = self.context.events.reserve(), if !unsent.is_empty() => {
                    // A run that nobody listens to any more goes on without them.
                    if let (Ok(permit), Some(event)) = (permit, unsent.pop_front()) {
                        permit.send(event);
                    }
                    continue;
                }
                heard = talk.listen(), if unsent.is_empty() => match heard {
                    Ok(heard) => Moment::Heard(heard),
                    Err(error) => return Err(lost(Some(error))),
                },
            };
            match moment {
                Moment::Heard(Heard::Log { stream, bytes }) => {
                    tail.push(&bytes);
                    if let Some(noting) = self.noting {
                        noting.log(self.step.index, stream, &bytes);
                    }
                    unsent.extend(self.log(stream, bytes));
                }
                Moment::Heard(Heard::Report { stream, report: Report::End { step, code, not_started, counters } })
                    if step == self.call =>
                {
                    match stream {
                        Stream::Stdout => {
                            end = Some(End { code, not_started, counters });
                        }
                        Stream::Stderr => stderr_done = true,
                    }
                }
                Moment::Heard(Heard::Report { report: Report::Data { step, file, content }, .. })
                    if step == self.call =>
                {
                    files.take(file, content);
                }
                Moment::Heard(Heard::Report { .. }) => {}
                Moment::Heard(Heard::Closed) => return Err(lost(None)),
                Moment::Stopped(why) => phase = self.terminate(talk, why).await,
                Moment::Deadline => match phase {
                    Phase::Running => {
                        let why = deadline.clone().map_or(Cause::Interrupted, |(_, why)| why);
                        phase = self.terminate(talk, why).await;
                    }
                    Phase::Terminating { why, .. } => {
                        talk.say(&supervisor::kill("KILL", self.call)).await;
                        phase = Phase::Killing { why, give_up_at: Instant::now() + KILL_LIMIT };
                    }
                    Phase::Killing { why, .. } => return self.give_up(talk.id(), why, began).await.map(alone),
                },
                Moment::AtOnce(why) => return self.give_up(talk.id(), why, began).await.map(alone),
            }
        }
        let Some(end) = end else {
            return Err(lost(None));
        };
        let handed = files.read();
        let duration = began.elapsed();
        Ok(match phase {
            Phase::Running => {
                let (bad, handed) = match handed {
                    Ok(handed) => (None, handed),
                    Err(bad) => (Some(bad), HandedOn::default()),
                };
                (self.ended(&end, duration, &tail, bad, &handed.outputs).await, handed)
            }
            Phase::Terminating { why, .. } | Phase::Killing { why, .. } => {
                // Others of its process group may have ignored TERM; nothing of a stopped step stays.
                talk.say(&supervisor::kill("KILL", self.call)).await;
                // What a step was about to hand on when it was stopped may be half of it.
                alone(self.stopped(why, Some(&end), duration))
            }
        })
    }

    /// The nearer of the step's and the job's deadlines, and what passing it means.
    fn deadline(&self, began: Instant) -> Option<(Instant, Cause)> {
        let timed_out = |scope, limit| Cause::TimedOut { scope, limit };
        let step = self.step.timeout.map(|limit| (began + limit, timed_out(TimeoutScope::Step, limit)));
        let job = match &self.limit {
            Limit::Job { deadline, .. } => deadline.map(|(at, limit)| (at, timed_out(TimeoutScope::Job, limit))),
            Limit::CleanUp { until, why } => Some((*until, why.clone())),
        };
        [step, job].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// The stop of the run that it heeds.
    fn stop(&self) -> Option<StopWatch> {
        match &self.limit {
            Limit::Job { stop, .. } => Some(stop.clone()),
            Limit::CleanUp { .. } => None,
        }
    }

    async fn terminate(&self, talk: &mut Conversation, why: Cause) -> Phase {
        talk.say(&supervisor::kill("TERM", self.call)).await;
        Phase::Terminating { why, kill_at: Instant::now() + self.context.settings.grace }
    }

    /// Takes the container away from under the step.
    async fn give_up(&self, container: &ContainerId, why: Cause, began: Instant) -> Result<StepResult, Lost> {
        match self.context.engine.remove(container).await {
            Ok(()) => Ok(self.stopped(why, None, began.elapsed())),
            Err(error) => Err(Lost { error: Some(error), duration: began.elapsed() }),
        }
    }

    /// Output as events, none too large.
    fn log(&self, stream: Stream, mut bytes: Bytes) -> impl Iterator<Item = Event> {
        std::iter::from_fn(move || {
            let piece = bytes.split_to(bytes.len().min(LARGEST_PIECE));
            let (job, step) = (self.job.id.clone(), self.step.index);
            (!piece.is_empty()).then_some(Event::Log { job, step, stream, bytes: piece })
        })
    }

    /// The result of a step that ended by itself.
    async fn ended(
        self,
        end: &End,
        duration: Duration,
        tail: &Tail,
        bad: Option<BadHandover>,
        outputs: &[(String, String)],
    ) -> StepResult {
        let killed = match (self.counters.oom_kills, end.counters.oom_kills) {
            (before, Some(after)) => after > before.unwrap_or(0),
            (_, None) => false,
        };
        if killed && end.code == 0 {
            let message = format!(
                "the kernel killed a process of step {} for want of memory, and the step went on",
                self.step.index
            );
            self.context.emit(Event::Notice { level: Level::Warn, job: Some(self.job.id.clone()), message }).await;
        }
        let mask = &self.context.mask;
        let cause = match bad {
            _ if end.code != 0 => Some(self.explain(end, killed, tail)),
            Some(bad) => Some(Cause::Handover { file: bad.file.variable(), message: mask.text(&bad.problem) }),
            None => None,
        };
        let status = if cause.is_none() { Status::Success } else { Status::Failure };
        let outputs = outputs.iter().map(|(name, value)| (name.clone(), mask.text(value))).collect();
        let result = StepResult { outputs, ..self.result(status, cause, Some(end), duration) };
        *self.counters = end.counters;
        result
    }

    fn explain(&self, end: &End, out_of_memory: bool, tail: &Tail) -> Cause {
        match (end.not_started, end.code) {
            (Some(NotStarted::WorkingDirectory), _) => {
                Cause::WorkingDirectory { directory: self.step.working_directory.clone() }
            }
            (Some(NotStarted::Shell), _) => {
                let shell = supervisor::program(&self.step.shell, "").swap_remove(0);
                Cause::ShellNotFound { shell }
            }
            (None, _) if out_of_memory => Cause::OutOfMemory { limit: self.job.resources.memory },
            (None, 127) => Cause::CommandNotFound { command: missing_command::find(&tail.0) },
            // A shell reports death by signal N as 128 + N (POSIX, 2.8.2).
            (None, code @ 129..=192) => Cause::Signal { signal: code - 128 },
            (None, code) => Cause::Exit { code },
        }
    }

    /// The result of a step that Argon ended.
    fn stopped(&self, why: Cause, end: Option<&End>, duration: Duration) -> StepResult {
        let status = match why {
            Cause::TimedOut { scope: TimeoutScope::Step | TimeoutScope::Job, .. } => Status::Failure,
            _ => Status::Cancelled,
        };
        self.result(status, Some(why), end, duration)
    }

    fn result(&self, status: Status, cause: Option<Cause>, end: Option<&End>, duration: Duration) -> StepResult {
        let counters = end.map(|end| end.counters).unwrap_or_default();
        let cpu = counters
            .cpu_nanos
            .map(|now| Duration::from_nanos(now.saturating_sub(self.counters.cpu_nanos.unwrap_or(0))));
        // A step's own timeout may be forgiven as its failures are; the job's may not.
        let by_step = !matches!(cause, Some(Cause::TimedOut { scope: TimeoutScope::Job, .. }));
        StepResult {
            status,
            exit_code: end.filter(|end| end.not_started.is_none()).map(|end| end.code),
            duration,
            cpu,
            peak_memory: counters.peak_memory,
            forgiven: by_step && forgiven(status, self.step.on_error),
            cause,
            outputs: Vec::new(),
        }
    }
}

/// A result of a step that hands nothing on.
fn alone(result: StepResult) -> (StepResult, HandedOn) {
    (result, HandedOn::default())
}

async fn stopped(stop: &mut Option<StopWatch>) -> StopReason {
    match stop {
        Some(stop) => stop.stopped().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// The last bytes of a step's output.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(TAIL)..];
        let surplus = (self.0.len() + bytes.len()).saturating_sub(TAIL);
        self.0.drain(..surplus.min(self.0.len()));
        self.0.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_keeps_the_last_bytes() {
        let mut tail = Tail::default();
        tail.push(&[b'a'; TAIL]);
        tail.push(b"bc");
        assert_eq!(tail.0.len(), TAIL);
        assert!(tail.0.ends_with(b"abc"));
        tail.push(&[b'd'; 3 * TAIL]);
        assert_eq!(tail.0, vec![b'd'; TAIL]);
    }
}

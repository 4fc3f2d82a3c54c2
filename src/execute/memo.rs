//! What a job that declares its `inputs` came to, kept for when nothing that it rests on has changed.
//!
//! It rests on: the content of its image, its definition, its variables, what the jobs it needs hand on, and its inputs. Each
//! is noted apart, so that a job that runs again can say why. What is kept: its outputs, its steps' ends and logs (masked),
//! and its artifacts. Nothing of it is kept when the job did not end well.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::job::{JobRun, no_value};
use crate::artifact::Artifact;
use crate::engine::{Engine, Image};
use crate::event::{CachedStep, Cause, Event, Level, RunId, Status, StepIndex, StepResult, Stream};
use crate::glob::Globs;
use crate::pipeline::expr::{EvalError, Scope, Standing};

/// The form of what is kept. What has another is not read.
const FORM: u32 = 1;

/// The most that is kept of a job's log, in bytes. A job that prints more runs again.
const LONGEST_LOG: usize = 16 * 1024 * 1024;

/// For how long something is kept that is not used.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How many changes a reason names.
const NAMED: usize = 3;

/// Where results are kept, and whether they are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memo {
    /// The folder, by default `$XDG_CACHE_HOME/argon/jobs`. It is made when something is kept.
    pub folder: PathBuf,
    /// Whether a job may be spared. Results are kept either way.
    pub reuse: Reuse,
}

/// Whether results are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// Where nothing changed.
    Unchanged,
    /// Never (`--no-cache`).
    Never,
}

/// What a job's result rests on: each thing's name, for people, with a digest of it.
type Rests = BTreeMap<String, String>;

/// A job's result.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    form: u32,
    run: String,
    rests: Rests,
    outputs: Vec<(String, String)>,
    steps: Vec<KeptStep>,
    artifacts: Vec<Artifact>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptStep {
    step: usize,
    status: KeptStatus,
    exit_code: Option<i32>,
    duration: Duration,
    log: Vec<(KeptStream, Vec<u8>)>,
}

/// How a step of a job that ended well ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum KeptStatus {
    Success,
    Forgiven,
    NotWanted { condition: String },
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum KeptStream {
    Stdout,
    Stderr,
}

/// What a job is to be spared by.
pub(super) struct Spared {
    pub(super) outputs: Vec<(String, String)>,
    pub(super) event: Event,
    pub(super) artifacts: Vec<Artifact>,
}

/// What a step printed, piece by piece.
type Log = Vec<(Stream, Bytes)>;

/// What a job that runs is noted for.
pub(super) struct Noting {
    rests: Rests,
    file: PathBuf,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    steps: BTreeMap<usize, (Option<StepResult>, Log)>,
    bytes: usize,
}

impl Noting {
    /// A piece of a step's output.
    pub(super) fn log(&self, step: StepIndex, stream: Stream, bytes: &Bytes) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.bytes += bytes.len();
        if noted.bytes <= LONGEST_LOG {
            noted.steps.entry(step.0).or_default().1.push((stream, bytes.clone()));
        }
    }

    /// A step's end.
    pub(super) fn ended(&self, step: StepIndex, result: &StepResult) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.steps.entry(step.0).or_default().0 = Some(result.clone());
    }

    /// The job begins anew.
    pub(super) fn again(&self) {
        *self.noted.lock().unwrap_or_else(PoisonError::into_inner) = Noted::default();
    }
}

/// What is known of a job's earlier result.
pub(super) enum Found {
    /// It is not asked for: the job declares no inputs.
    Nothing,
    Spared(Box<Spared>),
    Runs(Noting),
}

impl<E: Engine> JobRun<'_, E> {
    /// Looks whether the job can be spared. `needs` is what the jobs that it needs came to.
    pub(super) async fn remembered(&self, images: &[Image]) -> Result<Found, Cause> {
        let Some(memo) = self.context.settings.memo.clone().filter(|_| !self.job.inputs.is_empty()) else {
            return Ok(Found::Nothing);
        };
        let rests = self.rests(images).await?;
        let id = format!("{}\n{}", self.context.kept.scope(), self.job.id);
        let file = memo.folder.join(&blake3::hash(id.as_bytes()).to_hex()[..32]);
        let reading = {
            let file = file.clone();
            tokio::task::spawn_blocking(move || read(&file))
        };
        let kept = match reading.await {
            Ok(kept) => kept,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let why = match (&kept, memo.reuse) {
            (_, Reuse::Never) => "--no-cache".to_owned(),
            (None, _) => "nothing is kept of it yet".to_owned(),
            (Some(kept), _) => match differences(&kept.rests, &rests) {
                Some(why) => why,
                None => match self.restored(&file, kept) {
                    Ok(spared) => return Ok(Found::Spared(Box::new(spared))),
                    Err(error) => format!("what is kept of it cannot be read: {error}"),
                },
            },
        };
        let message = format!("not cached: {}", self.context.mask.text(&why));
        let job = Some(self.job.id.clone());
        self.context.emit(Event::Notice { level: Level::Info, job, message }).await;
        Ok(Found::Runs(Noting { rests, file, noted: Mutex::default() }))
    }

    async fn rests(&self, images: &[Image]) -> Result<Rests, Cause> {
        let mut rests = Rests::new();
        for (name, image) in self.job.images().zip(images) {
            rests.insert(format!("image {name}"), image.id.clone());
        }
        let digest = |text: &str| blake3::hash(text.as_bytes()).to_hex()[..32].to_owned();
        for step in &self.job.steps {
            let (script, _) = self.job.preview(step);
            // Of a secret the name alone: no digest of it may lie on a disk.
            let secrets: Vec<&str> = step.secrets.iter().map(|secret| secret.name.as_str()).collect();
            let own = format!(
                "{:?} {script} {:?} {:?} {:?} {:?} {secrets:?} {:?}",
                step.condition.as_ref().map(ToString::to_string),
                step.shell,
                step.working_directory.as_ref().map(ToString::to_string),
                step.env.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
                step.on_error,
                step.id,
            );
            rests.insert(format!("step {} ({})", step.index, step.name), digest(&own));
        }
        let services: Vec<String> = self.job.services.iter().map(|service| format!("{service:?}")).collect();
        let definition = format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            self.job.resources,
            self.job.network,
            self.job.user,
            self.job.output,
            self.job.privileges,
            services,
            self.job.outputs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
            self.job.artifacts,
        );
        rests.insert("the job's definition".to_owned(), digest(&definition));
        rests.insert("its matrix".to_owned(), digest(&self.contexts.matrix.to_string()));
        rests.insert("what the jobs it needs hand on".to_owned(), digest(&self.contexts.needs.to_string()));
        if let Some(depot) = &self.context.settings.artifacts {
            for artifact in self.job.needed().flat_map(|need| self.context.shelf.of(need)) {
                let path = depot.tar(&artifact);
                let hashing = tokio::task::spawn_blocking(move || hash_of(&path));
                let hash = hashing.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
                rests.insert(format!("artifact {} of {}", artifact.name, artifact.job), hash.unwrap_or_default());
            }
        }
        let (job, contexts, workspace) = (self.job.clone(), self.contexts.clone(), self.context.workspace.clone());
        let asked = self.context.evaluate(true, move |files| {
            let env = job.base_env(&Scope { contexts: &contexts, standing: Standing::Success, files })?;
            let failed = |message: String| EvalError { message, span: 0..0 };
            let globs = Globs::parse(&job.inputs).map_err(|error| failed(error.to_string()))?;
            let hashes = workspace.hash_each(&|path| globs.matches(path)).map_err(|error| failed(error.to_string()))?;
            Ok((env, job.overrides, hashes))
        });
        let (env, overrides, hashes) = asked.await.map_err(|error| no_value(self.context, "inputs", &error))?;
        for (name, value) in env.iter().chain(&overrides) {
            // A value is not kept: what differs is told by its name.
            rests.insert(format!("variable {name}"), digest(&format!("{name} {value}")));
        }
        rests.extend(hashes);
        Ok(rests)
    }

    fn restored(&self, file: &Path, kept: &Kept) -> io::Result<Spared> {
        let mut artifacts = Vec::new();
        if let Some(depot) = &self.context.settings.artifacts {
            for artifact in &kept.artifacts {
                // Its time is counted anew: what it had then may be over.
                let planned = self.job.artifacts.iter().find(|planned| planned.name == artifact.name);
                let lasts = planned.and_then(|planned| planned.expire);
                artifacts.push(depot.adopt(artifact, &file.with_extension("d"), lasts)?);
            }
        } else if !kept.artifacts.is_empty() {
            return Err(io::Error::other("there is no home to keep artifacts in"));
        }
        // What is used is not old.
        let _ = fs::File::open(file.with_extension("job")).and_then(|open| open.set_modified(SystemTime::now()));
        let steps = kept.steps.iter().map(|step| CachedStep {
            step: StepIndex(step.step),
            result: result_of(step),
            log: step.log.iter().map(|(stream, bytes)| (stream_of(*stream), Bytes::copy_from_slice(bytes))).collect(),
        });
        let from = RunId::from_text(&kept.run);
        let event = Event::JobCached { job: self.job.id.clone(), from, steps: steps.collect() };
        Ok(Spared { outputs: kept.outputs.clone(), event, artifacts })
    }

    /// Keeps what the job came to.
    pub(super) async fn remember(&self, noting: Noting, outputs: &[(String, String)]) {
        let noted = noting.noted.into_inner().unwrap_or_else(PoisonError::into_inner);
        let holds_secret = outputs.iter().any(|(_, value)| self.context.mask.text(value) != *value);
        let why = if holds_secret {
            Some("its outputs hold a secret")
        } else if noted.bytes > LONGEST_LOG {
            Some("it printed too much")
        } else {
            None
        };
        if let Some(why) = why {
            let message = format!("its result is not kept: {why}");
            let job = Some(self.job.id.clone());
            return self.context.emit(Event::Notice { level: Level::Info, job, message }).await;
        }
        let kept = Kept {
            form: FORM,
            run: self.context.settings.run.as_str().to_owned(),
            rests: noting.rests,
            outputs: outputs.to_vec(),
            steps: noted.steps.into_iter().filter_map(|(step, (result, log))| kept_step(step, &result?, log)).collect(),
            artifacts: self.context.shelf.of(&self.job.id),
        };
        let (depot, file) = (self.context.settings.artifacts.clone(), noting.file);
        let writing = tokio::task::spawn_blocking(move || {
            if let Some(depot) = depot {
                let folder = file.with_extension("d");
                let _ = fs::remove_dir_all(&folder);
                for artifact in &kept.artifacts {
                    depot.lend(artifact, &folder)?;
                }
            }
            write(&file, &kept)
        });
        let written = match writing.await {
            Ok(written) => written,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        if let Err(error) = written {
            let message = format!("its result cannot be kept: {error}");
            let job = Some(self.job.id.clone());
            self.context.emit(Event::Notice { level: Level::Warn, job, message }).await;
        }
    }
}

/// What differs between what a result rested on and what there is now, for people; `None` where nothing does.
fn differences(was: &Rests, now: &Rests) -> Option<String> {
    let is_pulled = |name: &str| name.starts_with("image ") && !name.starts_with("image build ");
    let verb = |name: &str| if is_pulled(name) { "moved" } else { "changed" };
    let mut changes: Vec<String> = Vec::new();
    for (name, digest) in now {
        match was.get(name) {
            None => changes.push(format!("{name} is new")),
            Some(old) if old != digest => changes.push(format!("{name} {}", verb(name))),
            Some(_) => {}
        }
    }
    changes.extend(was.keys().filter(|name| !now.contains_key(*name)).map(|name| format!("{name} is gone")));
    let more = changes.len().saturating_sub(NAMED);
    changes.truncate(NAMED);
    match (changes.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(changes.join(", ")),
        (false, more) => Some(format!("{}, and {more} more", changes.join(", "))),
    }
}

fn kept_step(step: usize, result: &StepResult, log: Log) -> Option<KeptStep> {
    let status = match (&result.status, &result.cause) {
        (Status::Success, _) => KeptStatus::Success,
        (Status::Skipped, Some(Cause::Condition { condition })) => {
            KeptStatus::NotWanted { condition: condition.clone() }
        }
        _ if result.forgiven => KeptStatus::Forgiven,
        _ => return None,
    };
    let stream = |stream| if stream == Stream::Stdout { KeptStream::Stdout } else { KeptStream::Stderr };
    let log = log.into_iter().map(|(of, bytes)| (stream(of), bytes.to_vec())).collect();
    Some(KeptStep { step, status, exit_code: result.exit_code, duration: result.duration, log })
}

fn result_of(step: &KeptStep) -> StepResult {
    let cause = match &step.status {
        KeptStatus::NotWanted { condition } => Some(Cause::Condition { condition: condition.clone() }),
        KeptStatus::Forgiven => step.exit_code.map(|code| Cause::Exit { code }),
        KeptStatus::Success => None,
    };
    StepResult {
        status: match step.status {
            KeptStatus::Success => Status::Success,
            KeptStatus::Forgiven => Status::Failure,
            KeptStatus::NotWanted { .. } => Status::Skipped,
        },
        cause,
        exit_code: step.exit_code,
        duration: step.duration,
        cpu: None,
        peak_memory: None,
        forgiven: matches!(step.status, KeptStatus::Forgiven),
        outputs: Vec::new(),
    }
}

fn stream_of(stream: KeptStream) -> Stream {
    match stream {
        KeptStream::Stdout => Stream::Stdout,
        KeptStream::Stderr => Stream::Stderr,
    }
}

fn hash_of(path: &Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut fs::File::open(path)?, &mut hasher)?;
    Ok(hasher.finalize().to_hex()[..32].to_owned())
}

/// What is kept of a job; `None` where there is nothing that can be read.
fn read(file: &Path) -> Option<Kept> {
    let bytes = fs::read(file.with_extension("job")).ok()?;
    postcard::from_bytes(&bytes).ok().filter(|kept: &Kept| kept.form == FORM)
}

fn write(file: &Path, kept: &Kept) -> io::Result<()> {
    let Some(folder) = file.parent() else { return Ok(()) };
    fs::create_dir_all(folder)?;
    forget_old(folder);
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(&postcard::to_stdvec(kept).map_err(io::Error::other)?)?;
    new.persist(file.with_extension("job"))?;
    Ok(())
}

/// Removes what was not used for long.
fn forget_old(folder: &Path) {
    let old = SystemTime::now().checked_sub(UNUSED).unwrap_or(SystemTime::UNIX_EPOCH);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_old = entry.metadata().and_then(|file| file.modified()).is_ok_and(|used| used < old);
        if is_old && path.extension().is_some_and(|extension| extension == "job") {
            let _ = fs::remove_dir_all(path.with_extension("d"));
            let _ = fs::remove_file(path);
        }
    }
}

/// Removes all that is kept; gives how many results.
///
/// # Errors
/// Where something cannot be removed.
pub fn forget_results(folder: &Path) -> io::Result<usize> {
    let count = fs::read_dir(folder).into_iter().flatten().flatten();
    let count = count.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "job")).count();
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(count),
    }
}

/// Shared by the steps of one try.
pub(super) type SharedNoting = Option<Arc<Noting>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_miss_says_what_changed() {
        let rests = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, digest)| ((*name).to_owned(), (*digest).to_owned())).collect()
        };
        let was: Rests = rests(&[("requirements.txt", "1"), ("image python:3.12", "a"), ("old.py", "2")]);
        assert_eq!(differences(&was, &was), None);
        let now: Rests = rests(&[("requirements.txt", "2"), ("image python:3.12", "a"), ("old.py", "2")]);
        assert_eq!(differences(&was, &now).unwrap(), "requirements.txt changed");
        let now: Rests = rests(&[("requirements.txt", "1"), ("image python:3.12", "b"), ("new.py", "3")]);
        assert_eq!(differences(&was, &now).unwrap(), "image python:3.12 moved, new.py is new, old.py is gone");
        let now: Rests = (0..5).map(|n| (n.to_string(), String::new())).collect();
        assert!(differences(&was, &now).unwrap().ends_with(", and 5 more"));
    }
}

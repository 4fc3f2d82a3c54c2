//! The artifacts of a job: taken out of its container when its steps are over, and put into those of the jobs that need it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::oneshot;
use tokio_util::io::SyncIoBridge;

use super::conversation::Conversation;
use super::job::{Broken, JobRun};
use super::supervisor::Unpacker;
use crate::artifact::{Artifact, Begun, Limits, Refused};
use crate::engine::{ContainerId, Engine, EngineError, TarStream};
use crate::event::{Event, JobId, Level, Status};
use crate::glob::Globs;
use crate::pipeline::ArtifactWhen;
use crate::plan::{PlannedArtifact, WORKSPACE};

/// What the jobs of a run have kept so far.
#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<BTreeMap<JobId, Vec<Artifact>>>);

impl Shelf {
    pub(super) fn put(&self, job: &JobId, artifact: Artifact) {
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_job = shelf.entry(job.clone()).or_default();
        // Of two of one name the last was written over the first.
        of_job.retain(|other| other.name != artifact.name);
        of_job.push(artifact);
    }

    fn clear(&self, job: &JobId) -> Vec<Artifact> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(job).unwrap_or_default()
    }

    pub(super) fn of(&self, job: &JobId) -> Vec<Artifact> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(job).cloned().unwrap_or_default()
    }
}

/// Why an artifact was not kept.
enum NotKept {
    Refused(Refused),
    Engine(EngineError),
    Disk(io::Error),
}

impl From<Refused> for NotKept {
    fn from(refused: Refused) -> Self {
        match refused {
            // What broke is what it came through.
            Refused::Broken(error) => match error.downcast::<EngineError>() {
                Ok(error) => Self::Engine(error),
                Err(error) => Self::Refused(Refused::Broken(error)),
            },
            Refused::Write(error) => Self::Disk(error),
            other => Self::Refused(other),
        }
    }
}

impl<E: Engine> JobRun<'_, E> {
    /// Keeps the artifacts of a job that ended so. What keeps one from it is told when the others were tried; a stop, and the end of
    /// the job's time, at once.
    pub(super) async fn keep_artifacts(&self, container: &ContainerId, status: Status) -> Result<(), Broken> {
        let mut trouble = None;
        for artifact in self.job.artifacts.iter().filter(|artifact| is_wanted(artifact.when, status)) {
            let kept = async { Ok(self.keep(container, artifact).await) };
            if let Err(why) = self.until_stopped(kept).await? {
                trouble.get_or_insert(self.not_kept(artifact, why));
            }
        }
        trouble.map_or(Ok(()), Err)
    }

    fn not_kept(&self, artifact: &PlannedArtifact, why: NotKept) -> Broken {
        let name = self.context.mask.text(&artifact.name);
        let (why, hint) = match why {
            NotKept::Refused(why) => {
                return Broken::Artifact { name, message: self.context.mask.text(&why.to_string()) };
            }
            NotKept::Engine(error) => (error.to_string(), error.hint()),
            NotKept::Disk(error) => (
                format!("it cannot be written: {error}"),
                Some("make room on the disk of the state folder, or see that you may write there".to_owned()),
            ),
        };
        let message = format!("the artifact {name} cannot be kept: {}", self.context.mask.text(&why));
        Broken::Infrastructure { message, hint }
    }

    async fn keep(&self, container: &ContainerId, artifact: &PlannedArtifact) -> Result<(), NotKept> {
        let Some(depot) = &self.context.settings.artifacts else {
            return Err(NotKept::Disk(io::Error::other("there is no home to keep artifacts in")));
        };
        let begun = depot.begin(self.job.id.as_str(), &artifact.name, Limits::default()).map_err(NotKept::Disk)?;
        let begun = self.take_in(container, artifact, begun).await?;
        let lasts = artifact.expire;
        let kept = joined(tokio::task::spawn_blocking(move || begun.keep(lasts))).await.map_err(NotKept::Disk)?;
        match kept {
            Some(kept) => self.put_on_shelf(kept).await,
            None => {
                let message = format!("artifact {}: no file matches {}", artifact.name, artifact.paths.join(", "));
                let job = Some(self.job.id.clone());
                self.context.emit(Event::Notice { level: Level::Warn, job, message }).await;
            }
        }
        Ok(())
    }

    /// Tells of an artifact that is kept, and has it ready for the jobs behind this one.
    pub(super) async fn put_on_shelf(&self, artifact: Artifact) {
        let (job, name) = (self.job.id.clone(), self.context.mask.text(&artifact.name));
        self.context.emit(Event::Artifact { job, name, files: artifact.files, bytes: artifact.bytes }).await;
        self.context.shelf.put(&self.job.id, artifact);
    }

    /// Takes back what an earlier try of the job kept: jobs behind it are to see the last one's alone.
    pub(super) async fn forget_artifacts(&self) {
        let Some(depot) = self.context.settings.artifacts.clone() else { return };
        let of_before = self.context.shelf.clear(&self.job.id);
        let removing = tokio::task::spawn_blocking(move || of_before.iter().try_for_each(|old| depot.remove(old)));
        if let Err(error) = joined(removing).await {
            let message = format!("an artifact of the try before cannot be removed: {error}");
            let job = Some(self.job.id.clone());
            self.context.emit(Event::Notice { level: Level::Warn, job, message }).await;
        }
    }

    async fn take_in(
        &self,
        container: &ContainerId,
        artifact: &PlannedArtifact,
        mut begun: Begun,
    ) -> Result<Begun, NotKept> {
        let globs = Globs::parse(&artifact.paths).map_err(|error| NotKept::Disk(io::Error::other(error)))?;
        for root in roots(&artifact.paths) {
            let path = if root.is_empty() { format!("{WORKSPACE}/.") } else { format!("{WORKSPACE}/{root}") };
            let tar = match self.context.engine.download(container, &path).await {
                Ok(tar) => tar,
                Err(EngineError::PathMissing { .. }) => continue,
                Err(error) => return Err(NotKept::Engine(error)),
            };
            // The engine names what it sends by the last part of the path that it was asked for.
            let below = root.rsplit_once('/').map_or("", |(above, _)| above).to_owned();
            let globs = globs.clone();
            begun = taking(tar, begun, move |begun, tar| begun.intake.take(tar, &below, &|path| globs.matches(path)))
                .await?;
        }
        for name in begun.intake.owed() {
            begun = self.settle(container, begun, name).await?;
        }
        Ok(begun)
    }

    /// Asks for a file whose content came by a name that nobody wants, as of cargo's `target/debug/*`: the engine sends the content
    /// once, with the first of its names. Not the whole once more, of which little may be wanted.
    async fn settle(&self, container: &ContainerId, begun: Begun, name: Vec<u8>) -> Result<Begun, NotKept> {
        let nowhere = |name: &[u8]| Refused::Entry {
            path: name.escape_ascii().to_string(),
            why: "is a link to a file that cannot be asked for",
        };
        let text = String::from_utf8(name.clone()).map_err(|_| NotKept::Refused(nowhere(&name)))?;
        let tar = match self.context.engine.download(container, &format!("{WORKSPACE}/{text}")).await {
            Ok(tar) => tar,
            Err(EngineError::PathMissing { .. }) => return Err(NotKept::Refused(nowhere(&name))),
            Err(error) => return Err(NotKept::Engine(error)),
        };
        let below = text.rsplit_once('/').map_or("", |(above, _)| above).to_owned();
        taking(tar, begun, move |begun, tar| begun.intake.settle(tar, &below, &name)).await
    }

    /// Puts what the needed jobs kept into the workspace.
    pub(super) async fn bring_artifacts(&self, talk: &mut Conversation, unpacker: Unpacker) -> Result<(), Broken> {
        let Some(depot) = &self.context.settings.artifacts else { return Ok(()) };
        let needed: Vec<Artifact> = self.job.needed().flat_map(|need| self.context.shelf.of(need)).collect();
        for artifact in needed {
            let open = tokio::fs::File::open(depot.tar(&artifact)).await;
            let mut tar = open.map_err(|error| Broken::Infrastructure {
                message: format!("the artifact {} cannot be read: {error}", artifact.name),
                hint: None,
            })?;
            match unpacker {
                Unpacker::InContainer => {
                    let sent = talk.unpack(WORKSPACE, &mut tar).await;
                    self.unpacked(talk).await?;
                    sent.map_err(|error| Broken::Infrastructure { message: error.to_string(), hint: None })?;
                }
                Unpacker::Engine => self.context.engine.upload(talk.id(), WORKSPACE, Box::pin(tar)).await?,
            }
            let message =
                format!("artifact {} of {}: {} files brought in", artifact.name, artifact.job, artifact.files);
            let job = Some(self.job.id.clone());
            self.context.emit(Event::Notice { level: Level::Debug, job, message }).await;
        }
        Ok(())
    }
}

/// Reads an archive on a thread that may wait. Dropped, it ends there, too, with what it read from.
async fn taking(
    tar: TarStream,
    mut begun: Begun,
    take: impl FnOnce(&mut Begun, SyncIoBridge<Leashed>) -> Result<(), Refused> + Send + 'static,
) -> Result<Begun, NotKept> {
    let (_leash, held) = oneshot::channel();
    let tar = SyncIoBridge::new(Leashed { tar, held });
    let taken = tokio::task::spawn_blocking(move || take(&mut begun, tar).map(|()| begun));
    Ok(joined(taken).await?)
}

async fn joined<T>(task: tokio::task::JoinHandle<T>) -> T {
    match task.await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// An archive that breaks off when who wanted it is gone: a thread that reads cannot be dropped.
struct Leashed {
    tar: TarStream,
    held: oneshot::Receiver<Infallible>,
}

impl AsyncRead for Leashed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if Pin::new(&mut self.held).poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        self.tar.as_mut().poll_read(cx, into)
    }
}

fn is_wanted(when: ArtifactWhen, status: Status) -> bool {
    match when {
        ArtifactWhen::Success => status == Status::Success,
        ArtifactWhen::Failure => status == Status::Failure,
        ArtifactWhen::Always => matches!(status, Status::Success | Status::Failure),
    }
}

/// The folders that have all that patterns can match, none inside of another: so that little more is sent than is wanted.
fn roots(patterns: &[String]) -> Vec<String> {
    let mut roots: Vec<String> = patterns
        .iter()
        .filter(|pattern| !pattern.starts_with('!'))
        .map(|pattern| {
            let parts = pattern.trim_start_matches("./").trim_end_matches('/').split('/');
            let plain = parts.take_while(|part| !part.contains(['*', '?', '[', '{', '\\']));
            plain.collect::<Vec<_>>().join("/")
        })
        .collect();
    roots.sort();
    roots.dedup();
    let all = roots.clone();
    roots.retain(|root| {
        !all.iter().any(|other| other != root && (other.is_empty() || root.starts_with(&format!("{other}/"))))
    });
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_asked_for_than_can_match() {
        let roots = |patterns: &[&str]| roots(&patterns.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(roots(&["dist/**", "dist/a/*.js", "!dist/b", "out/x.txt"]), ["dist", "out/x.txt"]);
        assert_eq!(roots(&["*.log", "dist/**"]), [""]);
        assert_eq!(roots(&["./a/b/", "a/bc"]), ["a/b", "a/bc"]);
    }
}

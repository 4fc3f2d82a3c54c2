//! The artifacts of a job: taken out of its container when its steps are over, and put into those of the jobs that need it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio_util::io::SyncIoBridge;

use super::conversation::Conversation;
use super::job::{Broken, JobRun};
use super::supervisor::Unpacker;
use crate::artifact::{Artifact, Begun, Limits, Refused};
use crate::engine::{ContainerId, Engine, EngineError};
use crate::event::{Cause, Event, JobId, Level, Status};
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
        // An earlier try's of the same name is written over.
        of_job.retain(|other| other.name != artifact.name);
        of_job.push(artifact);
    }

    pub(super) fn of(&self, job: &JobId) -> Vec<Artifact> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(job).cloned().unwrap_or_default()
    }
}

/// Why an artifact was not kept.
enum NotKept {
    Refused(Refused),
    Engine(EngineError),
    Disk(std::io::Error),
}

impl<E: Engine> JobRun<'_, E> {
    /// Keeps the artifacts of a job that ended so. What keeps one from it is the job's failure.
    pub(super) async fn keep_artifacts(&self, container: &ContainerId, status: Status) -> Option<Cause> {
        let mut trouble = None;
        for artifact in self.job.artifacts.iter().filter(|artifact| is_wanted(artifact.when, status)) {
            let failed = match self.keep(container, artifact).await {
                Ok(()) => continue,
                Err(NotKept::Refused(why)) => why.to_string(),
                Err(NotKept::Engine(error)) => error.to_string(),
                Err(NotKept::Disk(error)) => format!("it cannot be written: {error}"),
            };
            let name = self.context.mask.text(&artifact.name);
            trouble.get_or_insert(Cause::Artifact { name, message: self.context.mask.text(&failed) });
        }
        trouble
    }

    async fn keep(&self, container: &ContainerId, artifact: &PlannedArtifact) -> Result<(), NotKept> {
        let Some(depot) = &self.context.settings.artifacts else {
            return Err(NotKept::Disk(std::io::Error::other("there is no home to keep artifacts in")));
        };
        let begun = depot.begin(self.job.id.as_str(), &artifact.name, Limits::default()).map_err(NotKept::Disk)?;
        let begun = self.take_in(container, artifact, begun).await?;
        let lasts = artifact.expire;
        let keeping = tokio::task::spawn_blocking(move || begun.keep(lasts));
        let kept = match keeping.await {
            Ok(kept) => kept.map_err(NotKept::Disk)?,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let job = self.job.id.clone();
        match kept {
            Some(kept) => {
                let name = self.context.mask.text(&kept.name);
                self.context.emit(Event::Artifact { job, name, files: kept.files, bytes: kept.bytes }).await;
                self.context.shelf.put(&self.job.id, kept);
            }
            None => {
                let message = format!("artifact {}: no file matches {}", artifact.name, artifact.paths.join(", "));
                self.context.emit(Event::Notice { level: Level::Warn, job: Some(job), message }).await;
            }
        }
        Ok(())
    }

    async fn take_in(
        &self,
        container: &ContainerId,
        artifact: &PlannedArtifact,
        mut begun: Begun,
    ) -> Result<Begun, NotKept> {
        let globs = Globs::parse(&artifact.paths).map_err(|error| NotKept::Disk(std::io::Error::other(error)))?;
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
            let taking = tokio::task::spawn_blocking(move || {
                let taken = begun.intake.take(SyncIoBridge::new(tar), &below, &|path| globs.matches(path));
                taken.map(|()| begun)
            });
            begun = match taking.await {
                Ok(Ok(begun)) => begun,
                Ok(Err(refused)) => return Err(NotKept::Refused(refused)),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            };
        }
        Ok(begun)
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

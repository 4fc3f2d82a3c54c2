//! The beginning of a job: its container starts, says that it is ready, and gets its workspace.

use std::time::{Duration, Instant};

use super::{Broken, JobRun};
use crate::engine::{ContainerId, Engine, EngineError};
use crate::event::{Event, Level};
use crate::execute::conversation::{Conversation, Heard};
use crate::execute::kept::{NotKept, Place};
use crate::execute::supervisor::{Counters, Report, Unpacker};
use crate::execute::{upload, user};
use crate::source::{Owner, TarSummary};

/// The supervisor is a shell that has nothing to do before it says that it is ready.
const READY_LIMIT: Duration = Duration::from_secs(60);

impl<E: Engine> JobRun<'_, E> {
    /// Starts the container and brings the workspace in.
    ///
    /// What of the source is in folders that are `hidden` by caches stays out: in a workspace that is a volume they cover it.
    pub(super) async fn begin(
        &self,
        talk: &mut Conversation,
        place: &Place,
        hidden: &[String],
    ) -> Result<Counters, Broken> {
        let engine = &*self.context.engine;
        let id = talk.id().clone();
        if let Place::Mounted { .. } = place {
            engine.start(&id).await.map_err(|error| self.explain_start(error))?;
            talk.say(&format!("{}\n", talk.nonce().as_str())).await;
            let (unpacker, counters) = self.ready(talk).await?;
            self.bring_artifacts(talk, unpacker).await?;
            return Ok(counters);
        }
        let (owner, workspace) = (self.workspace_owner(&id).await?, self.context.kept.workspace().await?);
        if let Some(owner) = owner {
            let began = Instant::now();
            self.note_upload(upload::by_engine(engine, &id, &workspace, owner, hidden).await?, began).await;
        }
        engine.start(&id).await.map_err(|error| self.explain_start(error))?;
        talk.say(&format!("{}\n", talk.nonce().as_str())).await;
        let (unpacker, counters) = self.ready(talk).await?;
        let began = Instant::now();
        match (owner, unpacker) {
            (Some(_), _) => {}
            (None, Unpacker::InContainer) => {
                let sent = upload::by_supervisor(&workspace, talk, hidden).await;
                self.unpacked(talk).await?;
                self.note_upload(sent?, began).await;
            }
            (None, Unpacker::Engine) => {
                let sent = upload::by_engine(engine, &id, &workspace, Owner::default(), hidden).await?;
                self.note_upload(sent, began).await;
            }
        }
        self.bring_artifacts(talk, unpacker).await?;
        Ok(counters)
    }

    /// Where the workspace comes from.
    pub(super) async fn place(&self) -> Result<Place, Broken> {
        let kept = &self.context.kept;
        if !kept.is_on() {
            return Ok(Place::Stream);
        }
        let placed = match kept.owner(&self.image, self.user()).await {
            Ok(Some(owner)) => kept.place(&self.image.name, owner).await,
            // That there is no such user is told when its container is there.
            Ok(None) => return Ok(Place::Stream),
            Err(error) => Err(error.into()),
        };
        match placed {
            Ok(place) => {
                if let Place::Mounted { told: Some(told), .. } = &place {
                    self.notes(&told.warnings, told.message.clone()).await;
                }
                Ok(place)
            }
            // The source is what it is: a stream could not read it either.
            Err(NotKept::Source(error)) => {
                Err(Broken::Infrastructure { message: error.to_string(), hint: error.hint() })
            }
            Err(NotKept::Unread(unread)) => Err(unread.into()),
            Err(NotKept::Engine(error @ (EngineError::DiskFull { .. } | EngineError::Connection(_)))) => {
                Err(error.into())
            }
            Err(error @ (NotKept::Engine(_) | NotKept::Note(_) | NotKept::NoMarks)) => {
                kept.give_up();
                self.notes(&[], format!("workspace: streamed, as no snapshot can be kept: {error}")).await;
                Ok(Place::Stream)
            }
        }
    }

    /// Who the workspace must be made to belong to; `None` for root, who owns what the supervisor unpacks.
    async fn workspace_owner(&self, id: &ContainerId) -> Result<Option<Owner>, Broken> {
        let user = self.user();
        if user::is_root(user) {
            return Ok(None);
        }
        match user::of_container(&*self.context.engine, id, user).await? {
            Some(owner) => Ok(Some(owner)),
            None => Err(Broken::Infrastructure {
                message: format!("the image {} has no user `{}`", self.job.image, user.split(':').next().unwrap_or("")),
                hint: Some("name a user that is in its /etc/passwd, or give a number".to_owned()),
            }),
        }
    }

    /// Who runs the steps, in the words of the pipeline or the image.
    pub(super) fn user(&self) -> &str {
        self.job.user.as_deref().unwrap_or(&self.image.user)
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

    pub(in crate::execute) async fn unpacked(&self, talk: &mut Conversation) -> Result<(), Broken> {
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

    async fn note_upload(&self, summary: TarSummary, began: Instant) {
        let took = began.elapsed().as_millis();
        let message = format!("workspace: {} files, {} bytes; streamed in {took} ms", summary.files, summary.bytes);
        self.notes(&summary.warnings, message).await;
    }

    async fn notes(&self, warnings: &[String], message: String) {
        let job = Some(self.job.id.clone());
        for message in warnings.iter().cloned() {
            self.context.emit(Event::Notice { level: Level::Warn, job: job.clone(), message }).await;
        }
        self.context.emit(Event::Notice { level: Level::Debug, job, message }).await;
    }

    fn explain_start(&self, error: EngineError) -> Broken {
        match error {
            EngineError::InitMissing => Broken::NoInit,
            EngineError::LayersRefused { message } => Broken::NoOverlay { message },
            EngineError::NoFolder { ref message } => {
                let paths = self.job.caches.iter().flat_map(|cache| &cache.paths);
                let named = paths.filter(|path| message.contains(path.as_str())).max_by_key(|path| path.len());
                let Some(path) = named else { return error.into() };
                Broken::Infrastructure {
                    message: format!("the cache of the job names `{path}`, which is a file: a cache has folders"),
                    hint: Some("name the folder that it is in, or a folder of the cache's own".to_owned()),
                }
            }
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
}

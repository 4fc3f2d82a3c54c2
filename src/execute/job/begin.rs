//! The beginning of a job: its container starts, says that it is ready, and gets its workspace.

use std::time::{Duration, Instant};

use super::{Broken, JobRun};
use crate::engine::{ContainerId, Engine, EngineError};
use crate::event::{Event, Level};
use crate::execute::conversation::{Conversation, Heard};
use crate::execute::kept::{NotKept, Place};
use crate::execute::supervisor::{Counters, Report, Unpacker};
use crate::execute::upload;
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
            engine.start(&id).await.map_err(|error| self.explain_start_over(error))?;
            talk.say(&format!("{}\n", talk.nonce().as_str())).await;
            let (unpacker, counters) = self.ready(talk).await?;
            self.bring_artifacts(talk, unpacker).await?;
            return Ok(counters);
        }
        let owner = self.workspace_owner(&id).await?;
        if let Some(owner) = owner {
            let began = Instant::now();
            self.note_upload(upload::by_engine(engine, &id, &self.context.workspace, owner, hidden).await?, began)
                .await;
        }
        engine.start(&id).await.map_err(|error| self.explain_start(error))?;
        talk.say(&format!("{}\n", talk.nonce().as_str())).await;
        let (unpacker, counters) = self.ready(talk).await?;
        let began = Instant::now();
        match (owner, unpacker) {
            (Some(_), _) => {}
            (None, Unpacker::InContainer) => {
                let sent = upload::by_supervisor(&self.context.workspace, talk, hidden).await;
                self.unpacked(talk).await?;
                self.note_upload(sent?, began).await;
            }
            (None, Unpacker::Engine) => {
                let sent = upload::by_engine(engine, &id, &self.context.workspace, Owner::default(), hidden).await?;
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
        let Some(owner) = known_owner(self.job.user.as_deref().unwrap_or(&self.image.user)) else {
            // Its numbers are in the image, which would have to be asked first.
            return Ok(Place::Stream);
        };
        match kept.place(&self.image.name, owner).await {
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
            Err(NotKept::Engine(error @ (EngineError::DiskFull { .. } | EngineError::Connection(_)))) => {
                Err(error.into())
            }
            Err(error @ (NotKept::Engine(_) | NotKept::Note(_))) => {
                kept.give_up();
                self.notes(&[], format!("workspace: streamed, as no snapshot can be kept: {error}")).await;
                Ok(Place::Stream)
            }
        }
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

    /// An engine that cannot mount what was laid over one another says so at the start.
    fn explain_start_over(&self, error: EngineError) -> Broken {
        match error {
            EngineError::Refused { message, .. } if message.contains("mount") && message.contains("volume") => {
                Broken::NoOverlay { message }
            }
            other => self.explain_start(other),
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
}

/// The ids of a user that can be known without its image: root, or numbers of both.
pub(super) fn known_owner(user: &str) -> Option<Owner> {
    match user.split_once(':').unwrap_or((user, "")) {
        ("" | "0" | "root", "" | "0" | "root") => Some(Owner::default()),
        (user, group) => Some(Owner { uid: user.parse().ok()?, gid: group.parse().ok()? }),
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
}

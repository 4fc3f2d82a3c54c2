//! The moment that a run's jobs see the tree at: fixed when the run begins, before any image is pulled.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Mutex, watch};

use super::{Kept, NotKept, key};
use crate::engine::{Engine, EngineError, Image};
use crate::event::{Event, Level};
use crate::execute::job::Broken;
use crate::execute::{Context, PullPolicy, user};
use crate::plan::{Plan, PlannedImage};
use crate::source::{Held, Manifest, Owner, SourceError, Workspace};

/// A snapshot that is used, and where it is.
pub(super) struct Base {
    pub(super) at: String,
    pub(super) held: Held,
}

/// What jobs see of the source.
pub(super) struct Moment {
    pub(super) workspace: Arc<Workspace>,
    /// The snapshots that least differed then.
    pub(super) nearest: Mutex<BTreeMap<Owner, Base>>,
}

/// The tree could not be read when the run began.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Unread {
    message: String,
    hint: Option<String>,
}

impl From<SourceError> for Unread {
    fn from(error: SourceError) -> Self {
        Self { message: crate::causes::with_causes(&error), hint: error.hint() }
    }
}

impl From<Unread> for Broken {
    fn from(Unread { message, hint }: Unread) -> Self {
        Self::Infrastructure { message, hint }
    }
}

type Fixed = Option<Arc<Result<Moment, Unread>>>;

/// Where the moment is told to all who wait for it.
pub(super) struct Board {
    tell: watch::Sender<Fixed>,
    interrupt: Arc<AtomicBool>,
    /// The images of jobs that are sure to run, and who runs their steps where the pipeline says.
    images: Vec<(PlannedImage, Option<String>)>,
    /// An image that the engine has may be another after its pull.
    pull: PullPolicy,
    /// Users that were looked up, by image and name.
    users: std::sync::Mutex<BTreeMap<(String, String), Option<Owner>>>,
}

impl Board {
    pub(super) fn new(plan: &Plan, pull: PullPolicy) -> Self {
        let jobs = plan.jobs.iter().filter(|job| job.is_sure_to_run());
        let images = jobs.map(|job| (job.image.clone(), job.user.clone())).collect();
        let (interrupt, users) = (Arc::default(), std::sync::Mutex::default());
        Self { tell: watch::Sender::new(None), interrupt, images, pull, users }
    }
}

/// Fixes the moment, and tells what changed under the reader.
pub(in crate::execute) async fn fix<E: Engine>(context: Arc<Context<E>>) {
    let fixed = context.kept.fixed().await;
    let warnings = match &fixed {
        Ok(moment) if !Arc::ptr_eq(&moment.workspace, &context.workspace) => moment.workspace.warnings.clone(),
        Ok(_) | Err(_) => Vec::new(),
    };
    context.kept.board.tell.send_replace(Some(Arc::new(fixed)));
    for message in warnings {
        context.emit(Event::Notice { level: Level::Warn, job: None, message }).await;
    }
}

impl<E> Kept<E> {
    /// Ends what [`fix`] is at: nobody waits for it any more.
    pub(in crate::execute) fn stop_fixing(&self) {
        self.board.interrupt.store(true, Ordering::Relaxed);
    }

    /// The ids of a user, where they are known without asking, or were asked for.
    pub(in crate::execute) fn known_owner(&self, image: &Image, name: &str) -> Option<Owner> {
        user::known(name).or_else(|| {
            let users = self.board.users.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            users.get(&(image.id.clone(), name.to_owned())).copied().flatten()
        })
    }

    pub(super) async fn moment(&self) -> Fixed {
        let mut told = self.board.tell.subscribe();
        // The sender lives as long as this does.
        told.wait_for(Option::is_some).await.ok().and_then(|fixed| fixed.clone())
    }

    /// The source as it was when the run began.
    pub(in crate::execute) async fn workspace(&self) -> Result<Arc<Workspace>, Unread> {
        match self.moment().await.as_deref() {
            Some(Ok(moment)) => Ok(moment.workspace.clone()),
            Some(Err(unread)) => Err(unread.clone()),
            None => Ok(self.workspace.clone()),
        }
    }
}

impl<E: Engine> Kept<E> {
    /// The ids of a user of an image; `None` where it has no such user. An image is asked once.
    pub(in crate::execute) async fn owner(&self, image: &Image, name: &str) -> Result<Option<Owner>, EngineError> {
        if let Some(owner) = self.known_owner(image, name) {
            return Ok(Some(owner));
        }
        let vessel = self.vessel_of(&image.name, Vec::new()).await?;
        let owner = user::of_container(&*self.engine, &vessel, name).await;
        self.put_away(&vessel).await?;
        let owner = owner?;
        let mut users = self.board.users.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        users.insert((image.id.clone(), name.to_owned()), owner);
        Ok(owner)
    }

    async fn fixed(&self) -> Result<Moment, Unread> {
        if self.workspace.is_small() {
            return Ok(Moment { workspace: self.workspace.clone(), nearest: Mutex::default() });
        }
        // Without a snapshot that is sure to be used, all is read.
        let bases = self.found().await.unwrap_or_default();
        let folder = self.bases.as_ref().map_or_else(std::env::temp_dir, |bases| bases.folder().to_owned());
        let (source, interrupt) = (self.workspace.clone(), self.board.interrupt.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let known: Vec<&Manifest> = bases.values().map(|base| &base.held.manifest).collect();
            let now = source.at_this_moment(&known, &folder, &interrupt);
            now.map(|now| (now, bases))
        });
        let (now, bases) = match reading.await {
            Ok(read) => read?,
            Err(error) => return Err(Unread { message: format!("the source cannot be read: {error}"), hint: None }),
        };
        let workspace = now.map_or_else(|| self.workspace.clone(), Arc::new);
        Ok(Moment { workspace, nearest: Mutex::new(bases) })
    }

    /// The snapshots for all who are going to run steps; an error where one is missing.
    async fn found(&self) -> Result<BTreeMap<Owner, Base>, NotKept> {
        let mut found = BTreeMap::new();
        let Some(bases) = self.bases.as_ref().filter(|_| self.is_on()) else { return Ok(found) };
        let volumes = self.engine.owned_volumes().await?;
        for (image, name) in &self.board.images {
            let here = match image {
                PlannedImage::Named(image) if self.board.pull != PullPolicy::Always => self.engine.image(image).await?,
                PlannedImage::Named(_) | PlannedImage::Built(_) => None,
            };
            // One that is still to come may have any user.
            let Some(here) = here else { return Ok(BTreeMap::new()) };
            let Some(owner) = self.owner(&here, name.as_deref().unwrap_or(&here.user)).await? else { continue };
            if found.contains_key(&owner) {
                continue;
            }
            let key = format!("{} {}", self.scope, key(&self.workspace, owner));
            match self.nearest(bases, &self.workspace, &volumes, &key).await? {
                Some((base, _)) => found.insert(owner, base),
                None => return Ok(BTreeMap::new()),
            };
        }
        Ok(found)
    }
}

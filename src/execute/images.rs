//! Images: each one of a plan is looked for, and pulled or built where wanted, once, side by side from the first moment; that of a
//! job whose `if` may not hold when the job starts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures_util::future::{BoxFuture, Shared};
use futures_util::{FutureExt, TryFutureExt};
use tokio::sync::mpsc;

use super::job::Broken;
use super::{Context, build};
use crate::engine::{Engine, EngineError, Image};
use crate::event::{Event, Level, PullEvent};
use crate::plan::PlannedImage;

/// When images are pulled (`--pull`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PullPolicy {
    /// When the engine does not have them.
    #[default]
    Missing,
    /// Every run.
    Always,
    /// Never.
    Never,
}

/// An image on its way. Every job that wants it waits for the same one.
pub(super) type PendingImage = Shared<BoxFuture<'static, Result<Image, Broken>>>;

/// When an image is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum When {
    /// From the first moment: a job of it is sure to run.
    Now,
    /// When a job of it starts: its `if` may keep it from that.
    Wanted,
}

/// All images of a plan, on their way. Dropping this ends the pulls and builds.
pub(super) struct Images {
    pending: Mutex<BTreeMap<PlannedImage, PendingImage>>,
    /// Begins with one anew.
    anew: Box<dyn Fn(&PlannedImage) -> PendingImage + Send + Sync>,
    /// Drives those that are looked for from the first moment.
    tasks: BTreeMap<PlannedImage, tokio::task::JoinHandle<()>>,
}

impl Images {
    /// Begins with those that are wanted now.
    pub(super) fn begin<E: Engine>(
        context: &Arc<Context<E>>,
        images: impl Iterator<Item = (PlannedImage, When)>,
    ) -> Self {
        let named = Arc::new(Named { context: context.clone(), pending: Mutex::default() });
        let (mut all, mut tasks) = (BTreeMap::new(), BTreeMap::new());
        for (image, when) in images {
            let pending = all.entry(image.clone()).or_insert_with(|| named.on_its_way(&image));
            if when == When::Now && !tasks.contains_key(&image) {
                // A task drives it, so that it moves before a job waits for it.
                let driver = pending.clone();
                let task = tokio::spawn(async move {
                    let _ = driver.await;
                });
                tasks.insert(image, task);
            }
        }
        Self { pending: Mutex::new(all), anew: Box::new(move |image| named.on_its_way(image)), tasks }
    }

    /// The image's future.
    pub(super) fn get(&self, image: &PlannedImage) -> Option<PendingImage> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).get(image).cloned()
    }

    /// Looks for an image once more where it was not to be had: for a job that is tried again. Of several such jobs the first does.
    pub(super) fn again(&self, image: &PlannedImage) {
        let mut all = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pending) = all.get_mut(image).filter(|pending| has_failed(pending)) {
            *pending = (self.anew)(image);
        }
    }

    /// Warns of images that were built for another platform than the engine's.
    ///
    /// The engine is asked only where an image is not for this machine's: to tell its platform, Docker starts three
    /// programs, in the very moment in which it should start containers.
    pub(super) async fn check_platforms<E: Engine>(self: &Arc<Self>, engine: &E, events: &mpsc::Sender<Event>) {
        let mut foreign = Vec::new();
        let named = self.tasks.keys().filter(|image| matches!(image, PlannedImage::Named(_)));
        for (name, pending) in named.filter_map(|name| Some((name, self.get(name)?))) {
            if let Ok(Image { platform: Some(platform), .. }) = pending.await
                && platform != own_platform()
            {
                foreign.push((name, platform));
            }
        }
        if foreign.is_empty() {
            return;
        }
        let Ok(info) = engine.info().await else {
            return;
        };
        for (name, platform) in foreign.into_iter().filter(|(_, platform)| *platform != info.platform) {
            let message = format!(
                "image {name} was built for {platform}, and the engine runs {}: it will be emulated, or fail",
                info.platform
            );
            let _ = events.send(Event::Notice { level: Level::Warn, job: None, message }).await;
        }
    }
}

/// This machine's platform in the words of OCI images, whose containers are Linux everywhere.
fn own_platform() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    };
    format!("linux/{architecture}")
}

impl Drop for Images {
    fn drop(&mut self) {
        for task in self.tasks.values() {
            task.abort();
        }
    }
}

/// The images that have a name elsewhere, those that builds begin from among them: each is looked for once.
struct Named<E> {
    context: Arc<Context<E>>,
    pending: Mutex<BTreeMap<String, PendingImage>>,
}

impl<E: Engine> Named<E> {
    fn on_its_way(self: &Arc<Self>, image: &PlannedImage) -> PendingImage {
        match image {
            PlannedImage::Named(name) => self.get(name),
            PlannedImage::Built(planned) => {
                let (this, planned) = (self.clone(), planned.clone());
                let work = async move { build::image(&this.context, &planned, |name| this.get(name)).await };
                work.boxed().shared()
            }
        }
    }

    fn get(&self, name: &str) -> PendingImage {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = || ensure(self.context.clone(), name.to_owned()).map_err(Broken::from).boxed().shared();
        match pending.get(name).filter(|pending| !has_failed(pending)) {
            Some(pending) => pending.clone(),
            None => pending.entry(name.to_owned()).insert_entry(begin()).get().clone(),
        }
    }
}

fn has_failed(pending: &PendingImage) -> bool {
    matches!(pending.peek(), Some(Err(_)))
}

async fn ensure<E: Engine>(context: Arc<Context<E>>, image: String) -> Result<Image, EngineError> {
    let policy = context.settings.pull;
    if policy != PullPolicy::Always
        && let Some(found) = context.engine.image(&image).await?
    {
        return Ok(found);
    }
    match policy {
        PullPolicy::Never => Err(EngineError::ImageMissing { image }),
        PullPolicy::Missing | PullPolicy::Always => pull(&*context.engine, &image, &context.events).await,
    }
}

async fn pull<E: Engine>(engine: &E, image: &str, events: &mpsc::Sender<Event>) -> Result<Image, EngineError> {
    let began = Instant::now();
    let (progress, mut moments) = mpsc::channel(64);
    let forward = async {
        while let Some(pull) = moments.recv().await {
            let _ = events.send(Event::ImagePull { image: image.to_owned(), pull }).await;
        }
    };
    let (result, ()) = tokio::join!(engine.pull(image, progress), forward);
    let last = match &result {
        Ok(_) => PullEvent::Finished { duration: began.elapsed() },
        Err(error) => PullEvent::Failed { message: error.to_string() },
    };
    let _ = events.send(Event::ImagePull { image: image.to_owned(), pull: last }).await;
    result
}

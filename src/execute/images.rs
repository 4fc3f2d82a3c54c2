//! Images: each one of a plan is looked for, and pulled where wanted, once, side by side from the first moment; that of a job
//! whose `if` may not hold when the job starts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::mpsc;

use crate::engine::{Engine, EngineError, Image};
use crate::event::{Event, Level, PullEvent};

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
pub(super) type PendingImage = Shared<BoxFuture<'static, Result<Image, EngineError>>>;

/// When an image is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum When {
    /// From the first moment: a job of it is sure to run.
    Now,
    /// When a job of it starts: its `if` may keep it from that.
    Wanted,
}

/// All images of a plan, on their way. Dropping this ends the pulls.
pub(super) struct Images {
    pending: BTreeMap<String, PendingImage>,
    /// Drives those that are looked for from the first moment.
    tasks: BTreeMap<String, tokio::task::JoinHandle<()>>,
}

impl Images {
    /// Begins with those that are wanted now.
    pub(super) fn begin<E: Engine>(
        engine: &Arc<E>,
        images: impl Iterator<Item = (String, When)>,
        policy: PullPolicy,
        events: &mpsc::Sender<Event>,
    ) -> Self {
        let mut this = Self { pending: BTreeMap::new(), tasks: BTreeMap::new() };
        for (image, when) in images {
            let pending = this
                .pending
                .entry(image.clone())
                .or_insert_with(|| ensure(engine.clone(), image.clone(), policy, events.clone()).boxed().shared());
            if when == When::Now && !this.tasks.contains_key(&image) {
                // A task drives it, so that it moves before a job waits for it.
                let driver = pending.clone();
                let task = tokio::spawn(async move {
                    let _ = driver.await;
                });
                this.tasks.insert(image, task);
            }
        }
        this
    }

    /// The image's future.
    pub(super) fn get(&self, image: &str) -> Option<PendingImage> {
        self.pending.get(image).cloned()
    }

    /// Warns of images that were built for another platform than the engine's.
    ///
    /// The engine is asked only where an image is not for this machine's: to tell its platform, Docker starts three
    /// programs, in the very moment in which it should start containers.
    pub(super) async fn check_platforms<E: Engine>(self: &Arc<Self>, engine: &E, events: &mpsc::Sender<Event>) {
        let mut foreign = Vec::new();
        for (name, pending) in self.pending.iter().filter(|(name, _)| self.tasks.contains_key(*name)) {
            if let Ok(Image { platform: Some(platform), .. }) = pending.clone().await
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

async fn ensure<E: Engine>(
    engine: Arc<E>,
    image: String,
    policy: PullPolicy,
    events: mpsc::Sender<Event>,
) -> Result<Image, EngineError> {
    if policy != PullPolicy::Always
        && let Some(found) = engine.image(&image).await?
    {
        return Ok(found);
    }
    match policy {
        PullPolicy::Never => Err(EngineError::ImageMissing { image }),
        PullPolicy::Missing | PullPolicy::Always => pull(&*engine, &image, &events).await,
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

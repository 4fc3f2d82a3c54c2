//! An image that is built from the source: looked for by what it rests on, built where that changed, tidied when it is old.
//!
//! It has a name by a digest of all that it rests on: the files that the build sees, the Dockerfile, the stage, the arguments,
//! and the content of the images that it begins from. So a run that finds the name builds nothing, and nothing has to be
//! noted anywhere but on the engine.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::try_join_all;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_util::io::SyncIoBridge;

use super::images::PendingImage;
use super::job::Broken;
use super::{Context, Reuse};
use crate::dockerfile::{Dockerfile, Ignore};
use crate::engine::{BUILT, BuildSpec, Building, Engine, EngineError, Image, LayerCache};
use crate::event::{BuildEvent, Event, Level};
use crate::plan::PlannedBuild;
use crate::source::{SourceError, Workspace};

/// How a Dockerfile is called in a context that it is no part of.
const FOREIGN_DOCKERFILE: &str = ".argon.Dockerfile";
/// How many images of one build are kept: those of the branches that one goes to and fro between.
const KEPT: usize = 3;
/// How many images are kept in all.
const KEPT_IN_ALL: usize = 30;
/// How much of the archive waits between the reading of files and the sending of them.
const PIPE: usize = 512 * 1024;
/// How many of the last lines of a build that failed are told with the failure.
const LAST_LINES: usize = 20;
/// What is kept of a build's output for them, in bytes.
const TAIL: usize = 16 * 1024;

/// The image: as it is on the engine, or built.
pub(super) async fn image<E: Engine>(
    context: &Context<E>,
    build: &PlannedBuild,
    pulled: impl Fn(&str) -> PendingImage,
) -> Result<Image, Broken> {
    let workspace = context.kept.workspace().await?;
    let sight = Arc::new(Sight::of(&workspace, build.clone()).await?);
    let bases = sight.file.images(build.target.as_deref(), &build.args);
    let found = try_join_all(bases.iter().map(|base| pulled(base))).await?;
    let bases: Vec<String> = bases.into_iter().zip(found).map(|(name, image)| format!("{name} {}", image.id)).collect();
    let rests = sight.rests(&workspace, &bases, context.settings.trust).await?;
    let name = format!("{BUILT}{rests}");
    let anew = context.settings.reuse == Reuse::Never;
    if !anew && let Some(image) = context.engine.image(&name).await? {
        return Ok(image);
    }
    let scope = scope(context, build);
    let spec = BuildSpec {
        dockerfile: sight.dockerfile.clone(),
        target: build.target.clone(),
        args: build.args.clone(),
        network: context.settings.network.clone(),
        layers: if anew { LayerCache::Ignored } else { LayerCache::Used },
        scope: scope.clone(),
    };
    let id = told(context, build, &spec, &sight, &workspace).await?;
    // A file that a snapshot has is read from the tree, where it may have been edited since: what was built then is no image of these
    // files, nor of those.
    let name = if sight.rests(&workspace, &bases, context.settings.trust).await? == rests {
        name
    } else {
        let message = format!("{build}: files changed while they were sent; the next run builds it anew");
        context.emit(Event::Notice { level: Level::Warn, job: None, message }).await;
        format!("{BUILT}{}", context.settings.run)
    };
    context.engine.name_image(&id, &name).await?;
    tidy(context, &scope, &name).await;
    context.engine.image(&name).await?.ok_or_else(|| EngineError::ImageMissing { image: name }.into())
}

/// Whose image it is: of this source, built so. Not of the arguments, as those of a matrix change together.
fn scope<E>(context: &Context<E>, build: &PlannedBuild) -> String {
    let PlannedBuild { context: folder, dockerfile, target, .. } = build;
    let text = format!("{}\n{folder}\n{dockerfile}\n{target:?}", context.kept.scope());
    blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
}

/// What a build sees of the source.
struct Sight {
    build: PlannedBuild,
    /// The folder that is sent, empty for the top.
    folder: String,
    /// What of it is not.
    ignore: Ignore,
    /// Rules of the Dockerfile's own are in force, not those of the folder.
    has_own_rules: bool,
    file: Dockerfile,
    text: String,
    /// Where the Dockerfile is in what is sent.
    dockerfile: String,
    /// Where it is in the source, where it is not in the folder.
    beside: Option<String>,
}

impl Sight {
    async fn of(workspace: &Arc<Workspace>, build: PlannedBuild) -> Result<Self, Broken> {
        let workspace = workspace.clone();
        joined(spawn_blocking(move || Self::read(&workspace, build)).await)
    }

    fn read(workspace: &Workspace, build: PlannedBuild) -> Result<Self, Broken> {
        let folder = if build.context == "." { String::new() } else { build.context.clone() };
        if !workspace.has_folder(&folder) {
            return Err(wrong(format!("the source has no folder `{folder}`")));
        }
        let Some(text) = workspace.text(&build.dockerfile)? else {
            let message = match workspace.has_folder(&build.dockerfile) {
                true => format!("`{}` is a folder, not a Dockerfile", build.dockerfile),
                false => format!("the source has no `{}`, or git ignores it", build.dockerfile),
            };
            return Err(wrong(message));
        };
        let below = |path: &str| match folder.as_str() {
            "" => Some(path.to_owned()),
            folder => Some(path.strip_prefix(folder)?.strip_prefix('/')?.to_owned()),
        };
        let inside = below(&build.dockerfile);
        let own = format!("{}.dockerignore", build.dockerfile);
        let general = if folder.is_empty() { ".dockerignore".to_owned() } else { format!("{folder}/.dockerignore") };
        let (rules, has_own_rules) = match workspace.text(&own)? {
            Some(rules) => (Some((own, rules)), true),
            None => (workspace.text(&general)?.map(|rules| (general, rules)), false),
        };
        let ignore = match rules {
            Some((path, rules)) => Ignore::parse(&rules).map_err(|error| wrong(format!("{path}: {error}")))?,
            None => Ignore::default(),
        };
        Ok(Self {
            ignore,
            has_own_rules,
            file: Dockerfile::parse(&text),
            text,
            beside: inside.is_none().then(|| build.dockerfile.clone()),
            dockerfile: inside.unwrap_or_else(|| FOREIGN_DOCKERFILE.to_owned()),
            folder,
            build,
        })
    }

    /// Whether the build sees the file of this path below the folder.
    fn sees(&self, path: &str) -> bool {
        // The builder would heed the folder's rules, too, and there are others in force.
        let is_other_rules = self.has_own_rules && path == ".dockerignore";
        path == self.dockerfile || !is_other_rules && !self.ignore.leaves_out(path)
    }

    /// A digest of all that the image rests on.
    async fn rests(
        self: &Arc<Self>,
        workspace: &Arc<Workspace>,
        bases: &[String],
        trust: &'static str,
    ) -> Result<String, Broken> {
        let (this, workspace) = (self.clone(), workspace.clone());
        let prefix = if self.folder.is_empty() { String::new() } else { format!("{}/", self.folder) };
        let files = spawn_blocking(move || {
            workspace.hash_files(&|path| path.strip_prefix(&prefix).is_some_and(|below| this.sees(below)))
        });
        let files = joined(files.await)?;
        let mut hasher = blake3::Hasher::new();
        let args = self.build.args.iter().flat_map(|(name, value)| [name, value]);
        let parts = ["1", trust, &self.text, &self.dockerfile, files.as_deref().unwrap_or_default()];
        let target = self.build.target.iter().map(String::as_str);
        for part in parts.into_iter().chain(target).chain(["args"]).chain(args.chain(bases).map(String::as_str)) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        Ok(hasher.finalize().to_hex()[..32].to_owned())
    }
}

/// Builds it, and tells how it goes.
async fn told<E: Engine>(
    context: &Context<E>,
    build: &PlannedBuild,
    spec: &BuildSpec,
    sight: &Arc<Sight>,
    workspace: &Arc<Workspace>,
) -> Result<String, Broken> {
    let image: Arc<str> = build.to_string().into();
    let tell = async |build: BuildEvent| context.emit(Event::ImageBuild { image: image.clone(), build }).await;
    let began = Instant::now();
    tell(BuildEvent::Started).await;
    let (reader, writer) = tokio::io::duplex(PIPE);
    let sending = {
        let (workspace, sight) = (workspace.clone(), sight.clone());
        spawn_blocking(move || {
            let beside = sight.beside.as_deref().map(|path| (path, FOREIGN_DOCKERFILE));
            workspace.write_context(SyncIoBridge::new(writer), &sight.folder, &|path| sight.sees(path), beside)
        })
    };
    let (progress, mut said) = mpsc::channel(64);
    let forward = async {
        let mut mask = context.mask.stream();
        let mut output = Vec::new();
        while let Some(said) = said.recv().await {
            match said {
                Building::Step { name, cached } => {
                    tell(BuildEvent::Step { name: context.mask.text(&name), cached }).await;
                }
                Building::Log(bytes) => {
                    let bytes = mask.feed(bytes);
                    keep_tail(&mut output, &bytes);
                    tell(BuildEvent::Log { bytes }).await;
                }
            }
        }
        let bytes: Bytes = mask.flush();
        if !bytes.is_empty() {
            keep_tail(&mut output, &bytes);
            tell(BuildEvent::Log { bytes }).await;
        }
        output
    };
    let (built, output) = tokio::join!(context.engine.build(spec, Box::pin(reader), progress), forward);
    // The reader of files knows best why a context broke off.
    let sent = joined(sending.await);
    if let Ok(sent) = &sent {
        let message = format!("{image}: {} files, {} bytes sent", sent.files, sent.bytes);
        context.emit(Event::Notice { level: Level::Debug, job: None, message }).await;
    }
    let result = match (built, sent) {
        (Ok(id), _) => Ok(id),
        (Err(EngineError::Connection(_)), Err(error)) => Err(error),
        (Err(EngineError::BuildFailed { message }), _) => {
            Err(Broken::ImageBuild { message: context.mask.text(&message), output: last_lines(&output) })
        }
        (Err(error), _) => Err(error.into()),
    };
    tell(match &result {
        Ok(_) => BuildEvent::Finished { duration: began.elapsed() },
        Err(broken) => BuildEvent::Failed { message: broken.words() },
    })
    .await;
    result
}

fn keep_tail(output: &mut Vec<u8>, bytes: &[u8]) {
    output.extend_from_slice(bytes);
    if output.len() > 2 * TAIL {
        output.drain(..output.len() - TAIL);
    }
}

fn last_lines(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

/// Takes the names of images that are old, but for the one that was just made.
async fn tidy<E: Engine>(context: &Context<E>, scope: &str, new: &str) {
    let Ok(images) = context.engine.built_images().await else { return };
    let (mut of_this, mut in_all) = (0, 0);
    for image in images {
        in_all += 1;
        of_this += usize::from(image.scope == scope);
        // One without a name was built anew under it, and is found by nobody.
        let is_nameless = !image.name.starts_with(BUILT);
        let is_old = is_nameless || image.scope == scope && of_this > KEPT || in_all > KEPT_IN_ALL;
        // One that a container has stays: the engine refuses, and a later run finds it again.
        if is_old && image.name != new && context.engine.remove_image(&image.name).await.is_ok() {
            let message = format!("the image {} is old, and gone", image.name);
            context.emit(Event::Notice { level: Level::Debug, job: None, message }).await;
        }
    }
}

/// Removes all images that Argon built, but for those that a container has; gives how many.
///
/// # Errors
/// Where the engine refuses.
pub async fn forget_images<E: Engine>(engine: &E) -> Result<usize, EngineError> {
    let mut removed = 0;
    for image in engine.built_images().await? {
        match engine.remove_image(&image.name).await {
            Ok(()) => removed += 1,
            Err(EngineError::Refused { status: 409, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

/// What is wrong in the repository, and not in the machinery.
fn wrong(message: String) -> Broken {
    Broken::ImageBuild { message, output: String::new() }
}

fn joined<T, E: Into<Broken>>(done: Result<Result<T, E>, tokio::task::JoinError>) -> Result<T, Broken> {
    match done {
        Ok(result) => result.map_err(Into::into),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

impl From<SourceError> for Broken {
    fn from(error: SourceError) -> Self {
        Self::Infrastructure { message: error.to_string(), hint: error.hint() }
    }
}

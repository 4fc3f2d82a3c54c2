//! The volumes of caches: made, laid over one another, copied and counted. All of it is done by the engine: what is in them never
//! comes to this machine.

use futures_util::StreamExt;

use super::NotCached;
use super::index::{CacheIndex, Layer};
use super::locks::Shared;
use crate::engine::{Engine, EngineError, Layers, Mount, Purpose};
use crate::event::Stream;
use crate::execute::Context;
use crate::execute::kept::NotKept;
use crate::source::Owner;

/// The most layers that a cache has: each is looked at for each name that is not there.
const DEEPEST: usize = 32;

/// mount(2) takes a page of options, in which each layer is a path. Some of it is for the upper layer, and for other options.
const OPTIONS: usize = 3500;

/// Where volumes are in a container that copies or counts.
const ROOT: &str = "/argon";

/// Why nothing was copied.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotCopied {
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The words of the programs of the image.
    #[error("it cannot be copied in the job's image: {0}")]
    Failed(String),
}

/// Makes volumes for a job, or for what is done after it.
pub(super) struct Maker<'a, E> {
    pub(super) context: &'a Context<E>,
    /// One that the engine has.
    pub(super) image: &'a str,
    /// Who their folders belong to; all may write where that is not known.
    pub(super) owner: Option<Owner>,
}

impl<E: Engine> Maker<'_, E> {
    /// A new layer of a cache, with a folder for each path. It goes with the run, unless it is kept after all.
    pub(super) async fn layer(&self, index: &CacheIndex, folders: usize) -> Result<(Layer, Shared), NotCached> {
        let kept = &self.context.kept;
        let name = kept.name("cache");
        // Both before it is made: whatever ends this in the midst, it is known whose it is.
        let lock = index.begin(&name)?;
        kept.remove_at_the_end(&name);
        Ok((self.filled(name, Purpose::Cache(kept.scope()), folders).await?, lock))
    }

    /// A layer for this run alone.
    pub(super) async fn passing(&self, folders: usize) -> Result<Layer, NotCached> {
        self.filled(self.context.kept.name("cache"), Purpose::Run, folders).await
    }

    async fn filled(&self, volume: String, purpose: Purpose, folders: usize) -> Result<Layer, NotCached> {
        let (kept, owner) = (&self.context.kept, self.owner);
        let mountpoint = kept.volume(&volume, purpose, None).await?;
        let write = move |pipe| crate::source::write_folders(pipe, folders, owner);
        match kept.fill(&volume, self.image, write).await {
            Ok(()) => Ok(Layer { volume, mountpoint, size: None }),
            Err(NotKept::Engine(error)) => Err(error.into()),
            Err(error) => Err(NotCached::Without(error.to_string())),
        }
    }

    /// A volume that shows one path of a cache: a layer as it is, or laid over others.
    pub(super) async fn shown(&self, number: usize, top: &Layer, lower: &[Layer]) -> Result<String, EngineError> {
        let layers = match lower {
            [] => Layers::Bind(top.data(number)),
            lower => Layers::Overlay {
                lower: lower.iter().map(|layer| layer.data(number)).collect(),
                upper: top.data(number),
                work: format!("{}/{number}/work", top.mountpoint),
            },
        };
        self.passing_view(layers).await
    }

    async fn passing_view(&self, layers: Layers) -> Result<String, EngineError> {
        let name = self.context.kept.name("mount");
        self.context.kept.volume(&name, Purpose::Run, Some(layers)).await?;
        Ok(name)
    }

    /// Copies what layers show into another one, in a container that has both.
    pub(super) async fn copy(&self, from: &[Layer], to: &Layer, folders: usize) -> Result<(), NotCached> {
        let mut mounts = vec![Mount { volume: to.volume.clone(), target: format!("{ROOT}/to") }];
        for number in 0..folders {
            let layers = match from {
                [one] => Layers::Bind(one.data(number)),
                several => Layers::Stack(several.iter().map(|layer| layer.data(number)).collect()),
            };
            let volume = self.passing_view(layers).await?;
            mounts.push(Mount { volume, target: format!("{ROOT}/from/{number}") });
        }
        let copies: Vec<String> =
            (0..folders).map(|n| format!("cp -a {ROOT}/from/{n}/. {ROOT}/to/{n}/data/")).collect();
        match self.done(mounts, &copies.join(" && ")).await {
            Ok(_) => Ok(()),
            Err(NotCopied::Engine(error)) => Err(error.into()),
            Err(error @ NotCopied::Failed(_)) => Err(NotCached::Without(error.to_string())),
        }
    }

    /// Bytes in each of the volumes, in their order.
    pub(super) async fn sizes(&self, volumes: &[String]) -> Result<Vec<u64>, NotCopied> {
        let mount = |(n, volume): (usize, &String)| Mount { volume: volume.clone(), target: format!("{ROOT}/{n}") };
        let mounts: Vec<Mount> = volumes.iter().enumerate().map(mount).collect();
        let counts: Vec<String> = mounts.iter().map(|mount| format!("du -sk {}", mount.target)).collect();
        let said = self.done(mounts, &counts.join(" && ")).await?;
        let kib = said.lines().filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        let bytes: Vec<u64> = kib.map(|kib| kib * 1024).collect();
        if bytes.len() == volumes.len() { Ok(bytes) } else { Err(NotCopied::Failed(said)) }
    }

    /// Has a container of the image do something with volumes; gives what it said.
    async fn done(&self, mounts: Vec<Mount>, command: &str) -> Result<String, NotCopied> {
        const DONE: &str = "argon: done";
        let (engine, kept) = (&*self.context.engine, &self.context.kept);
        let command = format!("{command} && echo '{DONE}'");
        let mut vessel = kept.attached_vessel(self.image, mounts.clone(), &command).await?;
        match engine.start(&vessel.id).await {
            // The engine remembers that it has no init, so the next container does without.
            Err(EngineError::InitMissing) => {
                kept.put_away(&vessel.id).await?;
                vessel = kept.attached_vessel(self.image, mounts, &command).await?;
                engine.start(&vessel.id).await?;
            }
            started => started?,
        }
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        while let Some(chunk) = vessel.output.next().await {
            let chunk = chunk?;
            match chunk.stream {
                Stream::Stdout => out.extend_from_slice(&chunk.bytes),
                Stream::Stderr => errors.extend_from_slice(&chunk.bytes),
            }
        }
        kept.put_away(&vessel.id).await?;
        match String::from_utf8_lossy(&out).trim_end().strip_suffix(DONE) {
            Some(said) => Ok(said.to_owned()),
            None => Err(NotCopied::Failed(last_line(&errors))),
        }
    }
}

impl Layer {
    fn data(&self, number: usize) -> String {
        format!("{}/{number}/data", self.mountpoint)
    }
}

/// Whether one more layer can be laid over these.
pub(super) fn is_shallow(layers: &[Layer], folders: usize) -> bool {
    let path = |layer: &Layer| layer.data(folders).len() + 1;
    layers.len() < DEEPEST && layers.iter().map(path).sum::<usize>() < OPTIONS
}

fn last_line(errors: &[u8]) -> String {
    let text = String::from_utf8_lossy(errors);
    text.lines().next_back().unwrap_or("it ended without a word").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_no_deeper_than_a_page_of_options_lets_it_be() {
        let layers = |count: usize, at: &str| {
            let layer = |_| Layer { volume: "v".to_owned(), mountpoint: at.to_owned(), size: None };
            (0..count).map(layer).collect::<Vec<_>>()
        };
        let usual = "/var/lib/docker/volumes/argon-cache-0123456789abcdef/_data";
        assert!(is_shallow(&layers(31, usual), 1) && !is_shallow(&layers(32, usual), 1));
        let long = format!("/home/{}{usual}", "x".repeat(200));
        assert!(is_shallow(&layers(12, &long), 1) && !is_shallow(&layers(13, &long), 1));
    }
}

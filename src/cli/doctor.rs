//! `argon doctor`: what Argon finds on this machine, and what it will do about what is missing.

use std::fmt::Write as _;
use std::sync::Arc;

use argon::engine::docker::{self, EngineEnv};
use argon::engine::{BuiltImage, Engine, EngineInfo, OwnedVolume, Purpose};
use argon::execute::{CacheAccount, CacheIndex, Owner, Trial, try_layers};
use argon::sinks::style::{Style, Tone, bytes};
use argon::source::Bases;

use super::exit::{CommandError, Exit};
use super::output::{self, Look};
use super::{block_on, history};

/// Looks for the engine, and says what Argon found and what will not work
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {}

/// Looks.
pub(crate) fn run(_: &DoctorArgs, look: &Look) -> Result<Exit, CommandError> {
    block_on(async {
        let style = look.stdout();
        let mut page = Page { style: &style, text: String::new() };
        page.line(Tone::Good, "argon", env!("CARGO_PKG_VERSION"));
        let exit = match docker::connect(&EngineEnv::from_process()).await {
            Ok(engine) => {
                let info = engine.info().await?;
                let (owned, volumes) = (engine.owned().await?, engine.owned_volumes().await?);
                page.engine(&info);
                page.containers(&owned);
                page.volumes(&volumes);
                page.caches(&volumes);
                page.images(&engine.built_images().await?);
                page.workspaces(&try_layers(&Arc::new(engine)).await?);
                Exit::Success
            }
            Err(error) => {
                page.line(Tone::Bad, "engine", &error.to_string());
                for line in error.hint().unwrap_or_default().lines() {
                    let _ = writeln!(page.text, "              {line}");
                }
                Exit::Infrastructure
            }
        };
        page.tools();
        output::print(&page.text)?;
        Ok(exit)
    })
}

struct Page<'a> {
    style: &'a Style,
    text: String,
}

impl Page<'_> {
    fn line(&mut self, tone: Tone, what: &str, value: &str) {
        let _ = writeln!(self.text, "{}  {value}", self.style.paint(tone, &format!("{what:12}")));
    }

    fn engine(&mut self, info: &EngineInfo) {
        let rootless = if info.rootless { ", rootless" } else { "" };
        self.line(
            Tone::Good,
            "engine",
            &format!("{} {} (API {}) at {}{rootless}", info.product, info.version, info.api_version, info.endpoint),
        );
        self.line(Tone::Good, "machine", &format!("{}, {} CPUs, {}", info.platform, info.cpus, bytes(info.memory)));
        self.line(Tone::Good, "storage", &info.storage_driver);
        self.line(Tone::Good, "cgroups", &format!("v{}", info.cgroup_version));
        if info.init {
            self.line(Tone::Good, "init", "the engine has one");
        } else {
            self.line(Tone::Warn, "init", "the engine has none: the supervisor is process 1 of its container");
        }
    }

    fn workspaces(&mut self, trial: &Trial) {
        match trial {
            Trial::Kept => {
                self.line(
                    Tone::Good,
                    "workspaces",
                    "large trees are kept as snapshots; jobs get what changed over them",
                );
            }
            Trial::Streamed(why) => {
                let value = format!("streamed whole to each job, and there are no caches: {why}");
                self.line(Tone::Warn, "workspaces", &value);
            }
            Trial::NoImage => {
                let value =
                    "not tried, as the engine has no image: the first run finds out whether snapshots can be kept";
                self.line(Tone::Good, "workspaces", value);
            }
        }
    }

    fn volumes(&mut self, volumes: &[OwnedVolume]) {
        let me = Owner::current();
        let count = |wanted: &dyn Fn(&OwnedVolume) -> bool| volumes.iter().filter(|volume| wanted(volume)).count();
        let snapshots = count(&|volume| matches!(volume.purpose, Purpose::Base(_)));
        let caches = count(&|volume| matches!(volume.purpose, Purpose::Cache(_)));
        let of_runs = count(&|volume| volume.purpose == Purpose::Run);
        let dead = count(&|volume| {
            volume.purpose == Purpose::Run
                && Owner::parse(&volume.labels.owner).is_some_and(|owner| me.knows_dead(&owner))
        });
        let value = format!(
            "{snapshots} snapshots of source trees, {caches} of caches, {of_runs} of runs ({dead} of them left by a crash)"
        );
        self.line(if dead == 0 { Tone::Good } else { Tone::Warn }, "volumes", &value);
    }

    fn caches(&mut self, volumes: &[OwnedVolume]) {
        let Some(folder) = history::cache_dir() else { return };
        let (index, keeper) = (CacheIndex::new(folder.join("caches")), Bases::new(folder.join("bases")).keeper());
        let account = match CacheAccount::of(&index, &keeper, volumes) {
            Ok(account) => account,
            Err(error) => return self.line(Tone::Warn, "caches", &format!("cannot be counted: {error}")),
        };
        let many = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let mut value = match account.caches {
            0 => "none".to_owned(),
            caches => format!("{caches} in {}, {}", many(account.volumes, "volume"), bytes(account.bytes)),
        };
        if account.orphans > 0 {
            let _ = write!(
                value,
                "; {} that no cache has: the next run, or `argon clean`, removes it",
                many(account.orphans, "volume")
            );
        }
        if account.broken > 0 {
            let _ =
                write!(value, "; {} cannot be read: `argon clean --cache` removes it", many(account.broken, "record"));
        }
        let is_good = account.orphans + account.broken == 0;
        self.line(if is_good { Tone::Good } else { Tone::Warn }, "caches", &value);
    }

    fn images(&mut self, images: &[BuiltImage]) {
        let value = match images.len() {
            0 => "none built by Argon".to_owned(),
            // Layers that images share are counted once for each.
            count => format!(
                "{count} built by Argon, {} at most: `argon clean --images` removes them",
                bytes(images.iter().map(|image| image.bytes).sum())
            ),
        };
        self.line(Tone::Good, "images", &value);
    }

    fn containers(&mut self, owned: &[argon::engine::OwnedContainer]) {
        let me = Owner::current();
        let dead = owned
            .iter()
            .filter(|container| Owner::parse(&container.labels.owner).is_some_and(|owner| me.knows_dead(&owner)))
            .count();
        let value = format!("{} of Argon's on the engine, {dead} of them left by a crash", owned.len());
        if dead == 0 {
            self.line(Tone::Good, "containers", &value);
        } else {
            self.line(
                Tone::Warn,
                "containers",
                &format!("{value}: `argon clean` removes them, and so does the next run"),
            );
        }
    }

    fn tools(&mut self) {
        for (tool, use_) in [("git", "clones that have submodules or need a login"), ("ssh", "clones over ssh")] {
            match std::process::Command::new(tool).arg(if tool == "ssh" { "-V" } else { "--version" }).output() {
                Ok(out) => {
                    let text = if out.stdout.is_empty() { out.stderr } else { out.stdout };
                    self.line(Tone::Good, tool, String::from_utf8_lossy(&text).trim());
                }
                Err(_) => self.line(Tone::Warn, tool, &format!("not found; only {use_} need it")),
            }
        }
    }
}
